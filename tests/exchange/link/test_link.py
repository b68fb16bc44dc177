"""An edge and its hub over real TLS: what is sent is taken once, whatever happens to the link, the hub or the edge."""

import asyncio
import itertools
import random
import shutil
import ssl
import time
from pathlib import Path

import numpy as np
import pytest
from tests.exchange.link.ends import PREFIX, QUICK_HUB, Door, Ends, both, edge_of, hub_of, until

from headrace.exchange import columns
from headrace.exchange.link.dial import Address
from headrace.exchange.link.enrol import Identity, enrol
from headrace.exchange.link.messages import Begin, Data, Hello, join_blocks
from headrace.exchange.link.settings import LinkSettings
from headrace.exchange.link.wire import HEAD, Kind, frame
from headrace.exchange.spool import Spool
from headrace.exchange.spool.names import encode_names
from headrace.exchange.spool.state import Held
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import AccessError, NotFound, Refused, Unavailable, Unreachable
from headrace.model.events import Event
from headrace.model.time import HOUR_NS
from headrace.sdk.edges import HUB_NAME, Desired, EdgeToken
from headrace.sdk.testing.relay import Relay


async def test_samples_events_and_the_state_of_the_link_arrive(tmp_path: Path) -> None:
    async with both(tmp_path) as ends:
        for _ in range(20):
            await ends.send(30)
        await ends.spool.append_events([Event("7", "alarms", "alarm.raised", f"{PREFIX}/p0", 5, {"limit": 3.5})])
        await ends.all_taken()
        await until(lambda: len(ends.events) > 0)
        assert ends.events == [Event("7", "edge/line/alarms", "alarm.raised", f"{PREFIX}/p0", 5, {"limit": 3.5})]
        ends.check_exactly_once()
        assert sorted(ends.store.paths().values()) == [f"{PREFIX}/p{n}" for n in range(3)]
        await until(lambda: ends.desk.links.get("line") is not None and ends.desk.links["line"].latency_ms >= 0)
        quality = ends.desk.links["line"]
        assert quality.connected and quality.received_bytes_per_s >= 0
        await until(lambda: ends.desk.links["line"].backlog_samples == 0)
        assert ends.link.status().latency_ms >= 0
    assert not ends.desk.links["line"].connected


@pytest.mark.clause("62443-3-3 SR 5.2 RE 2")
async def test_a_cut_loses_nothing_and_live_samples_overtake_what_waited(tmp_path: Path) -> None:
    async with both(tmp_path) as ends:
        await ends.send(50)
        await ends.all_taken()
        for _ in range(3):
            await ends.relay.cut()
            await until(lambda: not ends.link.status().connected)
            for _ in range(100):
                await ends.send(100)
            await ends.relay.mend()
            await until(lambda: ends.link.status().connected)
            for _ in range(5):
                await ends.send(10)
        await ends.all_taken()
        ends.check_exactly_once()
        await until(lambda: ends.spool.status().pending_samples == 0)


async def test_a_half_dead_connection_is_noticed_by_both(tmp_path: Path) -> None:
    async with both(tmp_path) as ends:
        await ends.send()
        await ends.all_taken()
        ends.relay.black_hole = True
        await until(lambda: not ends.link.status().connected)
        await ends.send()
        ends.relay.clear()
        await ends.all_taken()
        ends.check_exactly_once()
        assert ends.link.status().connections == 2


async def test_a_hub_that_restarts_goes_on_where_it_was(tmp_path: Path) -> None:
    ends = Ends()
    ends.door = Door(tmp_path / "door", {"line": PREFIX})
    async with Relay("127.0.0.1", 1) as relay:
        async with hub_of(ends, tmp_path) as port:
            relay.target = ("127.0.0.1", port)
            await _enrolled(ends, tmp_path, relay.port)
        async with edge_of(ends, tmp_path / "edge", relay.port) as link:
            for _ in range(4):
                for _ in range(20):
                    await ends.send(20)
                async with hub_of(ends, tmp_path) as port:
                    relay.target = ("127.0.0.1", port)
                    await until(lambda: link.status().connected)
                    for _ in range(20):
                        await ends.send(20)
            async with hub_of(ends, tmp_path) as port:
                relay.target = ("127.0.0.1", port)
                await ends.all_taken()
                ends.check_exactly_once()


