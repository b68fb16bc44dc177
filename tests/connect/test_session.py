"""The session supervisor through its public door, over a fake device and a clock that the test moves."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from tests.connect.fakes import Bed, bed, connection, points

from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import Conflict, Garbled, NotFound, Refused, Unavailable, Unreachable
from headrace.model.time import SOURCE_TIME_MIN_NS
from headrace.sdk.field import LinkState
from headrace.sdk.testing.clock import settle


def down() -> Exception:
    return Unreachable("no answer")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name.startswith("headrace.connect")]


async def test_points_are_read_at_their_interval(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        await plant.declare(connection(), plc=points(3))
        await plant.clock.advance(4.5)
        assert plant.qualities(2) == [q.GOOD] * 5
        status = plant.status()
        assert (status.state, status.points, status.error) == (LinkState.CONNECTED, 3, "")
        assert (status.counters.requests, status.counters.samples, status.counters.overruns) == (5, 15, 0)
    assert plant.device().closed == 1


async def test_an_outage_marks_points_bad_once_and_says_two_lines(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with bed(tmp_path) as plant:
        await plant.declare(connection(), plc=points(2))
        await plant.clock.advance(60)
        caplog.clear()
        before = len(plant.qualities())
        plant.device().fault = plant.device().connect_fault = down
        await plant.clock.advance(3600)
        assert plant.qualities()[before:] == [q.BAD_NO_COMMUNICATION]
        status = plant.status()
        assert status.state is LinkState.WAITING and status.error == "no answer" and status.counters.losses == 1
        assert status.next_try_s is not None and 0 < status.next_try_s <= 30
        plant.device().fault = plant.device().connect_fault = None
        await plant.clock.advance(31)
        assert plant.status().state is LinkState.CONNECTED
        assert plant.qualities()[-1] == q.GOOD
    assert len(lines(caplog)) == 2
    assert [event.type for event in plant.events] == ["connection.up", "connection.lost", "connection.up"]
    assert plant.device().closed == plant.device().opened


async def test_pauses_grow_with_jitter_up_to_the_cap_and_start_anew_after_a_stable_time(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        plant.device().connect_fault = down
        await plant.declare(connection(), plc=points(1))
        tries = []
        for _ in range(600):
            await plant.clock.advance(1)
            tries.append(plant.device().opened)
        assert tries[0] >= 2, "the first pauses are under a second"
        assert 20 <= tries[-1] - tries[60] <= 90, "then one try each 15 s on average"
        plant.device().connect_fault = None
        await plant.clock.advance(120)
        plant.device().fault = down
        await plant.clock.advance(1)
        plant.device().fault = None
        await plant.clock.advance(1.5)
        assert plant.status().state is LinkState.CONNECTED


async def test_a_device_that_comes_and_goes_does_not_fill_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with bed(tmp_path) as plant:
        await plant.declare(connection(), plc=points(1))
        await plant.clock.advance(60)
        caplog.clear()
        for _ in range(50):
            plant.device().fault = down
            await plant.clock.advance(5)
            plant.device().fault = None
            await plant.clock.advance(5)
        await plant.clock.advance(100)
        assert plant.status().state is LinkState.CONNECTED
        assert len(lines(caplog)) <= 4 and "back" in lines(caplog)[-1]


async def test_a_refusal_waits_for_a_person_and_tries_rarely(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        plant.device().connect_fault = lambda: Refused("wrong password")
        await plant.declare(connection(), plc=points(1))
        await plant.clock.advance(14)
        assert plant.status().state is LinkState.REFUSED and plant.device().opened == 1
        plant.device().connect_fault = None
        await plant.clock.advance(30)
        assert plant.status().state is LinkState.CONNECTED


async def test_a_bug_in_one_driver_leaves_the_others_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with bed(tmp_path) as plant:
        plant.device("broken").fault = lambda: KeyError("oops")
        await plant.declare(connection("broken"), connection("fine"), broken=points(1), fine=points(1, first=5))
        await plant.clock.advance(300)
        assert plant.status("broken").state is LinkState.REFUSED
        assert "fault" in plant.status("broken").error and "oops" not in plant.status("broken").error
        assert plant.qualities(0) == [q.BAD_NO_COMMUNICATION]
        assert plant.status("fine").state is LinkState.CONNECTED and len(plant.qualities(5)) == 301
    loud = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(loud) == 1 and loud[0].exc_info


async def test_a_driver_that_hangs_is_given_up(tmp_path: Path) -> None:
    async with bed(tmp_path, request_timeout_s=0.05) as plant:
        await plant.declare(connection(), plc=points(1))
        plant.device().hold = asyncio.Event()
        await plant.clock.advance(1)
        await plant.lost.wait()
        assert "no answer" in plant.status().error
        assert plant.device().busy == 0 and plant.device().closed == 1


# --- writes and browsing ------------------------------------------------------------------------------------------


async def test_a_write_goes_to_the_device_and_is_read_back(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        await plant.declare(connection(), plc=points(2))
        await plant.supervisor.write("acme/p1", 7.5)
        back = await plant.supervisor.read_back("acme/p1")
        assert back.values.tolist() == [7.5] and back.handles.tolist() == [1]


async def test_a_write_is_refused_with_its_reason(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        await plant.declare(connection(), connection("off", enabled=False), plc=points(1), off=points(1, first=9))
        with pytest.raises(NotFound):
            await plant.supervisor.write("acme/nobody", 1.0)
        with pytest.raises(Unavailable):
            await plant.supervisor.write("acme/p9", 1.0)
        with pytest.raises(Refused, match="thirteen"):
            await plant.supervisor.write("acme/p0", 13.0)
        assert plant.status().state is LinkState.CONNECTED, "a refusal does not end the session"


async def test_writes_go_before_reads_and_one_call_at_a_time(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        device = plant.device()
        await plant.declare(connection(), plc=points(2, interval_s=0.1))
        device.hold = asyncio.Event()
        await plant.clock.advance(0.1)  # a read is on the wire and held
        await plant.clock.advance(0.5)  # others are due
        writing = [asyncio.create_task(plant.supervisor.write("acme/p0", float(value))) for value in (1, 2)]
        browsing = asyncio.create_task(_names(plant))
        await settle()
        device.calls.clear()
        device.hold.set()
        await asyncio.gather(*writing)
        assert device.calls[:2] == ["write 1.0", "write 2.0"]
        assert await browsing == ["n0", "n1", "n2"]
        assert device.busy_max == 1


async def _names(plant: Bed) -> list[str]:
    return [node.name async for node in plant.supervisor.browse("plc", None)]


async def test_a_caller_who_has_browsed_enough_lets_the_driver_finish(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        await plant.declare(connection(), plc=points(1))
        nodes = plant.supervisor.browse("plc", None)
        assert (await anext(nodes)).name == "n0"
        await nodes.aclose()
        await settle()
        assert plant.device().calls[-1] == "browse ends"


async def test_a_browse_does_not_go_on_over_another_session(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        await plant.declare(connection(), plc=points(1))
        nodes = plant.supervisor.browse("plc", None)
        await anext(nodes)
        plant.device().fault = down
        await plant.clock.advance(1)
        plant.device().fault = None
        await plant.clock.advance(1)
        assert plant.status().state is LinkState.CONNECTED
        with pytest.raises(Unavailable, match="browse again"):
            await anext(nodes)


async def test_a_link_that_breaks_under_a_write_fails_it_and_those_behind_it(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        await plant.declare(connection(), plc=points(1))
        plant.device().hold = asyncio.Event()
        writing = [asyncio.create_task(plant.supervisor.write("acme/p0", float(value))) for value in (1, 2)]
        await settle()
        plant.device().fault = lambda: Garbled("nonsense")
        plant.device().hold.set()
        outcome = await asyncio.gather(*writing, return_exceptions=True)
        assert [type(error) for error in outcome] == [Garbled, Unavailable]
        assert plant.status().state is LinkState.WAITING


async def test_a_caller_who_gives_up_does_not_break_the_session(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        await plant.declare(connection(), plc=points(1))
        plant.device().hold = asyncio.Event()
        writing = asyncio.create_task(plant.supervisor.write("acme/p0", 5.0))
        await settle()
        writing.cancel()
        await settle()
        plant.device().hold.set()
        await settle()
        assert plant.device().values == {0: 5.0} and plant.status().state is LinkState.CONNECTED


async def test_browsing_what_cannot_be_browsed_says_so(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        await plant.declare(connection(driver="told"), plc=points(1))
        with pytest.raises(Unavailable, match="cannot be browsed"):
            await _names(plant)


# --- subscribed ---------------------------------------------------------------------------------------------------


async def test_a_subscribed_session_publishes_what_it_is_told_and_notices_the_end(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        device = plant.device()
        await plant.declare(connection(driver="told"), plc=points(2))
        assert device.calls == ["subscribe 2"] and device.deliver is not None and device.lost is not None
        device.deliver([Batch.of(ValueKind.FLOAT64, [0, 1], plant.clock.now_ns(), [1.5, 2.5])])
        await settle()
        assert plant.samples(1) == [(2.5, q.GOOD)]
        old = device.deliver
        device.lost(Unreachable("gone"))
        await settle()
        assert plant.qualities(1) == [q.GOOD, q.BAD_NO_COMMUNICATION]
        await plant.clock.advance(1)
        assert plant.status().state is LinkState.CONNECTED and device.calls == ["subscribe 2"] * 2
        old([Batch.of(ValueKind.FLOAT64, [0], plant.clock.now_ns(), [9.0])])  # a late callback of the closed driver
        await settle()
        assert (9.0, q.GOOD) not in plant.samples(0)


async def test_a_slow_bus_drops_the_oldest_of_a_subscription_and_counts(tmp_path: Path) -> None:
    async with bed(tmp_path, outbox_samples=10) as plant:
        device = plant.device()
        await plant.declare(connection(driver="told"), plc=points(1))
        assert device.deliver is not None
        plant.gate.clear()
        device.deliver([Batch.of(ValueKind.FLOAT64, [0], plant.clock.now_ns(), [-1.0])])
        await settle()  # this one waits in publish
        for value in range(25):
            device.deliver([Batch.of(ValueKind.FLOAT64, [0], plant.clock.now_ns(), [float(value)])])
        plant.gate.set()
        await settle()
        assert [value for value, _ in plant.samples(0)] == [-1.0, *map(float, range(15, 25))]
        assert plant.status().counters.dropped == 15


async def test_a_slow_bus_slows_a_polled_device_and_loses_nothing(tmp_path: Path) -> None:
    async with bed(tmp_path, outbox_samples=5) as plant:
        await plant.declare(connection(), plc=points(2))  # three reads overfill five
        plant.gate.clear()
        await plant.clock.advance(20)
        reads = plant.device().calls.count("read")
        assert reads <= 5
        plant.gate.set()
        await settle()
        counters = plant.status().counters
        assert counters.stalls and counters.dropped == 0 and counters.overruns >= 10
        assert len(plant.samples(0)) == plant.device().calls.count("read")


# --- what the device cannot mean ----------------------------------------------------------------------------------


async def test_wild_clocks_nan_and_values_out_of_range_are_flagged_and_kept(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        device = plant.device()
        device.values = {0: float("nan"), 1: float("inf"), 2: 121.0, 3: 120.0}
        await plant.declare(connection(), plc=[*points(2), *points(2, first=2, range=(0.0, 120.0))])
        assert [plant.samples(handle) for handle in range(4)] == [
            [(None, q.BAD_SENSOR_FAILURE)],
            [(float("inf"), q.BAD_SENSOR_FAILURE)],
            [(121.0, q.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED)],
            [(120.0, q.GOOD)],
        ]
        for source_ns in (0, SOURCE_TIME_MIN_NS - 1, 4_102_444_800_000_000_000):  # 1970, 1989, 2100
            device.source_ns = source_ns
            plant.batches.clear()
            await plant.clock.advance(1)
            assert plant.qualities(3) == [q.BAD_INVALID_TIMESTAMP]
            assert plant.batches[-1].source_ns.tolist() == [source_ns] * 4
        assert plant.status().counters.wild_clocks == 12


async def test_bad_marks_are_dated_after_the_newest_good_sample(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        ahead_ns = plant.clock.now_ns() + 300_000_000_000  # five minutes: wrong, but not wild
        plant.device().source_ns = ahead_ns
        await plant.declare(connection(), plc=points(1))
        plant.device().fault = down
        await plant.clock.advance(1)
        assert plant.batches[-1].source_ns.tolist() == [ahead_ns + 1]


async def test_a_wall_clock_that_jumps_changes_no_rate_and_no_state(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        await plant.declare(connection(), plc=points(1))
        await plant.clock.advance(10)
        for jump_s in (7 * 86_400.0, -14 * 86_400.0):
            plant.clock.jump_wall(jump_s)
            await plant.clock.advance(10)
            assert plant.batches[-1].source_ns.tolist() == [plant.clock.now_ns()]
        assert plant.qualities() == [q.GOOD] * 31 and plant.status().counters.overruns == 0
        plant.device().fault = down
        await plant.clock.advance(1)
        assert plant.qualities()[-1] == q.BAD_NO_COMMUNICATION
        assert abs(int(plant.batches[-1].source_ns[0]) - plant.clock.now_ns()) <= 1_000_000_000


# --- reconciling --------------------------------------------------------------------------------------------------


async def test_reconcile_touches_only_what_changed(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        await plant.declare(connection("a"), connection("b"), a=points(1), b=points(1, first=5))
        for _ in range(3):
            await plant.declare(connection("a"), connection("b"), a=points(1), b=points(1, first=5))
        assert (plant.device("a").opened, plant.device("b").opened) == (1, 1)
        await plant.declare(connection("a", device="other"), connection("b"), a=points(1), b=points(2, first=5))
        assert (plant.device("a").opened, plant.device("b").opened) == (2, 1)
        await plant.clock.advance(1)
        assert plant.qualities(6), "the new point is read over the old session"
        await plant.declare(connection("b"), b=points(2, first=5))
        assert plant.device("a").closed == 2
        with pytest.raises(NotFound):
            await plant.supervisor.write("acme/p0", 1.0)


async def test_disabled_and_wrong_connections_say_so_in_state_and_quality(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        await plant.declare(
            connection("off", enabled=False),
            connection("typo", devcie="x"),
            connection("alien", driver="profibus"),
            off=points(1),
            typo=points(1, first=1),
            alien=points(1, first=2),
        )
        await settle()
        assert [plant.qualities(handle) for handle in range(3)] == [
            [q.BAD_OUT_OF_SERVICE],
            [q.BAD_CONFIGURATION_ERROR],
            [q.BAD_CONFIGURATION_ERROR],
        ]
        assert plant.status("off").state is LinkState.DISABLED
        assert plant.status("typo").state is LinkState.REFUSED and "devcie" in plant.status("typo").error
        assert "use fake, told" in plant.status("alien").error
        await plant.declare(connection("off"), connection("typo"), off=points(1), typo=points(1, first=1))
        assert plant.qualities(0)[-1] == q.GOOD and plant.qualities(1)[-1] == q.GOOD


async def test_new_points_of_a_subscription_reconnect_quietly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with bed(tmp_path) as plant:
        await plant.declare(connection(driver="told"), plc=points(1))
        caplog.clear()
        for _ in range(3):
            await plant.declare(connection(driver="told"), plc=points(3))
        await settle()
        assert plant.device().calls == ["subscribe 1", "subscribe 3"] and lines(caplog) == []


async def test_what_is_declared_before_run_starts_with_it(tmp_path: Path) -> None:
    async with bed(tmp_path) as other:
        early = Bed(tmp_path / "early", other.supervisor._around.policy)
        await early.declare(connection(), plc=points(1))
        assert early.device().opened == 0
        running = asyncio.create_task(early.supervisor.run())
        await settle()
        assert early.qualities() == [q.GOOD]
        early.supervisor.stop()
        await running
        assert early.device().closed == 1


# --- trust --------------------------------------------------------------------------------------------------------


async def test_a_certificate_is_trusted_once_and_remembered(tmp_path: Path) -> None:
    async with bed(tmp_path) as plant:
        plant.device().connect_fault = lambda: Refused("not trusted")
        await plant.declare(connection(), plc=points(1))
        assert plant.status().state is LinkState.REFUSED
        shown = await plant.supervisor.fingerprint("plc")
        plant.device().certificate = "BB:02"
        with pytest.raises(Conflict, match="BB:02"):
            await plant.supervisor.trust("plc", shown)
        plant.device().connect_fault = None
        await plant.supervisor.trust("plc", "BB:02")
        await settle()
        assert plant.status().state is LinkState.CONNECTED and plant.device().trusted == "BB:02"
    async with bed(tmp_path) as plant:
        await plant.declare(connection(), plc=points(1))
        assert plant.device().trusted == "BB:02"
