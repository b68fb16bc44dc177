"""Nobody is trusted unseen, no password leaves in clear text, and our own certificate is made once."""

from __future__ import annotations

import asyncio
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from tests.connect.drivers.opcua.bench import connected, make, ours, subscribed

from headrace.connect.drivers.opcua.simulator import SimulatedServer
from headrace.connect.drivers.opcua.trust import fingerprint_of, first_certificate, own_certificate
from headrace.model.batch import ValueKind
from headrace.model.errors import Garbled, Refused

NOW = datetime(2026, 11, 22, tzinfo=UTC)


async def refusal(url: str, state_dir: Path, **settings: Any) -> str:
    with pytest.raises(Refused) as caught:
        async with connected(url, state_dir, **settings):
            pass
    return str(caught.value)


@pytest.mark.clause("62443-3-3 SR 1.2", "62443-3-3 SR 1.8", "62443-3-3 SR 1.13 RE 1")
async def test_an_unknown_server_is_refused_with_its_fingerprint_and_then_trusted(tmp_path: Path) -> None:
    async with SimulatedServer(state_dir=tmp_path / "server") as server:
        said = await refusal(server.url, tmp_path, security="sign-and-encrypt")
        assert server.fingerprint in said and "POST /connections/cell-a/trust" in said
        driver = make(server.url, tmp_path, security="sign-and-encrypt")
        shown = await driver.fingerprint()
        await driver.close()
        assert shown == server.fingerprint
        for trust in ({"trusted": shown}, {"trusted": shown.replace(":", "").lower()}):
            async with connected(server.url, tmp_path, security="sign-and-encrypt", **trust):
                pass


@pytest.mark.clause("62443-3-3 SR 1.2 RE 1", "62443-3-3 SR 1.9")
async def test_a_server_with_another_certificate_is_refused(tmp_path: Path) -> None:
    async with SimulatedServer(state_dir=tmp_path / "server") as server:
        said = await refusal(server.url, tmp_path, security="sign", trusted=":".join(["AB"] * 32))
        assert "another certificate than the trusted one" in said and server.fingerprint in said


@pytest.mark.parametrize("security", ["sign", "sign-and-encrypt"])
@pytest.mark.parametrize("policy", ["Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"])
@pytest.mark.clause("62443-3-3 SR 3.1", "62443-3-3 SR 3.1 RE 1", "62443-3-3 SR 4.3")
async def test_values_flow_under_every_policy(tmp_path: Path, policy: str, security: str) -> None:
    async with SimulatedServer(state_dir=tmp_path / "server") as server:
        settings = {"policy": policy, "security": security, "trusted": server.fingerprint}
        points = [ours(1, "Double", ValueKind.FLOAT64)]
        async with subscribed(server.url, tmp_path, points, **settings) as (driver, inbox):
            await inbox.last_is(1, -0.1)
            await driver.write(ours(2, "Setpoint", ValueKind.FLOAT64), 7.5)
            assert server.get("Setpoint") == 7.5


@pytest.mark.clause("62443-3-3 SR 3.1", "62443-3-3 SR 4.1")
async def test_a_server_without_security_is_not_quietly_used_without(tmp_path: Path) -> None:
    async with SimulatedServer() as server:
        said = await refusal(server.url, tmp_path, security="sign-and-encrypt")
        assert "does not offer sign-and-encrypt with Basic256Sha256; it offers: none" in said
        driver = make(server.url, tmp_path)
        with pytest.raises(Refused, match="shows no certificate"):
            await driver.fingerprint()


async def test_users_sign_in_with_a_secret_from_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELL_A_PASSWORD", "hunter2")
    async with SimulatedServer(state_dir=tmp_path / "server", passwords={"operator": "hunter2"}) as server:
        secure = {"security": "sign-and-encrypt", "trusted": server.fingerprint}
        user = {"user": "operator", "password": "env:CELL_A_PASSWORD"}
        async with connected(server.url, tmp_path, **secure, **user):
            pass
        said = await refusal(server.url, tmp_path, **secure)
        assert "check `user` and `password`" in said
        monkeypatch.setenv("CELL_A_PASSWORD", "wrong")
        said = await refusal(server.url, tmp_path, **secure, **user)
        assert "check `user` and `password`" in said and "wrong" not in said


@pytest.mark.clause("62443-3-3 SR 1.5", "62443-3-3 SR 4.1", "GB/T 22239-2019 8.1.4.8")
async def test_a_password_never_leaves_for_an_untrusted_server_or_in_clear_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELL_A_PASSWORD", "hunter2")
    user = {"user": "operator", "password": "env:CELL_A_PASSWORD"}
    async with SimulatedServer(passwords={"operator": "hunter2"}) as server:
        assert "in clear text" in await refusal(server.url, tmp_path, **user)
    async with SimulatedServer(state_dir=tmp_path / "server", passwords={"operator": "hunter2"}) as server:
        assert "is not trusted yet" in await refusal(server.url, tmp_path, **user)


async def test_connections_that_start_together_share_one_certificate(tmp_path: Path) -> None:
    made = await asyncio.gather(*(asyncio.to_thread(own_certificate, tmp_path, NOW) for _ in range(4)))
    assert len({own.application_uri for own in made}) == 1
    assert stat.S_IMODE((tmp_path / "own" / "instance.pem").stat().st_mode) == 0o600
    assert sorted(path.name for path in (tmp_path / "own").iterdir()) == ["certificate.der", "instance.pem"]
    shown = x509.load_der_x509_certificate((tmp_path / "own" / "certificate.der").read_bytes())
    assert shown == made[0].certificate
    names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [made[0].application_uri]


def test_an_expired_certificate_is_made_anew_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    first = own_certificate(tmp_path, NOW)
    assert own_certificate(tmp_path, NOW + timedelta(days=30)).certificate == first.certificate
    later = own_certificate(tmp_path, NOW + timedelta(days=5000))
    assert later.certificate != first.certificate
    (tmp_path / "own" / "instance.pem").write_text("nonsense", encoding="utf-8")
    with pytest.raises(Refused, match="mend or remove it"):
        own_certificate(tmp_path, NOW)


def test_the_first_certificate_of_a_chain_is_the_servers_own() -> None:
    assert first_certificate(b"\x30\x82\x00\x02ab\x30\x82\x00\x01c") == b"\x30\x82\x00\x02ab"
    for nonsense in (b"", b"\x30\x82\xff\xff", b"abcdef"):
        with pytest.raises(Garbled):
            first_certificate(nonsense)
    assert fingerprint_of(b"").startswith("E3:B0:C4:42")
