"""The register's door for edges keeps the contract, and its certificates hold in a real TLS handshake."""

from __future__ import annotations

import asyncio
import ssl
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.databases import fresh_engine
from tests.fleet.edges.conftest import Surroundings, register_on
from tests.fleet.fakes import Audit
from tests.properties import examples

from headrace.fleet.edges import Edges
from headrace.fleet.edges.authority import EDGE_DAYS
from headrace.fleet.edges.requests import check_request
from headrace.fleet.tables import metadata
from headrace.model.errors import AccessError, ConfigError, DataError, Unavailable
from headrace.sdk.edges import HUB_NAME, EdgeDoor, EdgeToken
from headrace.sdk.secret_files import load_own
from headrace.sdk.testing.clock import FakeClock
from headrace.sdk.testing.edges import (
    EDGE,
    PEER,
    PREFIX,
    EdgeDoorContract,
    EdgesHand,
    fingerprint,
    new_key,
    refused,
    request_for,
)

DAY_S = 86_400.0


class Hand:
    def __init__(self, edges: Edges) -> None:
        self._edges = edges

    async def invite(self, name: str, prefix: str) -> str:
        return (await self._edges.invite("wang", name, prefix))[1]

    async def revoke(self, name: str) -> None:
        await self._edges.revoke("wang", name)


class TestDoor(EdgeDoorContract):
    @pytest.fixture
    def engine(self, tmp_path: Path) -> Iterator[Engine]:
        """The tests below meet both databases."""
        with fresh_engine("sqlite", metadata, tmp_path) as engine:
            yield engine

    @pytest.fixture
    def door(self, edges: Edges) -> EdgeDoor:
        return edges.door

    @pytest.fixture
    def hand(self, edges: Edges) -> EdgesHand:
        return Hand(edges)


async def test_a_restart_remembers_edges_tokens_and_the_authority(
    edges: Edges, engine: Engine, clock: FakeClock, around: Surroundings, tmp_path: Path
) -> None:
    token, waiting = await Hand(edges).invite(EDGE, PREFIX), await Hand(edges).invite("wuxi", "acme/wuxi")
    edge, chain = await edges.door.enrol(token, request_for(EDGE), PEER)
    again = register_on(engine, clock, Audit(), around, tmp_path)
    await again.start()
    assert await again.door.admit(edge.certificate) == edge
    await refused(again.door, token, request_for(EDGE))
    _, other = await again.door.enrol(waiting, request_for("wuxi"), PEER)
    assert x509.load_pem_x509_certificates(other)[1] == x509.load_pem_x509_certificates(chain)[1]


@pytest.mark.clause("62443-3-3 SR 1.9", "62443-4-2 CR 1.9")
async def test_a_token_expires_and_a_clock_that_is_put_right_opens_the_door(edges: Edges, clock: FakeClock) -> None:
    token = await Hand(edges).invite(EDGE, PREFIX)
    clock.jump_wall(2 * 3_600)
    await refused(edges.door, token, request_for(EDGE))
    clock.jump_wall(-2 * 3_600)
    edge, _ = await edges.door.enrol(token, request_for(EDGE), PEER)
    clock.jump_wall(2 * EDGE_DAYS * DAY_S)
    with pytest.raises(AccessError, match="has ended"):
        await edges.door.admit(edge.certificate)
    clock.jump_wall(-3 * EDGE_DAYS * DAY_S)
    assert await edges.door.admit(edge.certificate) == edge


async def test_no_authority_is_made_while_the_clock_is_years_behind(edges: Edges, clock: FakeClock) -> None:
    clock.jump_wall(-40 * 365 * DAY_S)
    with pytest.raises(Unavailable, match="clock"):
        await Hand(edges).invite(EDGE, PREFIX)
    clock.jump_wall(40 * 365 * DAY_S)
    await Hand(edges).invite(EDGE, PREFIX)


@pytest.mark.clause("62443-3-3 SR 1.9", "62443-4-2 CR 1.9", "GB/T 22239-2019 8.1.4.8")
async def test_keys_are_their_owners_alone(edges: Edges, tmp_path: Path) -> None:
    await edges.door.identity()
    kept = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "fleet").iterdir()}
    assert kept == dict.fromkeys(("authority.key", "authority.pem", "hub.key", "hub.pem"), 0o600)


