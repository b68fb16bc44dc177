"""The MQTT client session: against Mosquitto, and against a server of a few lines that misbehaves."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.connect.mqtt.mosquitto import mosquitto

from headrace.connect.mqtt import packets as p
from headrace.connect.mqtt.client import ClientOptions, MqttClient
from headrace.connect.mqtt.encoding import encode, encode_publish
from headrace.connect.mqtt.packets import Property, Subscription, Version
from headrace.connect.mqtt.parser import Parser, Side
from headrace.connect.mqtt.reasons import Reason
from headrace.connect.mqtt.tls import client_context
from headrace.model.errors import ConfigError, DataError, Garbled, Refused, Unreachable
from headrace.sdk.clock import SystemClock
from headrace.sdk.testing.clock import FakeClock, settle

BOTH = pytest.mark.parametrize("version", Version, ids=["3.1.1", "5"])


def client(port: int, clock: Any = None, **options: Any) -> MqttClient:
    return MqttClient(ClientOptions("127.0.0.1", port, **options), clock or SystemClock())


async def taken(session: MqttClient, count: int) -> list[p.Publish]:
    found: list[p.Publish] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += await session.receive()
    return found


# --- with Mosquitto -----------------------------------------------------------------------------------------------


@pytest.mark.service("mosquitto")
@BOTH
async def test_it_publishes_and_receives(tmp_path: Path, version: Version) -> None:
    async with mosquitto(tmp_path) as server, client(server.port, version=version, client_id="us") as session:
        assert list(await session.subscribe([Subscription("plant/#", 2), Subscription("x", 1)])) == [2, 1]
        await session.publish("plant/a", b"zero")
        await session.publish("plant/b", b"one", qos=1)
        await session.publish("elsewhere", b"nobody asked", qos=1)
        found = await taken(session, 2)
        assert [(one.topic, one.payload, one.qos) for one in found] == [("plant/a", b"zero", 0), ("plant/b", b"one", 1)]
        await session.unsubscribe(["plant/#"])


@pytest.mark.service("mosquitto")
@BOTH
async def test_what_is_not_acknowledged_comes_again_to_the_same_session(tmp_path: Path, version: Version) -> None:
    options: dict[str, Any] = {
        "version": version, "client_id": "keeper", "clean_start": False, "session_expiry_s": 60,
    }  # fmt: skip
    async with mosquitto(tmp_path) as server, client(server.port, version=version) as other:
        async with client(server.port, **options) as session:
            assert not session.session_present
            await session.subscribe([Subscription("a", 1)])
            await other.publish("a", b"1", qos=1)
            await other.publish("a", b"2", qos=1)
            first, second = await taken(session, 2)
            session.acknowledge([first])
            assert second.payload == b"2"
        await other.publish("a", b"3", qos=1)
        async with client(server.port, **options) as session:
            assert session.session_present
            assert [one.payload for one in await taken(session, 2)] == [b"2", b"3"]


@pytest.mark.service("mosquitto")
async def test_a_message_of_qos_2_comes_once(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as server, client(server.port, client_id="us") as session:
        await session.subscribe([Subscription("a", 2)])
        for payload in ("1", "2"):
            await asyncio.to_thread(
                subprocess.run,
                ["mosquitto_pub", "-p", str(server.port), "-t", "a", "-q", "2", "-m", payload], check=True, timeout=20,
            )  # fmt: skip
            (message,) = await taken(session, 1)
            assert (message.payload, message.qos) == (payload.encode(), 2)
            session.acknowledge([message])


@pytest.mark.service("mosquitto")
async def test_a_share_divides_messages_between_its_members(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as server, client(server.port) as one, client(server.port) as two:
        for session in (one, two):
            await session.subscribe([Subscription("$share/workers/jobs/#", 1)])
        await asyncio.gather(*(one.publish(f"jobs/{number}", b"x", qos=1) for number in range(20)))
        shares = [taken(session, 10) for session in (one, two)]
        topics = [message.topic for share in await asyncio.gather(*shares) for message in share]
        assert sorted(topics) == sorted(f"jobs/{number}" for number in range(20))


@pytest.mark.service("mosquitto")
async def test_many_publishes_in_flight_are_bounded_and_all_arrive(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as server, client(server.port, in_flight_max=5) as session:
        await session.subscribe([Subscription("n", 1)])
        await asyncio.gather(*(session.publish("n", str(number).encode(), qos=1) for number in range(200)))
        found = await taken(session, 200)
        assert sorted(int(message.payload) for message in found) == list(range(200))


@pytest.mark.service("mosquitto")
async def test_a_will_is_told_when_the_line_is_cut_and_not_when_it_is_closed(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as server, client(server.port) as watcher:
        await watcher.subscribe([Subscription("gone/+", 0)])
        async with client(server.port, will=p.Will("gone/polite", b"!")):
            pass
        cut = client(server.port, will=p.Will("gone/cut", b"!"))
        await cut.connect()
        cut._line.fail(Unreachable("cut"))
        (message,) = await taken(watcher, 1)
        assert message.topic == "gone/cut"
        await cut.close()


@pytest.mark.service("mosquitto")
@BOTH
async def test_wrong_credentials_are_refused(tmp_path: Path, version: Version) -> None:
    passwords = tmp_path / "passwords"
    make = ["mosquitto_passwd", "-b", "-c", str(passwords), "ann", "secret"]
    await asyncio.to_thread(subprocess.run, make, check=True, timeout=20)
    passwords.chmod(0o644)
    async with mosquitto(tmp_path, "allow_anonymous false", f"password_file {passwords}") as server:
        async with client(server.port, version=version, user="ann", password=b"secret"):
            pass
        with pytest.raises(Refused, match="refuses the connection"):
            async with client(server.port, version=version, user="ann", password=b"guess"):
                pass


@pytest.mark.service("mosquitto")
async def test_a_server_that_dies_ends_what_waits(tmp_path: Path) -> None:
    async with mosquitto(tmp_path) as server, client(server.port) as session:
        waiting = asyncio.create_task(session.receive())
        await asyncio.sleep(0)
        await server.stop()
        with pytest.raises(Unreachable):
            await waiting
        with pytest.raises(Unreachable):
            await session.publish("a", b"", qos=1)


# --- with servers that misbehave ----------------------------------------------------------------------------------

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncIterator[int]:
    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def answering(*answers: bytes, then_wait: bool = True) -> Serve:
    """Says each answer after the next packet of the client has come."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser, waiting = Parser(Side.SERVER), list(answers)
        while waiting and (data := await reader.read(65_536)):
            for _ in parser.feed(data):
                if waiting:
                    writer.write(waiting.pop(0))
        while then_wait and await reader.read(65_536):
            pass

    return serve