async def _enrolled(ends: Ends, tmp_path: Path, port: int) -> None:
    identity = Identity(tmp_path / "edge" / "identity")
    await enrol(identity, ends.door.invite("line"), Address("127.0.0.1", port), LinkSettings(), None)


async def test_an_edge_that_restarts_goes_on_where_it_was(tmp_path: Path) -> None:
    ends = Ends()
    ends.door = Door(tmp_path / "door", {"line": PREFIX})
    async with hub_of(ends, tmp_path) as port:
        for _ in range(4):
            async with edge_of(ends, tmp_path / "edge", port) as link:
                for _ in range(30):
                    await ends.send(30)
                await until(lambda: link.status().connected)
                for _ in range(30):
                    await ends.send(30)
        async with edge_of(ends, tmp_path / "edge", port):
            await ends.all_taken()
            ends.check_exactly_once()
            before = ends.hub.dictionary("line").paths
            assert before == [f"{PREFIX}/p{n}" for n in range(3)]


async def test_a_store_that_takes_nothing_for_a_while_is_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with both(tmp_path) as ends:
        ends.taking.failures = [Unavailable("the disk is full") for _ in range(5)]
        for _ in range(10):
            await ends.send(30)
        await ends.all_taken()
        ends.check_exactly_once()
        assert sum("the disk is full" in record.message for record in caplog.records) == 1


async def test_a_second_connection_ends_the_first_and_waits_for_what_it_stores(tmp_path: Path) -> None:
    async with both(tmp_path) as ends:
        await ends.send()
        await ends.all_taken()
        going, gate = asyncio.Event(), asyncio.Event()

        async def slow() -> None:
            going.set()
            await gate.wait()

        ends.taking.before = slow
        await ends.send()
        await going.wait()  # a take of the first connection is under way …
        ends.relay.black_hole = True
        for writer in list(ends.relay._writers):  # … when the edge loses it, and the hub does not hear of that
            if writer.get_extra_info("peername")[1] != ends.relay.target[1]:
                writer.transport.abort()
        ends.relay.black_hole = False
        await until(lambda: ends.hub.fenced == 1 or len(ends.hub._connections) > 1)
        ends.taking.before = None
        gate.set()
        for _ in range(5):
            await ends.send()
        await ends.all_taken()
        await until(lambda: ends.link.status().connected)
        ends.check_exactly_once()


async def test_two_machines_with_one_identity_lose_nothing_of_either(tmp_path: Path) -> None:
    """A disk was copied. Each ends the other's connection, time and again, and what either has is stored."""
    ends = Ends()
    ends.door = Door(tmp_path / "door", {"line": PREFIX})
    async with hub_of(ends, tmp_path) as port:
        async with edge_of(ends, tmp_path / "edge", port):
            await ends.send(30)
            await ends.all_taken()
        shutil.copytree(tmp_path / "edge", tmp_path / "copy")
        sent = {1_000_000 + n for n in range(30)}

        async def append(spool: Spool, first: int) -> None:
            times = np.arange(first, first + 10, dtype=np.int64)
            sent.update(times.tolist())
            await spool.append([Batch.of(ValueKind.FLOAT64, np.zeros(10, np.uint32), times, 1.0)])

        def stored() -> set[int]:
            return {time for _, time in ends.taking.came}

        async with edge_of(ends, tmp_path / "edge", port) as one:
            first = ends.spool
            async with edge_of(ends, tmp_path / "copy", port) as other:
                for n in range(40):
                    await append(first, 2_000_000 + 10 * n)
                    await append(ends.spool, 3_000_000 + 10 * n)
                    await asyncio.sleep(0.01)
                await until(lambda: one.status().connections > 2 and other.status().connections > 2)
            await until(lambda: {time for time in sent if time < 3_000_000} <= stored())
        async with edge_of(ends, tmp_path / "copy", port):
            await until(lambda: sent == stored())
        found = await ends.store.raw(np.arange(3, dtype=np.uint32), 0, 1 << 60)
        assert sum(map(len, found.batches)) == len(sent)
        assert ends.hub.fenced > 3


