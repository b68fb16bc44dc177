"""The life of an app: what it is asked, in which order; and what is left when its process is killed amidst of it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.hosting.lending import Hasty, Lent, asked, lent, manifest_of, runner_of, running

from headrace.hosting.abilities import AppState
from headrace.hosting.runner import AppRunner
from headrace.model.batch import ValueKind
from headrace.model.errors import AccessError, ConfigError, DataError, LimitReached, NotFound, Unavailable
from headrace.model.events import Event
from headrace.model.time import SECOND_NS
from headrace.sdk.access import Action
from headrace.sdk.testing.fake_plant import FakePlant

FILES: dict[str, str | bytes] = {
    "app.py": (Path(__file__).parent / "lively.py").read_bytes(),
    "migrations/0001-notes.sql": "CREATE TABLE notes (what TEXT, at INTEGER);\nCREATE TABLE given (path, value);",
}
MORE = """
[permissions]
assets = ["acme"]
read = ["acme"]
events = ["thing.*"]
tables_mb = 5
[limits]
call_s = 10
[settings.die]
kind = "text"
default = "never"
[settings.how]
kind = "text"
default = "exit"
"""
COUNT, OTHER = "acme/line-1/press-3/count", "acme/line-1/mill-1/count"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Lent]:
    plant = FakePlant()
    plant.point(COUNT, ValueKind.INT64)
    plant.point(OTHER, ValueKind.INT64)
    plant.point("beta/line-1/press-3/count", ValueKind.INT64)
    async with lent(tmp_path, plant, Hasty()) as house:
        yield house


def lively(house: Lent, **settings: str) -> AppRunner:
    return runner_of(house, FILES, manifest_of(MORE), settings=settings)


async def get(runner: AppRunner, path: str, **more: Any) -> Any:
    return json.loads((await runner.request(asked("GET", path, **more))).body)


async def until(runner: AppRunner, path: str, held: Callable[[Any], bool]) -> Any:
    """What a route answers, once it is as wanted; also over restarts."""
    found = None
    try:
        async with asyncio.timeout(60):
            while True:
                try:
                    found = await get(runner, path)
                    if held(found):
                        return found
                except (Unavailable, LimitReached):
                    await runner.wait_until_running()
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"{path} answers {found}; {runner.health()}") from None


async def publish(house: Lent, first: int, count: int = 5) -> None:
    now = house.clock.now_ns()
    for path in (COUNT, "beta/line-1/press-3/count"):
        house.plant.feed(path, [(now + at, first + at) for at in range(count)])
    samples, _ = house.plant.take(2**62)
    await house.publish(samples)


async def happen(house: Lent, number: int) -> None:
    for subject in ("acme/line-1/press-3", "beta/line-1/press-3"):
        for type in ("thing.done", "other.done"):
            event = Event(f"{type}{subject}{number}", "test", type, subject, house.clock.now_ns(), {"n": number})
            await house.bus.publish_events([event])


def seen(notes: list[str], start: str) -> list[str]:
    return [one for one in notes if one.startswith(start)]


async def test_it_is_given_what_comes_and_nothing_of_others(house: Lent) -> None:
    async with running(lively(house)) as runner:
        await publish(house, 0)
        await happen(house, 1)
        assert await until(runner, "/given", lambda one: len(one) >= 5) == [[COUNT, at] for at in range(5)]
        notes = await until(runner, "/notes", lambda one: seen(one, "event") and seen(one, "job"))
        assert notes[0] == "start" and seen(notes, "event") == ["event thing.done acme/line-1/press-3 1"]
        assert int(seen(notes, "job")[0].split()[1]) % SECOND_NS == 0
        health = runner.health()
        assert health.samples_given >= 5 and health.events_given == 1 and health.restarts == 0
        assert health.cpu_s > 0 and health.memory_bytes > 1_000_000 and health.tables_bytes > 0
        assert health.calls["job tick"].calls >= 1 and health.calls["GET /notes"].failures == 0
        declared = runner.declared
        assert [one.name for one in declared.jobs] == ["tick"] and declared.jobs[0].last_ns
        assert declared.find("GET", "/may/x") is not None and declared.find("GET", "/may") is None
    assert runner.health().state is AppState.STOPPED


async def test_it_is_given_what_its_settings_name(house: Lent) -> None:
    source = """
from headrace.sdk.apps import App
app, taken = App(), []

@app.samples(lambda settings: [settings["how"]])
async def take(ctx, samples):
    taken.extend(samples.paths.values())

@app.route("GET", "/taken")
async def told(ctx, request):
    return taken