CONNACK = encode(p.Connack(), Version.V5)


async def test_nobody_there_is_unreachable() -> None:
    async with serving(answering()) as port:
        pass
    with pytest.raises(Unreachable):
        await client(port).connect()


async def test_a_server_that_says_nothing_is_unreachable() -> None:
    async with serving(answering()) as port:
        session = client(port, connect_timeout_s=0.05)
        with pytest.raises(Unreachable, match="does not answer"):
            await session.connect()
        await session.close()


async def test_a_server_that_answers_no_subscribe_is_unreachable() -> None:
    async with serving(answering(CONNACK)) as port, client(port, answer_timeout_s=0.05) as session:
        with pytest.raises(Unreachable, match="does not answer"):
            await session.subscribe([Subscription("a")])


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 400 Bad Request\r\n", b"\x20\x02\x00", CONNACK + CONNACK, b"\xff" * 9], ids=repr
)
async def test_nonsense_is_garbled_or_unreachable(said: bytes) -> None:
    async with serving(answering(said, then_wait=False)) as port:
        with pytest.raises((Garbled, Unreachable)):
            async with client(port) as session:
                await session.receive()


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        (Reason.NOT_AUTHORIZED, Refused),
        (Reason.BAD_USER_NAME_OR_PASSWORD, Refused),
        (Reason.SERVER_BUSY, Unreachable),
        (Reason.QUOTA_EXCEEDED, Unreachable),
    ],
)
async def test_a_refusal_says_whether_trying_again_helps(reason: Reason, error: type[Exception]) -> None:
    async with serving(answering(encode(p.Connack(False, reason), Version.V5))) as port:
        with pytest.raises(error):
            async with client(port):
                pass


async def test_a_server_that_says_goodbye_says_why() -> None:
    farewell = encode(p.Disconnect(Reason.NOT_AUTHORIZED, {Property.REASON_STRING: "too curious"}), Version.V5)
    async with serving(answering(CONNACK + farewell)) as port, client(port) as session:
        with pytest.raises(Refused, match="too curious"):
            await session.receive()


async def test_the_server_s_limits_are_kept() -> None:
    limits = {Property.MAXIMUM_PACKET_SIZE: 50, Property.MAXIMUM_QOS: 0, Property.RETAIN_AVAILABLE: 0}
    async with serving(answering(encode(p.Connack(False, 0, limits), Version.V5))) as port, client(port) as session:
        with pytest.raises(DataError, match="at most 50"):
            await session.publish("a", bytes(50))
        with pytest.raises(DataError, match="takes no message"):
            await session.publish("a", b"", qos=1)
        with pytest.raises(DataError, match="takes no message"):
            await session.publish("a", b"", retain=True)


async def test_a_message_of_qos_2_that_is_sent_again_is_given_once() -> None:
    one = encode_publish("a", b"1", Version.V5, qos=2, packet_id=7)
    again = encode_publish("a", b"1", Version.V5, qos=2, packet_id=7, dup=True)
    async with serving(answering(CONNACK + one + again)) as port, client(port) as session:
        assert len(await session.receive()) == 1


@pytest.mark.parametrize("bound", [{"queue_max": 10}, {"queue_bytes_max": 10_000}])
async def test_a_full_queue_stops_the_socket_and_taking_starts_it(bound: dict[str, int]) -> None:
    many = b"".join(encode_publish("a", bytes(1000), Version.V5) for _ in range(5000))
    async with serving(answering(CONNACK + many)) as port, client(port, **bound) as session:
        first = len(await session.receive())
        assert first < 5000
        assert len(await taken(session, 5000 - first)) == 5000 - first


async def test_it_pings_when_idle_and_gives_up_on_silence() -> None:
    clock, heard = FakeClock(), list[p.Packet]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parser = Parser(Side.SERVER)
        while data := await reader.read(1000):
            for packet in parser.feed(data):
                heard.append(packet)
                if len(heard) < 3:
                    writer.write(CONNACK if isinstance(packet, p.Connect) else encode(p.Pingresp(), Version.V5))

    async with asyncio.timeout(10), serving(serve) as port, client(port, clock, keep_alive_s=60) as session:
        while len(heard) < 3:
            await clock.advance(15)
            await settle()
        assert [type(packet) for packet in heard[:3]] == [p.Connect, p.Pingreq, p.Pingreq]
        waiting = asyncio.create_task(session.receive())
        while not waiting.done():
            await clock.advance(15)
        with pytest.raises(Unreachable, match="silent"):
            await waiting


def test_certificates_that_are_none_are_named(tmp_path: Path) -> None:
    wrong = tmp_path / "ca.pem"
    wrong.write_text("nothing")
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        client_context(wrong)
    with pytest.raises(ConfigError, match=r"gone\.pem"):
        client_context(certificate_file=tmp_path / "gone.pem")
