"""What authors of apps do: begin one, check it, test it, pack and sign it."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from headrace.cli.app_author import author_commands
from headrace.fleet.packages import Kind, Package, Publisher, Publishers, new_key
from headrace.model.errors import ConfigError, ConfigErrors, Conflict, HeadraceError

app = typer.Typer()
author_commands(app)


def run(*words: object) -> Result:
    result = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(result.exception, HeadraceError):
        raise result.exception
    return result


@pytest.fixture
def hours(tmp_path: Path) -> Path:
    assert run("new", "acme.hours", "--folder", tmp_path / "hours", "--title", "Running hours").exit_code == 0
    return tmp_path / "hours"


def key_file(folder: Path, title: str) -> tuple[Path, Publisher]:
    key, path = new_key(), folder / f"{title}.key"
    path.write_bytes(key.pem(None))
    path.chmod(0o600)
    return path, Publisher(title, key.public, frozenset({Kind.APP}), ("acme.*",), datetime.date(2999, 1, 1))


def test_a_new_app_passes_its_own_test(hours: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = run("test", hours)
    assert result.exit_code == 0, capfd.readouterr().out
    assert "acme.hours 0.1.0: manifest, texts, pages and migrations fit together" in result.output
    assert "1 passed" in capfd.readouterr().out
    assert not list(hours.rglob("__pycache__"))


def test_a_test_that_fails_is_told_by_the_exit_status(hours: Path) -> None:
    test = hours / "tests/test_app.py"
    test.write_text(test.read_text().replace('"hours": 2.5', '"hours": 2.6'))
    assert run("test", hours).exit_code == 1


def test_nothing_is_written_over(hours: Path) -> None:
    with pytest.raises(Conflict, match="not empty"):
        run("new", "acme.hours", "--folder", hours)
    with pytest.raises(ConfigErrors, match="lower case"):
        run("new", "Acme Hours", "--folder", hours.parent / "other")


def test_what_does_not_fit_together_is_said_in_one_go(hours: Path) -> None:
    (hours / "app.py").write_text("app = App(\n")
    (hours / "locale/zh.toml").write_text('report = "{hours}"\n')
    (hours / "pages/hours.toml").write_text("refresh = 30\n")
    (hours / "migrations/0002-more.sql").write_text("CREATE TABLE states (x);\n")
    with pytest.raises(ConfigErrors) as found:
        run("test", hours)
    said = str(found.value)
    for each in ("app.py:1", "a text is missing: en: report", "pages/hours.toml", "migrations/0002-more.sql:1"):
        assert each in said, said


def test_packed_and_signed_by_two_publishers(hours: Path, tmp_path: Path) -> None:
    first, acme = key_file(tmp_path, "acme")
    second, other = key_file(tmp_path, "other")
    target = tmp_path / "hours.hrpkg"
    assert "not signed" in run("pack", hours, "-o", target).output
    assert re.search(
        r"acme\.hours 0\.1\.0, signed by [0-9a-f]{32}", run("pack", hours, "-k", first, "-o", target).output
    )
    assert run("sign", target, "-k", second).exit_code == 0
    with target.open("rb") as file:
        verified = Package.open(file).verify(Publishers((acme, other)), datetime.date(2026, 11, 27))
        verified.check(file)
    assert {one.title for one in verified.signers} == {"acme", "other"}
    assert (verified.manifest.name, str(verified.manifest.version)) == ("acme.hours", "0.1.0")
    assert "manifest.toml" in {one.path for one in verified.manifest.files}


def test_a_key_that_others_can_read_signs_nothing(hours: Path, tmp_path: Path) -> None:
    path, _ = key_file(tmp_path, "acme")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        run("pack", hours, "-k", path, "-o", tmp_path / "hours.hrpkg")