"""
    runner = runner_of(house, {"app.py": source}, manifest_of(MORE), settings={"how": OTHER})
    async with running(runner):
        assert runner.declared.samples == ((OTHER,),)
        for path in (COUNT, OTHER):
            house.plant.feed(path, [(house.clock.now_ns(), 1)])
        samples, _ = house.plant.take(2**62)
        await house.publish(samples)
        assert set(await until(runner, "/taken", bool)) == {OTHER}
    runner = runner_of(house, {"app.py": source}, manifest_of(MORE), settings={"how": "no place[s]"})
    async with running(runner, wait=False):
        with pytest.raises(Unavailable, match="names no part of the plant"):
            await runner.wait_until_running()


@pytest.mark.parametrize("what", ["start", "samples", "events", "job", "stop"])
async def test_killed_amidst_of_a_call_it_goes_on_and_loses_nothing(house: Lent, what: str) -> None:
    async with running(lively(house, die=what)) as runner:
        await publish(house, 0)
        await until(runner, "/given", lambda one: len(one) >= 5)
        for number in range(1, 200):
            await happen(house, number)
            if await get_or(runner, "/notes", lambda one: bool(seen(one, "event"))):
                break
            await asyncio.sleep(0.05)
        notes = await until(runner, "/notes", lambda one: seen(one, "job") and seen(one, "event"))
        assert ("died" in notes) is (what != "stop")
        await publish(house, 5)
        await until(runner, "/given", lambda one: len(one) >= 10)
        assert runner.health().restarts == (0 if what == "stop" else 1)
    async with running(lively(house)) as runner:  # another life
        notes = await get(runner, "/notes")
        assert ("stop" in notes) is (what != "stop")
        jobs = [int(one.split()[1]) for one in seen(notes, "job")]
        assert jobs == sorted(jobs)


async def get_or(runner: AppRunner, path: str, held: Callable[[Any], bool]) -> bool:
    try:
        return held(await get(runner, path))
    except (Unavailable, LimitReached):
        return False


@pytest.mark.parametrize("how", ["exit", "signal", "outside"])
async def test_killed_amidst_of_a_request_whoever_asked_is_told(house: Lent, how: str) -> None:
    async with running(lively(house)) as runner:
        if how == "outside":
            asking = asyncio.ensure_future(runner.request(asked("GET", "/together")))
            await asyncio.sleep(0.01)
            process = runner._process
            assert process is not None and process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            with pytest.raises(Unavailable):
                await asking
        elif how == "exit":
            with pytest.raises(Unavailable, match="ended"):
                await runner.request(asked("POST", "/die"))
        else:  # the fences let nobody send a signal, not even to itself
            with pytest.raises(DataError, match="PermissionError"):
                await runner.request(asked("POST", "/die", query={"how": "signal"}))
        await until(runner, "/notes", lambda one: how == "outside" or "dying" in one)


async def test_requests_that_read_run_together_and_others_alone(house: Lent) -> None:
    async with running(lively(house)) as runner:
        found = await asyncio.gather(*(get(runner, "/together") for _ in range(5)))
        assert max(found) > 1
    async with running(lively(house)) as runner:
        replies = await asyncio.gather(*(runner.request(asked("POST", "/alone")) for _ in range(5)))
        assert {one.body for one in replies} == {b"1"}
        asking = [asyncio.ensure_future(runner.request(asked("GET", "/together"))) for _ in range(80)]
        refused = [
            one for one in await asyncio.gather(*asking, return_exceptions=True) if isinstance(one, LimitReached)
        ]
        assert len(refused) == 16


async def test_a_route_answers_and_its_errors_are_told_as_they_are(house: Lent) -> None:
    async def may(action: Action, path: str) -> bool:
        return action is Action.VIEW and path == "yes"

    async with running(lively(house)) as runner:
        reply = await runner.request(asked("GET", "/may/yes", query={"a": "丙"}, language="zh", may=may))
        assert (reply.body.decode(), reply.media_type, reply.file) == ("anna zh 丙", "text/plain", "a.txt")
        with pytest.raises(AccessError, match="anna may not view"):
            await runner.request(asked("GET", "/may/no", query={"a": ""}, may=may))
        with pytest.raises(NotFound):
            await runner.request(asked("GET", "/nowhere"))
        with pytest.raises(NotFound):
            await runner.request(asked("DELETE", "/notes"))
        body = json.dumps({"number": 1, "text": "压机"}).encode()
        assert json.loads((await runner.request(asked("POST", "/json", body=body))).body)["text"] == "压机"
        with pytest.raises(DataError, match="'number' is missing"):
            await runner.request(asked("POST", "/json", body=b"{}"))
        with pytest.raises(DataError, match="ZeroDivisionError"):
            await runner.request(asked("GET", "/crash"))
        with pytest.raises(DataError, match="no JSON"):
            await runner.request(asked("GET", "/set"))
        assert (await runner.request(asked("GET", "/nothing"))).status == 204
        log = [line for _, line in runner.health().log]
        assert "printed words" in log and "logged" in log and any("app.py" in line for line in log)
        assert runner.health().failure.startswith("GET /set") and runner.health().restarts == 0


async def test_who_gives_up_lets_nobody_in_before_it_is_done(house: Lent) -> None:
    async with running(lively(house)) as runner:
        for _ in range(5):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.02):
                    await runner.request(asked("POST", "/alone"))
        assert (await runner.request(asked("POST", "/alone"))).body == b"1"


LOOPING = """
import asyncio, os, sys, time
from headrace.hosting.process import AppProcess
from headrace.sdk.clock import SystemClock

