"""A platform is closed until it is told otherwise."""

from pathlib import Path

import pytest

from headrace.model.errors import ConfigError
from headrace.platform.settings import Settings, make_home


@pytest.mark.clause("62443-3-3 SR 7.7", "62443-3-3 SR 1.13", "GB/T 22239-2019 8.1.4.4")
def test_it_listens_on_loopback_alone(tmp_path: Path) -> None:
    assert Settings(tmp_path).host == "127.0.0.1"


@pytest.mark.clause("62443-3-3 SR 3.1 RE 1", "62443-3-3 SR 4.1 RE 1", "GB/T 22239-2019 8.1.2.2")
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "hub.example"])
def test_beyond_loopback_it_is_tls(tmp_path: Path, host: str) -> None:
    assert Settings(tmp_path, host=host).secure
    assert not Settings(tmp_path, host=host, behind_tls=True).secure
    with pytest.raises(ConfigError, match="proxy"):
        Settings(tmp_path, host=host, behind_tls=True, tls=True)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.0.1"])
def test_loopback_needs_none(tmp_path: Path, host: str) -> None:
    assert not Settings(tmp_path, host=host).secure and Settings(tmp_path, host=host, tls=True).secure


def test_half_a_certificate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="both"):
        Settings(tmp_path, tls_certificate=tmp_path / "cert.pem")


@pytest.mark.clause("62443-3-3 SR 4.1", "GB/T 22239-2019 8.1.4.8")
def test_the_home_is_for_its_owner_alone(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    assert (tmp_path / "home").stat().st_mode & 0o077 == 0


@pytest.mark.clause("62443-3-3 SR 4.1", "GB/T 22239-2019 8.1.4.8")
def test_what_others_could_read_is_narrowed_at_the_next_start(tmp_path: Path) -> None:
    secret = tmp_path / "connections" / "opcua" / "own" / "instance.pem"
    secret.parent.mkdir(parents=True, mode=0o755)
    secret.write_text("key")
    secret.chmod(0o644)
    (tmp_path / "database.db").touch(0o644)
    make_home(tmp_path)
    loose = [path for path in tmp_path.rglob("*") if path.stat().st_mode & 0o077]
    assert loose == []


def test_a_home_that_is_a_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(ConfigError, match="--home"):
        make_home(tmp_path / "home")