@pytest.mark.clause("GB/T 22239-2019 8.5.2.2")
async def test_commands_go_down_and_what_became_of_them_comes_up(tmp_path: Path) -> None:
    async with both(tmp_path) as ends:
        path = f"{PREFIX}/p0"
        await ends.hub.write("line", path, 7.25)
        assert ends.role.values[path] == 7.25
        sample = await ends.hub.read_back("line", path)
        assert (sample.values.tolist(), sample.source_ns.tolist(), sample.received_ns.tolist()) == ([7.25], [5], [7])
        with pytest.raises(Refused, match="said no"):
            await ends.hub.write("line", path, -1.0)
        with pytest.raises(NotFound):
            await ends.hub.write("line", f"{PREFIX}/p9", 1)
        with pytest.raises(Unreachable, match="took longer"):
            await ends.hub.write("line", path, -2.0, 0.05)
        with pytest.raises(Unavailable, match="not connected"):
            await ends.hub.write("other", path, 1.0)
        hanging = asyncio.create_task(ends.hub.write("line", path, -2.0, 30.0))
        await asyncio.sleep(0.05)
        await ends.relay.cut()
        with pytest.raises(Unreachable, match="may have acted"):
            await hanging


async def test_desired_state_goes_down_and_actual_state_comes_up(tmp_path: Path) -> None:
    async with both(tmp_path) as ends:
        await until(lambda: ends.desk.actual.get("line") is not None)
        assert ends.desk.actual["line"].revision == 0
        ends.desk.wanted["line"] = Desired(3, {"plant.yaml": "类型: {}\n" * 1000})
        ends.desk.changed.put_nowait("line")
        await until(lambda: ends.desk.actual["line"].revision == 3)
        ends.desk.wanted["line"] = Desired(4, {"broken": ""})
        await ends.relay.cut()
        ends.desk.changed.put_nowait("line")
        await ends.relay.mend()
        await until(lambda: ends.desk.actual["line"].revision == 4)
        assert ends.desk.actual["line"].error == "it is broken"


@pytest.mark.clause("62443-3-3 SR 2.1 RE 1", "62443-3-3 SR 3.5")
async def test_points_beyond_the_prefix_are_refused_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with both(tmp_path) as ends:
        strange = await ends.spool.register(["works/other/p", f"{PREFIX}/../x", f"{PREFIX}x/p", f"{PREFIX}/new"])
        times = 1_000_000 + np.arange(4)
        await ends.spool.append([Batch.of(ValueKind.FLOAT64, strange, times, [1.0, 2.0, 3.0, 4.0])])
        await until(lambda: f"{PREFIX}/new" in ends.store.paths().values())
        await until(lambda: len(ends.taking.came) == 1)
        assert sorted(ends.store.paths().values())[0] == f"{PREFIX}/new"
        assert len(ends.store.paths()) == 4
        session = ends.hub.connected()["line"]
        assert session.points is not None
        assert (session.points.refused_points, session.points.refused_samples) == (3, 3)
        assert sum("not its own" in record.message for record in caplog.records) == 1


async def test_a_clock_that_jumped_ahead_is_flagged_and_its_times_are_kept(tmp_path: Path) -> None:
    async with both(tmp_path) as ends:
        now_ns = time.time_ns()
        times = [now_ns, now_ns + HOUR_NS]
        await ends.spool.append([Batch.of(ValueKind.FLOAT64, [0, 1], times, [1.0, 2.0], 0, times)])
        await until(lambda: len(ends.taking.came) == 2)
        (batch,) = await ends.store.latest(np.array([0, 1, 2], np.uint32))
        assert batch.source_ns.tolist() == times
        assert batch.quality.tolist() == [q.GOOD, q.BAD_INVALID_TIMESTAMP]


@pytest.mark.clause("62443-3-3 SR 1.9", "62443-3-3 SR 1.13")
async def test_who_is_revoked_is_ended_and_kept_out(tmp_path: Path) -> None:
    async with both(tmp_path) as ends:
        ends.door.revoked.add("line")
        ends.desk.changed.put_nowait("line")
        await until(lambda: "revoked" in ends.link.status().error)
        ends.door.revoked.clear()


