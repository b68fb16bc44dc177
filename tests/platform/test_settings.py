"""A platform is closed until it is told otherwise."""

from pathlib import Path

import pytest

from headrace.model.errors import ConfigError
from headrace.platform.settings import Settings, make_home


def test_it_listens_on_loopback_alone(tmp_path: Path) -> None:
    assert Settings(tmp_path).host == "127.0.0.1"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7", "hub.example"])
def test_beyond_loopback_it_wants_tls(tmp_path: Path, host: str) -> None:
    with pytest.raises(ConfigError, match="--tls-cert"):
        Settings(tmp_path, host=host)
    assert Settings(tmp_path, host=host, behind_tls=True).host == host


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.0.1"])
def test_loopback_needs_none(tmp_path: Path, host: str) -> None:
    assert Settings(tmp_path, host=host).loopback


def test_half_a_certificate_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="both"):
        Settings(tmp_path, tls_certificate=tmp_path / "cert.pem")


def test_the_home_is_for_its_owner_alone(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    assert (tmp_path / "home").stat().st_mode & 0o077 == 0


def test_a_home_that_is_a_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(ConfigError, match="--home"):
        make_home(tmp_path / "home")
