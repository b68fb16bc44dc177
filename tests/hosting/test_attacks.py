"""A hostile app gets nothing that it was not granted, and whatever it does, the platform and its next start go on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.hosting.lending import Hasty, Lent, asked, lent, manifest_of, runner_of, running

from headrace.hosting.abilities import AppState
from headrace.hosting.runner import AppRunner
from headrace.model.errors import DataError, HeadraceError, LimitReached, Unavailable
from headrace.sdk.testing.app_contract import plant

HOSTILE = (Path(__file__).parent / "hostile.py").read_bytes()
APP = "from headrace.sdk.apps import App\napp = App()\n"
FILES = {"app.py": HOSTILE, "migrations/0001-t.sql": "CREATE TABLE t (a BLOB);"}
PERMISSIONS = """
imports = ["gc", "ctypes", "resource", "subprocess", "socket", "threading"]
[permissions]
assets = ["acme/line-1", "beta"]
read = ["acme/line-1/press-3", "beta"]
write = ["**/*.setpoint"]
publish = ["probe.*"]
hosts = ["api.example.com:443"]
sign = true
documents_mb = 1
tables_mb = 3
[limits]
memory_mb = 64
call_s = 3
"""

#: Attempts that the app outlives: it is told no, and is not started anew.
TOLD_NO = (
    "read_a_file", "write_a_file", "write_through_a_descriptor", "open_a_socket", "make_a_pair_of_sockets", "fork",
    "start_a_program", "start_a_thread", "kill_its_parent", "trace", "loosen_its_limits", "read_the_environment",
    "import_what_was_not_granted", "take_all_memory", "raise_exit", "recurse", "answer_with_a_giant",
    "answer_with_a_lie", "answer_with_a_path", "ask_for_what_there_is_not", "ask_with_other_values", "ask_nonsense",
    "flood_the_log", "flood_with_asks", "see_another_tenant", "widen_its_permissions", "sign_as_another",
    "fill_its_tables", "write_beside_its_documents", "kill_itself",
)  # fmt: skip
#: Attempts that end its process.
ENDED = (
    "loop", "wait_for_ever", "exit", "say_garbage", "say_a_giant", "be_ready_again",
    "say_nonsense",
)  # fmt: skip


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Lent]:
    made = plant()
    made.point("beta/line-1/press-3/state")
    async with lent(tmp_path, made, Hasty()) as house:
        yield house


@pytest.fixture
async def runner(house: Lent) -> AsyncIterator[AppRunner]:
    async with running(runner_of(house, FILES, manifest_of(PERMISSIONS))) as runner:
        yield runner


async def test_what_it_tries_is_told_no(runner: AppRunner) -> None:
    os.environ["HEADRACE_TEST_KEY"] = "secret"
    for what in TOLD_NO:
        with pytest.raises(HeadraceError) as raised:
            reply = await runner.request(asked("POST", f"/{what}"))
            raise AssertionError(f"{what}: {reply}")
        assert not isinstance(raised.value, Unavailable), f"{what}: {raised.value}"
        assert not isinstance(raised.value, LimitReached) or what in ("fill_its_tables",), f"{what}: {raised.value}"
        assert "AssertionError" not in str(raised.value), f"{what}: {raised.value}"
    health = runner.health()
    assert health.state is AppState.RUNNING and health.restarts == 0 and health.fences
    assert len(health.log) == 1_000
    assert health.calls["POST /{what}"].failures == len(TOLD_NO)
    assert not os.access("/tmp/headrace-was-here", os.F_OK)


@pytest.mark.parametrize("what", ENDED)
async def test_what_it_breaks_is_started_anew(runner: AppRunner, what: str) -> None:
    beside = asyncio.ensure_future(runner.request(asked("GET", "/wait_for_ever")))
    with pytest.raises((LimitReached, Unavailable, DataError)):
        reply = await runner.request(asked("POST", f"/{what}"))
        raise AssertionError(f"{what}: {reply}")
    with pytest.raises((LimitReached, Unavailable, DataError)):  # its neighbour does not wait for ever
        await beside
    async with asyncio.timeout(60):
        while runner.health().restarts == 0:
            await asyncio.sleep(0.05)
        await runner.wait_until_running()
    with pytest.raises(DataError, match="PermissionError"):
        await runner.request(asked("POST", "/read_the_environment"))
    assert runner.health().failure


async def test_one_that_ends_again_and_again_is_halted_with_the_reason(house: Lent) -> None:
    app = f"import os\n{APP}@app.on_start\nasync def go(ctx):\n    os._exit(1)\n"
    async with running(runner_of(house, {"app.py": app}), wait=False) as runner:
        with pytest.raises(Unavailable, match="5 times in a row"):
            await runner.wait_until_running()
        assert runner.health().state is AppState.HALTED and "memory, or a crash" in runner.health().reason
        with pytest.raises(Unavailable, match="5 times in a row"):
            await runner.request(asked("GET", "/x"))
        runner.restart()
        async with asyncio.timeout(60):
            while runner.health().restarts < 6:
                await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("x = 1\n", "holds 0 apps"),
        ("from headrace.sdk.apps import App\na = App()\nb = App()\n", "holds 2 apps"),
        ("from headrace.sdk.apps import App\n\napp = App(\n", "app.py:3"),
        ("import nowhere\n", "app.py:1: ModuleNotFoundError"),
        ("def f():\n    return 1 / 0\nf()\n", "app.py:2: ZeroDivisionError"),
        ("while True: pass\n", "load"),
        ("raise SystemExit\n", "SystemExit"),
        ("import os\nos._exit(0)\n", "load"),
        (f"{APP}@app.samples('**')\nasync def s(c, x): ...\n", "not granted"),
        (f"{APP}@app.events('*')\nasync def s(c, x): ...\n", "not granted"),
    ],
)
async def test_one_that_does_not_load_says_where_and_why(
    house: Lent, monkeypatch: pytest.MonkeyPatch, source: str, why: str
) -> None:
    monkeypatch.setattr("headrace.hosting.runner.LOAD_S", 3.0)
    async with running(runner_of(house, {"app.py": source}), wait=False) as runner:
        with pytest.raises(Unavailable):
            await runner.wait_until_running()
        assert runner.health().state is AppState.HALTED
        assert why in runner.health().reason, runner.health().reason