# --- enrolment --------------------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 1.2", "62443-3-3 SR 1.9")
async def test_a_token_of_another_hub_is_refused_before_anything_is_told(tmp_path: Path) -> None:
    ends = Ends()
    ends.door = Door(tmp_path / "door", {"line": PREFIX})
    async with hub_of(ends, tmp_path) as port:
        token = ends.door.invite("line")
        false = EdgeToken(token.edge, random.randbytes(32), token.secret)
        identity = Identity(tmp_path / "identity")
        with pytest.raises(AccessError, match="not the one that made the token"):
            await enrol(identity, false, Address("127.0.0.1", port), LinkSettings(), None)
        assert ends.door.tokens[token.text] == ("line", None) and not identity.enrolled


@pytest.mark.clause("62443-3-3 SR 1.5", "62443-3-3 SR 1.13 RE 1", "GB/T 22239-2019 8.4.3.3")
async def test_a_replayed_enrolment_is_refused_and_a_lost_answer_can_be_asked_for_again(tmp_path: Path) -> None:
    ends = Ends()
    ends.door = Door(tmp_path / "door", {"line": PREFIX})
    async with hub_of(ends, tmp_path) as port:
        address, token = Address("127.0.0.1", port), ends.door.invite("line")
        mine, thief = Identity(tmp_path / "mine"), Identity(tmp_path / "thief")
        for _ in range(2):
            await enrol(mine, token, address, LinkSettings(), None)
        with pytest.raises(AccessError, match="token is not known here"):
            await enrol(thief, token, address, LinkSettings(), None)
        assert mine.name == "line" and not thief.enrolled
        assert (tmp_path / "mine" / "key.pem").stat().st_mode & 0o077 == 0


@pytest.mark.clause(
    "62443-3-3 SR 1.2",
    "62443-3-3 SR 1.8",
    "62443-3-3 SR 3.1 RE 1",
    "GB/T 22239-2019 8.1.2.2",
    "GB/T 22239-2019 8.5.2.2",
)
@pytest.mark.clause("GB/T 22239-2019 8.2.4.1")
async def test_without_a_certificate_nothing_but_enrolment_is_possible(tmp_path: Path) -> None:
    ends = Ends()
    ends.door = Door(tmp_path / "door", {"line": PREFIX})
    async with hub_of(ends, tmp_path) as port:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for head in (HEAD.pack(Kind.HELLO, 0, 0, 2) + b"{}", HEAD.pack(Kind.ENROL, 0, 0, 1 << 30), b"\xff" * 8):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            writer.write(head)
            answer = await reader.read()
            assert HEAD.unpack_from(answer)[0] == Kind.CLOSE and b"cannot be understood" in answer
            writer.close()
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode, old.maximum_version = False, ssl.CERT_NONE, ssl.TLSVersion.TLSv1_2
        with pytest.raises((ssl.SSLError, OSError)):
            await asyncio.open_connection("127.0.0.1", port, ssl=old)


@pytest.mark.clause("62443-3-3 SR 1.8", "62443-3-3 SR 1.5")
async def test_a_certificate_that_grows_old_is_renewed_over_the_link(tmp_path: Path) -> None:
    ends = Ends()
    ends.door = Door(tmp_path / "door", {"line": PREFIX})
    ends.door.days = 20  # of 120, for it began a hundred days ago
    async with hub_of(ends, tmp_path) as port, edge_of(ends, tmp_path / "edge", port) as link:
        await until(lambda: link.status().connections == 2)
        await ends.send()
        await ends.all_taken()
        assert Identity(tmp_path / "edge" / "identity").days_left(time.time_ns()) > 300
        assert len(set(ends.door.admitted.values())) == 1 and len(ends.door.admitted) == 2


async def test_live_samples_that_come_late_make_a_new_plan(tmp_path: Path) -> None:
    """The hub stands still for a while without losing the connection; then new samples pass the old ones."""
    async with both(tmp_path, hub_settings=QUICK_HUB) as ends:
        gate = asyncio.Event()
        ends.taking.before = gate.wait
        for _ in range(40):
            await ends.send(2_000)
            await asyncio.sleep(0.01)
        gate.set()
        ends.taking.before = None
        for _ in range(20):
            await ends.send(10)
        await ends.all_taken()
        ends.check_exactly_once()


