"""The kit in which authors test their apps: time, samples, people, crashes, and the manifest that holds them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from headrace.model import quality as q
from headrace.model.batch import ValueKind
from headrace.model.errors import AccessError, ConfigErrors, NotFound, Refused, Unreachable
from headrace.model.time import MINUTE_NS, parse_time_ns
from headrace.sdk.apps import Action, Answer
from headrace.sdk.store import Aggregate
from headrace.sdk.testing.apps import AppUnderTest
from headrace.sdk.testing.fake_history import buckets_of
from headrace.sdk.testing.fake_plant import FakePlant, every

HOURS = Path(__file__).parent / "hours"
PRESS, MILL = "acme/line-1/press-3/state", "acme/line-1/mill-1/state"


@pytest.fixture
def plant() -> FakePlant:
    made = FakePlant()
    for path in (PRESS, MILL, "beta/line-1/saw-1/state"):
        made.point(path, ValueKind.TEXT)
    made.point("acme/line-1/lamp", ValueKind.BOOL, writable=True)
    made.point("acme/line-1/oil.temperature", unit="Cel")
    return made


async def test_an_app_from_morning_to_midnight(plant: FakePlant) -> None:
    plant.feed(PRESS, {"2026-11-26T00:00:00Z": "run", "2026-11-26T06:30:00Z": "stop", "2026-11-26T07:00:00Z": "run"})
    plant.feed(MILL, {"2026-11-26T01:00:00Z": "run", "2026-11-26T02:00:00Z": "stop"})
    plant.feed("beta/line-1/saw-1/state", {"2026-11-26T01:00:00Z": "run", "2026-11-26T02:00:00Z": "stop"})
    plant.tell("alarm.raised", PRESS, "2026-11-26T03:00:00Z")
    plant.tell("alarm.raised", "beta/line-1", "2026-11-26T03:00:00Z")
    plant.tell("edge.lost", PRESS, "2026-11-26T03:00:00Z")
    async with AppUnderTest.of(HOURS, plant, start="2026-11-25T23:00:00Z") as app:
        await app.run_until("2026-11-26T08:00:00Z")
        assert await app.get("/hours/press-3") == [{"path": PRESS, "hours": 6.5}]
        assert app.events == [] and len([line for line in app.log if line.startswith("hour ")]) == 9
        assert "1 alarms" in app.log
        await app.run_until("2026-11-26T16:00:00Z")  # midnight in Shanghai
        assert [(one.subject, one.data["hours"], one.time_ns) for one in app.events] == [
            (MILL, 1.0, parse_time_ns("2026-11-26T16:00:00Z")), (PRESS, 6.5, parse_time_ns("2026-11-26T16:00:00Z")),
        ]  # fmt: skip
        assert app.document("reports/last.txt").decode().startswith("截至")


async def test_what_a_crash_leaves(plant: FakePlant) -> None:
    plant.feed(PRESS, {"2026-11-26T00:00:00Z": "run", "2026-11-26T02:00:00Z": "stop"})
    async with AppUnderTest.of(HOURS, plant) as app:
        await app.run_until("2026-11-26T01:00:00Z")
        await app.restart()  # it is given the last samples again
        assert app.log[-1] == "goes on with 1"
        await app.run_until("2026-11-26T03:00:00Z")
        await app.restart()
        assert await app.get("/hours/press-3") == [{"path": PRESS, "hours": 2.0}]


async def test_what_passes_while_it_does_not_run(plant: FakePlant) -> None:
    plant.feed(PRESS, {"2026-11-26T00:00:00Z": "run", "2026-11-26T05:00:00Z": "stop"})
    async with AppUnderTest.of(HOURS, plant) as app:
        await app.run_until("2026-11-26T00:30:00Z")
        await app.down_until("2026-11-27T17:30:00Z")
        assert await app.get("/hours/press-3") == [{"path": PRESS, "hours": 5.0}]
        assert len([line for line in app.log if line.startswith("hour ")]) == 41  # each of them
        assert [one.time_ns for one in app.events] == [parse_time_ns("2026-11-27T16:00:00Z")]  # only the last day
        await app.run_until("2026-11-27T18:00:00Z")
        assert len([line for line in app.log if line.startswith("hour ")]) == 42


async def test_samples_that_come_late(plant: FakePlant) -> None:
    plant.feed(PRESS, {"2026-11-26T00:10:00Z": "run"}, late="50min")
    async with AppUnderTest.of(HOURS, plant) as app:
        await app.run_until("2026-11-26T00:59:00Z")
        assert (await app.context.history.latest([PRESS], app.now_ns)).batches == []
        await app.run_until("2026-11-26T01:00:00Z")
        [batch] = (await app.context.history.latest([PRESS], app.now_ns)).batches
        assert batch.received_ns[0] - batch.source_ns[0] == 50 * MINUTE_NS


async def test_the_manifest_holds_in_a_test_too(plant: FakePlant) -> None:
    async with AppUnderTest.of(HOURS, plant) as app:
        ctx = app.context
        assert [one.path for one in await ctx.model.points()] == [
            "acme/line-1/lamp", MILL, "acme/line-1/oil.temperature", PRESS,
        ]  # fmt: skip
        assert [one.path for one in await ctx.model.assets("acme/line-1")] == [
            "acme/line-1", "acme/line-1/mill-1", "acme/line-1/press-3",
        ]  # fmt: skip
        with pytest.raises(AccessError, match="may not read"):
            await ctx.history.latest(["acme/line-1/oil.temperature"], 0)
        with pytest.raises(AccessError, match="may not read"):
            await ctx.live.get(["beta/line-1/saw-1/state"])
        with pytest.raises(AccessError, match="may not write"):
            await ctx.commands.write(PRESS, "run", "why not")
        with pytest.raises(AccessError, match="may not tell"):
            await ctx.events.publish("alarm.raised", PRESS, {})
        with pytest.raises(AccessError, match="does not see"):
            await ctx.events.publish("hours.counted", "beta/line-1/saw-1", {})
        with pytest.raises(AccessError, match="alarms"):
            await ctx.alarms.current()
        with pytest.raises(Refused, match="elsewhere"):
            await ctx.http.request("GET", "https://elsewhere.com/")
        with pytest.raises(Unreachable):
            await ctx.http.request("GET", "https://api.example.com/x")
        ctx.http_answer = lambda method, url, headers, body: Answer(200, {}, b"ok")
        assert (await ctx.http.request("GET", "https://api.example.com/x")).body == b"ok"


async def test_people_ask_and_their_rights_count(plant: FakePlant) -> None:
    async def viewer(action: Action, path: str) -> bool:
        return action is Action.VIEW and not path.endswith("mill-1/state")

    plant.feed(PRESS, {"2026-11-26T00:00:00Z": "run", "2026-11-26T01:00:00Z": "stop"})
    async with AppUnderTest.of(HOURS, plant) as app:
        await app.run_until("2026-11-26T02:00:00Z")
        assert len(await app.get("/hours/press-3", may=viewer)) == 1
        with pytest.raises(AccessError):
            await app.post("/lamp", {"path": "acme/line-1/lamp", "on": True}, may=viewer)
        assert await app.post("/lamp", {"path": "acme/line-1/lamp", "on": True}) == {"state": "confirmed", "detail": ""}
        assert [(one.path, one.value, one.reason) for one in plant.written] == [
            ("acme/line-1/lamp", True, "anna asked")
        ]
        plant.refuse["acme/line-1/lamp"] = "locked by bob"
        assert (await app.post("/lamp", {"path": "acme/line-1/lamp", "on": True}))["detail"] == "locked by bob"
        with pytest.raises(NotFound):
            await app.get("/nothing")


async def test_signatures_are_of_these_bytes_at_that_time(plant: FakePlant) -> None:
    async with AppUnderTest.of(HOURS, plant) as app:
        signer = app.context.signer
        made = await signer.sign(b"baseline")
        assert await signer.verify(b"baseline", made)
        assert not await signer.verify(b"baselines", made)
        assert made.time_ns == app.now_ns


def test_settings_are_checked_as_they_are_on_a_platform(plant: FakePlant) -> None:
    with pytest.raises(ConfigErrors, match="Mars") as said:
        AppUnderTest.of(HOURS, plant, settings={"zone": "Mars/Olympus", "runing": "x"})
    assert len(said.value.errors) == 2


async def test_buckets_are_what_a_store_would_say(plant: FakePlant) -> None:
    path = "acme/line-1/oil.state"
    plant.point(path, unit="Cel")
    rows = every("7s", "2026-11-26T00:00:03Z", [20.0 + at % 5 for at in range(150)])
    plant.feed(path, rows)
    plant.feed(path, {"2026-11-26T00:10:00Z": 99.0}, quality=q.BAD_TIMEOUT)
    plant.take(2**62)
    start, end = parse_time_ns("2026-11-26T00:00:00Z"), parse_time_ns("2026-11-26T00:25:00Z")
    got = buckets_of(plant, [path], start, end, 5 * MINUTE_NS, list(Aggregate), good_only=True)
    assert len(got.start_ns) == 5 and got.start_ns[0] % (5 * MINUTE_NS) == 0
    inside = [value for time_ns, value in rows if start + 10 * MINUTE_NS <= int(time_ns) < start + 15 * MINUTE_NS]
    column = {name: cells[0, 2] for name, cells in got.columns.items()}
    assert column[Aggregate.COUNT] == len(inside) + 1 and column[Aggregate.GOOD_COUNT] == len(inside)
    assert column[Aggregate.MEAN] == pytest.approx(np.mean(inside)) and column[Aggregate.MAX] == 24.0
    assert column[Aggregate.TIME_IN_STATE] == pytest.approx(300 - 3, abs=4)  # what is bad holds until the next
    assert math.isnan(got.columns[Aggregate.MEAN][0, 4]) and got.columns[Aggregate.COUNT][0, 4] == 0


async def test_an_app_is_given_what_its_settings_name(tmp_path: Path, plant: FakePlant) -> None:
    (tmp_path / "manifest.toml").write_text(
        'name = "acme.some"\nversion = "1.0.0"\nsdk = "1.0"\ntitle = { en = "Some", zh = "一些" }\n'
        '[permissions]\nread = ["**"]\n[settings.points]\nkind = "point"\nmany = true\ndefault = []\n'
    )
    (tmp_path / "app.py").write_text(
        "from headrace.sdk.apps import App\napp = App()\n"
        '@app.samples(lambda settings: settings["points"])\nasync def take(ctx, samples):\n'
        "    ctx.log(','.join(sorted(samples.paths.values())))\n"
    )
    for path in (PRESS, MILL):
        plant.feed(path, {"2026-11-26T00:00:01Z": "run"})
    async with AppUnderTest.of(tmp_path, plant, settings={"points": [MILL]}) as app:
        await app.run_until("2026-11-26T00:00:02Z")
        assert app.log == [MILL]
    async with AppUnderTest.of(tmp_path, plant, settings={}) as app:
        plant.feed(PRESS, {"2026-11-26T00:00:05Z": "run"})
        await app.run_until("2026-11-26T00:00:06Z")
        assert app.log == []