async def test_the_hubs_certificate_is_made_anew_before_it_ends(edges: Edges, clock: FakeClock) -> None:
    first = (await edges.door.identity()).chain
    assert (await edges.door.identity()).chain == first
    clock.jump_wall(4.5 * 365 * DAY_S)
    assert (await edges.door.identity()).chain != first


@pytest.mark.parametrize("name", ["authority.key", "authority.pem"])
async def test_an_authority_that_lost_a_part_says_what_to_restore(
    edges: Edges, engine: Engine, clock: FakeClock, around: Surroundings, tmp_path: Path, name: str
) -> None:
    await edges.door.identity()
    file = tmp_path / "fleet" / name
    whole = file.read_bytes()
    for damage in (b"", b"nonsense", None):
        file.write_bytes(damage) if damage is not None else file.unlink()
        with pytest.raises(ConfigError, match="restore"):
            await register_on(engine, clock, Audit(), around, tmp_path).door.identity()
    file.write_bytes(whole)
    await register_on(engine, clock, Audit(), around, tmp_path).door.identity()


async def test_edge_and_hub_know_each_other_in_tls_whatever_the_address(edges: Edges, tmp_path: Path) -> None:
    key = new_key()
    edge, chain = await edges.door.enrol(await Hand(edges).invite(EDGE, PREFIX), request_for(EDGE, key), PEER)
    identity = await edges.door.identity()
    shown = await handshake(identity.chain, identity.key, *edge_files(tmp_path, chain, key), identity.authority)
    assert shown == edge.certificate


async def test_no_edge_can_play_the_hub_to_another(edges: Edges, tmp_path: Path) -> None:
    key = new_key()
    _, chain = await edges.door.enrol(await Hand(edges).invite(HUB_NAME, PREFIX), request_for(HUB_NAME, key), PEER)
    mine = edge_files(tmp_path, chain, key)
    with pytest.raises(ssl.SSLError):
        await handshake(mine[0].read_bytes(), mine[1].read_bytes(), *mine, (await edges.door.identity()).authority)


def edge_files(folder: Path, chain: bytes, key: object) -> tuple[Path, Path]:
    (folder / "edge.pem").write_bytes(chain)
    private = key.private_bytes(  # type: ignore[attr-defined]
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "edge.key").write_bytes(private)
    return folder / "edge.pem", folder / "edge.key"


async def handshake(hub: bytes, hub_key: bytes, edge: Path, edge_key: Path, authority: bytes) -> str:
    """The fingerprint that the hub sees. Raises: ssl.SSLError."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_own(server, hub, hub_key, "the hub's certificate")
    server.load_verify_locations(cadata=authority.decode())
    server.verify_mode = ssl.CERT_REQUIRED
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_cert_chain(edge, edge_key)
    client.load_verify_locations(cadata=authority.decode())
    seen: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        seen.set_result(fingerprint(ssl.DER_cert_to_PEM_cert(der).encode()))
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server)
    port = listener.sockets[0].getsockname()[1]
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=HUB_NAME)
        async with asyncio.timeout(10):
            shown = await seen
        writer.close()
        return shown
    finally:
        listener.close()


# --- what parses bytes ------------------------------------------------------------------------------------------------

_REQUEST = request_for(EDGE)
_quick = settings(deadline=None, max_examples=examples(150), suppress_health_check=[HealthCheck.too_slow])


@_quick
@given(st.binary(max_size=300), st.integers(0, len(_REQUEST)), st.integers(0, 40))
def test_any_bytes_are_a_request_or_our_error(noise: bytes, at: int, cut: int) -> None:
    for data in (noise, _REQUEST[:at] + noise + _REQUEST[at + cut :]):
        try:
            check_request(data, EDGE)
        except DataError:
            pass


@_quick
@given(st.text(max_size=80), st.integers(0, 140), st.integers(0, 3))
def test_any_text_is_a_token_or_our_error(noise: str, at: int, cut: int) -> None:
    whole = EdgeToken("苏州", b"a" * 32, b"s" * 32).text
    for text in (noise, "hre_" + noise, whole[:at] + noise + whole[at + cut :]):
        try:
            assert EdgeToken.parse(text).text.rstrip("=") == text.strip() or "=" in text
        except DataError:
            pass


@_quick
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60), st.binary(min_size=64, max_size=64))
def test_a_token_reads_back(name: str, both: bytes) -> None:
    token = EdgeToken(name, both[:32], both[32:])
    assert EdgeToken.parse(f"  {token.text}\n") == token
    with pytest.raises(DataError):
        EdgeToken.parse(token.text[:-3])