# --- lanes ------------------------------------------------------------------------------------------------------------


class NarrowRelay(Relay):
    """A link of so many bytes a second towards the hub."""

    bytes_per_s = 200_000

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        if answers:
            await super()._forward(reader, writer, answers=answers)
        while data := await reader.read(4_096):
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(len(data) / self.bytes_per_s)


async def test_live_samples_do_not_wait_for_what_piled_up(tmp_path: Path) -> None:
    ends = Ends()
    ends.door = Door(tmp_path / "door", {"line": PREFIX})
    async with hub_of(ends, tmp_path) as port, NarrowRelay("127.0.0.1", port) as relay:
        async with edge_of(ends, tmp_path / "edge", port):
            await ends.send()
        for writer in list(relay._writers):
            writer.transport.abort()
        async with edge_of(ends, tmp_path / "edge", 1):  # nobody is there
            rng = np.random.default_rng(1)
            for n in range(100):  # a megabyte that no compression makes smaller
                times = np.arange(2_000_000 + n * 1_500, 2_000_000 + (n + 1) * 1_500)
                await ends.spool.append([Batch.of(ValueKind.FLOAT64, times % 3, times, rng.normal(size=1_500))])
        async with edge_of(ends, tmp_path / "edge", relay.port) as link:
            await until(lambda: link.status().connected)
            for _ in range(5):
                await ends.send()
                newest = 1_000_000 + ends.at - 1
                await until(lambda t=newest: any(time == t for _, time in ends.taking.came))  # type: ignore[misc]
                assert sum(time >= 2_000_000 for _, time in ends.taking.came) < 150_000, "backlog came first"
            relay.bytes_per_s = 1 << 30
            await until(lambda: sum(ends.taking.came.values()) >= ends.at + 150_000)
            assert set(ends.taking.came.values()) == {1}


# --- an edge that means harm ------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 3.5", "62443-3-3 SR 7.1")
async def test_an_edge_that_breaks_the_protocol_is_ended_and_others_go_on(tmp_path: Path) -> None:
    async with both(tmp_path) as ends:
        identity = Identity(tmp_path / "evil" / "identity")
        port = ends.relay.target[1]
        await enrol(identity, ends.door.invite("other"), Address("127.0.0.1", port), LinkSettings(), None)

        epochs = itertools.count(2)

        async def say(*frames: bytes, begin: int | None = None) -> bytes:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=identity.context(), server_hostname=HUB_NAME
            )
            greeting = frame(Kind.HELLO, Hello("x", 0, "evil").payload())
            writer.write(greeting)
            if begin != 0:
                await reader.readexactly(HEAD.unpack(await reader.readexactly(HEAD.size))[3])  # HELD
                writer.write(frame(Kind.BEGIN, Begin(Held(begin or next(epochs) << 31, 0, 0, 0), 0).payload()))
                if begin is None:
                    await reader.readexactly(HEAD.size)  # READY
            writer.write(b"".join(frames))
            answer = await reader.read()
            writer.close()
            return answer

        names = frame(Kind.NAMES, encode_names(0, ["works/other/p"]))
        block = b"\0" + columns.encode([Batch.of(ValueKind.BOOL, [7], [1], [True])])
        data = frame(Kind.DATA, Data(5, 0, 1, 1, 0, join_blocks([block])).payload())
        for wrong, why in (
            ([HEAD.pack(Kind.DATA, 0, 0, 1 << 31)], b"claims"),
            ([names, data], b"without a name"),
            ([names, data, data], b"not new"),
            ([names, names], b"names begin at number"),
            ([frame(Kind.DATA, Data(5, 0, 1, 1, 1, b"xx").payload())], b"never came"),
            ([frame(Kind.EVENTS, b"x")], b"cut short"),
            ([frame(Kind.RESULT, b"[]")], b"no JSON object"),
        ):
            assert why in await say(*wrong), why
        assert b"may not come now" in await say(data, begin=0)
        assert b"an epoch that is not new" in await say(begin=1 << 31)
        await ends.send()
        await ends.all_taken()
        ends.check_exactly_once()
        assert ends.link.status().connections == 1