class House:
    def stamp(self):
        return 1, 1
    def logged(self, lines):
        pass

async def main():
    source = (b"from headrace.sdk.apps import App\\napp = App()\\n"
              b"@app.on_start\\nasync def start(ctx):\\n    while True: pass\\n")
    hello = {"app": "a", "tenant": "t", "module": "app", "package": "the_app", "imports": [], "settings": {},
             "sources": {"app.py": source}, "memory_bytes": 64_000_000, "trusted": False, "open_fences": True}
    process = await AppProcess.start(hello, House(), SystemClock())
    asyncio.ensure_future(process.call("start", None, within_s=60))
    await asyncio.sleep(0.3)
    print(process.pid, flush=True)
    os.kill(os.getpid(), 9)

asyncio.run(main())
"""


async def test_a_loop_ends_with_the_platform_that_was_killed() -> None:
    platform = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LOOPING, stdout=asyncio.subprocess.PIPE, env={**os.environ, "PYTHONPATH": "src"}
    )
    told, _ = await platform.communicate()
    pid = int(told)
    async with asyncio.timeout(30):
        while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0.1)


async def test_it_hears_of_a_new_plant(house: Lent) -> None:
    async with running(lively(house)) as runner:
        before = await get(runner, "/revision")
        house.plant.point("acme/line-1/press-4/count", ValueKind.INT64)
        assert await get(runner, "/revision") > before


async def test_it_is_restarted_by_hand_and_stopped_while_it_waits(house: Lent) -> None:
    async with running(lively(house)) as runner:
        runner.restart()
        await until(runner, "/notes", lambda one: len(seen(one, "start")) == 2)
    with pytest.raises(Unavailable):
        await runner.request(asked("GET", "/notes"))
    with pytest.raises(Unavailable):
        await runner.wait_until_running()


async def test_tables_that_do_not_open_halt_it_until_somebody_says_so(house: Lent) -> None:
    async with running(lively(house)):
        pass
    changed = {**FILES, "migrations/0001-notes.sql": "CREATE TABLE other (a);"}
    async with running(runner_of(house, changed, manifest_of(MORE)), wait=False) as runner:
        with pytest.raises(Unavailable, match="migration"):
            await runner.wait_until_running()
        runner.restart()
        with pytest.raises(Unavailable, match="migration"):
            await runner.wait_until_running()


@pytest.mark.parametrize("file", ["samples.json", "jobs.json"])
async def test_what_cannot_be_kept_halts_it_until_it_can(house: Lent, file: str) -> None:
    (house.folder / file).mkdir(parents=True)
    async with running(lively(house), wait=False) as runner:
        with pytest.raises(Unavailable, match="directory"):
            await runner.wait_until_running()
        (house.folder / file).rmdir()
        runner.restart()
        while runner.health().state is AppState.HALTED:
            await asyncio.sleep(0.01)
        await runner.wait_until_running()
        await publish(house, 0)
        await until(runner, "/given", lambda one: len(one) >= 5)


async def test_what_cannot_be_kept_later_starts_it_anew(house: Lent) -> None:
    async with running(lively(house)) as runner:
        (house.folder / "jobs.json.partial").mkdir()
        async with asyncio.timeout(60):
            while runner.health().restarts == 0:
                await asyncio.sleep(0.02)
        (house.folder / "jobs.json.partial").rmdir()
        await until(runner, "/notes", lambda one: len(seen(one, "start")) > 1)
        assert "cannot be written" in str(runner.health().log)


def test_migrations_that_are_no_text_are_refused(house: Lent) -> None:
    with pytest.raises(ConfigError):
        runner_of(house, {**FILES, "migrations/0002-x.sql": b"\xff\xfe"}, manifest_of(MORE))


async def test_one_that_is_a_package_imports_itself_by_its_name(house: Lent) -> None:
    files = {
        "__init__.py": "", "app.py": "from headrace.apps.some.deep.part import app\n",
        "deep/part.py": "from headrace.sdk.apps import App\nfrom ..more import answer\napp = App()\n"
        "@app.route('GET', '/x')\nasync def x(ctx, request):\n    return answer\n",
        "more.py": "import pkgutil\nanswer = pkgutil.get_data(__name__, 'table.txt').decode()\n", "table.txt": "丙",
    }  # fmt: skip
    async with running(runner_of(house, files, package="headrace.apps.some")) as runner:
        assert await get(runner, "/x") == "丙"
