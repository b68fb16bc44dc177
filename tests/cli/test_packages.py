"""`headrace package`, as an author and an operator use it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from tests.cli.shell import headrace, refused


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "oee"
    (folder / "pages").mkdir(parents=True)
    (folder / "package.toml").write_text('name = "acme.oee"\nversion = "1.4.0"\ntitle = "设备综合效率"\n', "utf-8")
    (folder / "app.py").write_text("print('oee')\n")
    (folder / "pages/start.html").write_text("<p>hello</p>")
    return folder


@pytest.mark.clause("62443-4-2 SAR 2.4 RE 1", "62443-4-2 CR 3.4 RE 1")
def test_from_a_key_to_a_package_that_a_home_trusts(source: Path, tmp_path: Path) -> None:
    key, package, home = tmp_path / "acme", tmp_path / "oee.hrpkg", tmp_path / "home"
    said = headrace("package", "new-key", key, "--publisher", "Acme Tools", "--name", "acme.*")
    assert said.status == 0 and "Acme Tools" in said.out
    assert key.stat().st_mode & 0o777 == 0o600
    key_id = said.out.split()[0]

    said = headrace("package", "sign", source, "--key", key, "-o", package)
    assert said.status == 0 and key_id in said.out
    shown = headrace("package", "show", package)
    assert "设备综合效率" in shown.out and "pages/start.html" in shown.out and key_id in shown.out
    assert headrace("package", "show", package, "--json").json["files"][0]["path"] == "app.py"

    assert "not trusted here" in refused("package", "verify", package, "--home", home)
    trust = home / "keys" / "publishers"
    trust.mkdir(parents=True)
    (trust / "acme.pub").write_bytes((tmp_path / "acme.pub").read_bytes())
    assert "none altered" in headrace("package", "verify", package, "--home", home).out
    said = headrace("package", "verify", package, "--home", home, "--json")
    assert said.json["signers"] == [{"publisher": "Acme Tools", "key": key_id}]

    data = bytearray(package.read_bytes())
    data[data.index(b"print(")] ^= 1
    package.write_bytes(data)
    assert "altered" in refused("package", "verify", package, "--home", home)


def test_a_second_signature_and_a_passphrase(source: Path, tmp_path: Path) -> None:
    one, two, package = tmp_path / "one", tmp_path / "two", tmp_path / "oee.hrpkg"
    headrace("package", "new-key", one, "--publisher", "One", "--name", "acme.*")
    secret = {"PHRASE": "correct horse"}
    made = headrace(
        "package", "new-key", two, "--publisher", "Two", "--name", "*", "--passphrase", "env:PHRASE", **secret
    )
    assert made.status == 0 and b"ENCRYPTED" in two.read_bytes()
    headrace("package", "sign", source, "--key", one, "-o", package)
    assert "passphrase" in refused("package", "sign", package, "--key", two)
    assert headrace("package", "sign", package, "--key", two, "--passphrase", "env:PHRASE", **secret).status == 0
    assert len(headrace("package", "show", package, "--json").json["signatures"]) == 2


def test_a_build_can_be_the_same_anywhere(source: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    headrace("package", "new-key", key, "--publisher", "One", "--name", "acme.*")
    made = []
    for name in ("a", "b"):
        said = headrace("package", "sign", source, "--key", key, "-o", tmp_path / name, SOURCE_DATE_EPOCH="1780000000")
        assert said.status == 0
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1] and b'created = "2026-05-28"' in made[0]


def test_what_is_wrong_is_one_line(source: Path, tmp_path: Path) -> None:
    key = tmp_path / "key"
    headrace("package", "new-key", key, "--publisher", "One", "--name", "acme.*")
    assert "never written over" in refused("package", "new-key", key, "--publisher", "One", "--name", "acme.*")
    key.chmod(0o644)
    assert "chmod 600" in refused("package", "sign", source, "--key", key)
    key.chmod(0o600)
    assert "no package" in refused("package", "show", key)
    assert "cannot read" in refused("package", "show", tmp_path / "absent")
    assert "package.toml" in refused("package", "sign", tmp_path, "--key", key)


@pytest.mark.parametrize("page", ["packages.md", "packages.zh-CN.md"])
def test_the_page_does_what_it_says(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / page).read_text("utf-8")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "oee").mkdir()
    (tmp_path / "oee/package.toml").write_text(re.findall(r"```toml\n(.*?)```", text, re.S)[0], "utf-8")
    (tmp_path / "oee/app.py").write_text("print('oee')\n")
    commands = [
        shlex.split(line) for block in re.findall(r"```bash\n(.*?)```", text, re.S) for line in block.splitlines()
    ]
    assert [command[2] for command in commands] == ["new-key", "sign", "show", "verify"]
    for command in commands:
        if command[2] == "verify":
            trust = tmp_path / ".headrace/keys/publishers"
            trust.mkdir(parents=True)
            (trust / "acme.pub").write_bytes((tmp_path / "acme.pub").read_bytes())
        said = headrace(*command[1:])
        assert said.status == 0, (command, said)
