"""A declaration names secrets; it must not become a way to carry the machine's own files to whoever is declared."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.connect.outlets.test_webhook import http_taker

from headrace.model.errors import Refused
from headrace.platform.platform import Platform, running
from headrace.platform.settings import Settings
from headrace.sdk.access import Principal
from headrace.sdk.field import LinkState
from headrace.sdk.references import References
from headrace.sdk.services import SourceFile

CLAUSE = pytest.mark.clause("62443-3-3 SR 4.1", "62443-3-3 SR 2.1", "GB/T 22239-2019 8.1.4.2")


def folders(home: Path) -> None:
    for name in ("secrets/acme", "run", "keys", "elsewhere"):
        (home / name).mkdir(parents=True)
    for name in ("secrets/erp", "secrets/acme/erp", "run/local.token", "keys/seal.key", "elsewhere/pw"):
        (home / name).write_text(f"{name}\n")


@CLAUSE
def test_a_file_is_read_from_a_folder_of_secrets_and_from_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders(tmp_path)
    (tmp_path / "secrets" / "link").symlink_to(tmp_path / "keys" / "seal.key")
    own = References.of(tmp_path)
    assert own.read(f"file:{tmp_path}/secrets/erp") == own.read("file:erp") == "secrets/erp"
    for name in ("../keys/seal.key", "../elsewhere/pw", "link"):
        with pytest.raises(Refused, match="no folder of secrets"):
            own.read(f"file:{name}")
    for name in (
        "run/local.token", "keys/seal.key", "secrets/../keys/seal.key", "secrets/link", "elsewhere/pw", "secrets",
        "secrets-not/erp",
    ):  # fmt: skip
        with pytest.raises(Refused) as refused:
            own.read(f"file:{tmp_path}/{name}")
        assert "seal.key\n" not in str(refused.value)
    for name in ("/etc/passwd", "/proc/self/environ", "/dev/zero"):
        with pytest.raises(Refused, match="no folder of secrets"):
            own.read(f"file:{name}")
    more = References.of(tmp_path, [tmp_path / "elsewhere"])
    assert more.read(f"file:{tmp_path}/elsewhere/pw") == more.read("file:pw") == "elsewhere/pw"
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "elsewhere"))
    assert References.of(tmp_path).read(f"file:{tmp_path}/elsewhere/pw") == "elsewhere/pw"


@CLAUSE
def test_another_tenant_has_its_own_folder_and_no_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders(tmp_path)
    monkeypatch.setenv("ERP", "hunter2")
    theirs = References.of(tmp_path, [tmp_path / "elsewhere"], "acme")
    assert theirs.read(f"file:{tmp_path}/secrets/acme/erp") == "secrets/acme/erp"
    assert theirs.read("file:erp") == "secrets/acme/erp"
    for reference in ("env:ERP", f"file:{tmp_path}/secrets/erp", f"file:{tmp_path}/elsewhere/pw"):
        with pytest.raises(Refused):
            theirs.read(reference)


@CLAUSE
def test_the_platforms_own_variables_are_nobodys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_DATABASE_URL", "postgresql://headrace:hunter2@db/headrace")
    monkeypatch.setenv("ERP", "hunter2")
    assert References().read("env:ERP") == "hunter2"
    for name in ("HEADRACE_DATABASE_URL", "headrace_database_url"):
        with pytest.raises(Refused, match="the platform's own"):
            References().read(f"env:{name}")


def test_a_secret_is_small_text(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * 70_000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name, said in (("large", "larger than"), ("binary", "not UTF-8"), ("none", "No such file")):
        with pytest.raises(Refused, match=said):
            References((tmp_path,)).read(f"file:{tmp_path}/{name}")


@given(st.text())
def test_whatever_is_referred_to_is_read_or_refused(text: str) -> None:
    with pytest.raises(Refused):
        References(variables=False).read(text)


async def until_refused(platform: Platform) -> str:
    async with asyncio.timeout(20):
        while True:
            for status in platform.outlets.status():
                if status.state is LinkState.REFUSED:
                    return status.error
            await asyncio.sleep(0.02)


@CLAUSE
async def test_a_webhook_is_not_sent_the_platforms_token(tmp_path: Path) -> None:
    """As an engineer would try it: the whole platform, and a server of theirs that takes what comes."""
    home = tmp_path / "home"
    async with running(Settings(home=home)) as platform, http_taker() as taker:
        (home / "run" / "local.token").write_text("hr_the-owner-of-all")
        token = f"file:{home}/run/local.token"
        settings = f"{{url: 'http://127.0.0.1:{taker.port}/hook', token: '{token}'}}"
        text = f"outlets: {{mine: {{protocol: webhook, settings: {settings}}}}}\n"
        await platform.registry.apply([SourceFile("a.yaml", text)], actor=Principal("li", "engineer", "local").name)
        assert "no folder of secrets" in await until_refused(platform)
        assert taker.requests == []
