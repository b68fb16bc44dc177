"""TLS and mutual TLS, with our own client; other people's clients are in `test_peers.py`."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from tests.connect.gateway.bed import binding, gateway
from tests.connect.gateway.certificates import Authority

from headrace.connect.mqtt.client import ClientOptions, MqttClient
from headrace.connect.mqtt.tls import client_context
from headrace.model.errors import ConfigError, Refused, Unreachable
from headrace.sdk.clock import SystemClock
from headrace.sdk.testing.devices import MemoryDoor

OIL = binding(1, device="press-3", topic="t", value="")


def client(port: int, tls: ssl.SSLContext | None, **options: Any) -> MqttClient:
    return MqttClient(ClientOptions("127.0.0.1", port, "c", tls=tls, **options), SystemClock())


@pytest.mark.clause(
    "62443-3-3 SR 1.2 RE 1", "62443-3-3 SR 1.9", "62443-3-3 SR 3.1", "62443-3-3 SR 3.1 RE 1", "GB/T 22239-2019 8.1.2.2"
)
async def test_a_device_speaks_over_tls_and_is_known_by_its_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own, device = authority.sign("gateway"), authority.sign("device")
    door = MemoryDoor()
    door.add("press-3", login=device.fingerprint)
    tls = {"certificate": own.certificate, "key": own.key, "client_ca": authority.file, "client_certificate": True}
    async with gateway(tmp_path, [OIL], door=door, tls=tls) as bed:
        context = client_context(authority.file, device.certificate, device.key)
        async with client(bed.port, context) as session:
            await session.publish("t", b"42", qos=1)
            await session.publish("t", b"43" + b" " * 100_000, qos=1)
        assert bed.store.values(1) == [42.0, 43.0]
        assert door.claims[0].certificate == device.fingerprint
        stranger = Authority(tmp_path, "elsewhere").sign("stranger")
        for wrong in (
            client_context(authority.file),
            client_context(authority.file, stranger.certificate, stranger.key),
        ):
            with pytest.raises((Refused, Unreachable)):
                await client(bed.port, wrong).connect()
        with pytest.raises(Unreachable):
            await client(bed.port, None, connect_timeout_s=5).connect()
        assert len(door.claims) == 1


async def test_a_device_may_come_without_a_certificate_where_passwords_do(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own = authority.sign("gateway")
    door = MemoryDoor()
    door.add("press-3", b"secret")
    tls = {"certificate": own.certificate, "key": own.key, "client_ca": authority.file}
    async with gateway(tmp_path, [OIL], door=door, tls=tls) as bed:
        context = client_context(authority.file)
        async with client(bed.port, context, user="press-3", password=b"secret") as session:
            await session.publish("t", b"42", qos=1)
        with pytest.raises(Refused, match="user name or password"):
            await client(bed.port, context, user="press-3", password=b"guess").connect()
        assert bed.store.values(1) == [42.0]


@pytest.mark.clause("62443-3-3 SR 1.2", "62443-3-3 SR 1.9")
async def test_a_server_that_is_not_the_one_is_refused(tmp_path: Path) -> None:
    own = Authority(tmp_path).sign("gateway")
    async with gateway(tmp_path, tls={"certificate": own.certificate, "key": own.key}) as bed:
        with pytest.raises(Refused, match="not trusted"):
            await client(bed.port, client_context(Authority(tmp_path, "other").file)).connect()


@pytest.mark.clause("62443-3-3 SR 7.1")
async def test_a_handshake_that_never_ends_holds_nobody_up(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    own = authority.sign("gateway")
    async with gateway(tmp_path, [OIL], tls={"certificate": own.certificate, "key": own.key}) as bed:
        _, silent = await asyncio.open_connection("127.0.0.1", bed.port)
        silent.write(b"\x16\x03\x01\x02\x00")
        async with client(bed.port, client_context(authority.file), user="press-3") as session:
            await session.publish("t", b"42", qos=1)
        silent.close()


async def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.pem"):
        async with gateway(tmp_path, tls={"certificate": tmp_path / "gone.pem", "key": tmp_path / "gone.key"}):
            pass
