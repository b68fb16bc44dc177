"""What every place where apps run must do. Inherit `AppContract` in a test module and say how an app is run there.

    class TestMyHost(AppContract):
        @asynccontextmanager
        async def run(self, folder: Path, plant: FakePlant) -> AsyncIterator[Run]:
            ...
            yield lambda path: app.post(path)

The app of `write_app` has a route `POST /<case>` for each case of `app_cases.py`, which runs it with its own context:
so the same cases go through pipes and fences where there are some.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import pytest

from headrace.model.alarms import AlarmAction, AlarmCondition, AlarmRule, AlarmState, AlarmTransition
from headrace.model.batch import ValueKind
from headrace.model.time import SECOND_NS
from headrace.sdk.services import AlarmRecord
from headrace.sdk.testing import app_cases
from headrace.sdk.testing.app_cases import CASES, HIDDEN, PRESS, T0
from headrace.sdk.testing.fake_plant import FakePlant

START_NS: Final = T0 + 12 * 3600 * SECOND_NS
SETTINGS: Final = {"greeting": "hello"}
Run = Callable[[str], Awaitable[Any]]
"""`await run("/case")` posts to a route of the app."""

MANIFEST: Final = """
name = "acme.probe"
version = "1.0.0"
sdk = "1.0"
title = { en = "Probe", zh = "探针" }

[permissions]
assets = ["acme/line-1"]
read = ["acme/line-1/press-3", "acme/*/*/state"]
write = ["**/*.setpoint"]
publish = ["probe.*", "alarm.*"]
alarms = true
hosts = ["api.example.com:443", "*.parts.example:443"]
sign = true
documents_mb = 1
tables_mb = 5

[limits]
call_s = 20

[settings.greeting]
kind = "text"
[settings.micro-stop]
kind = "duration"
default = "2min"
"""

_APP: Final = """
from headrace.sdk.apps import Action, App

from . import cases

app = App()


@app.route("POST", "/{case}", action=Action.WRITE)
async def run(ctx, request):
    await getattr(cases, request.params["case"])(ctx)
    return {"case": request.params["case"]}
"""


def app_files() -> dict[str, bytes]:
    """By their path in the app's folder."""
    return {
        "manifest.toml": MANIFEST.encode(),
        "app.py": _APP.encode(),
        "cases.py": Path(app_cases.__file__).read_bytes(),
        "migrations/0001-pieces.sql": b"CREATE TABLE pieces (name TEXT PRIMARY KEY, count INTEGER, weight REAL);\n",
        "locale/en.toml": b'title = "three {n}"\nonly-english = "English"\n',
        "locale/zh.toml": 'title = "三 {n}"\n'.encode(),
    }


def write_app(folder: Path) -> Path:
    for file, data in app_files().items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_bytes(data)
    return folder


def plant() -> FakePlant:
    """All of it has happened by `START_NS`."""
    made = FakePlant()
    made.point(f"{PRESS}/oil.temperature", ValueKind.FLOAT64, "Cel")
    made.point(f"{PRESS}/count", ValueKind.INT64)
    made.point(f"{PRESS}/running", ValueKind.BOOL)
    made.point(f"{PRESS}/state", ValueKind.TEXT)
    made.point(f"{PRESS}/silent")
    made.point(f"{PRESS}/speed.setpoint", writable=True)
    made.point(f"{PRESS}/locked.setpoint", writable=True)
    made.point(f"{HIDDEN}/secret", writable=True)
    made.point(f"{HIDDEN}/state", ValueKind.TEXT)
    made.refuse[f"{PRESS}/locked.setpoint"] = "locked out"
    made.feed(f"{PRESS}/oil.temperature", [(T0 + at * SECOND_NS, 40.0 + at) for at in range(10)])
    made.feed(f"{PRESS}/count", [(T0, 2**60), (T0 + SECOND_NS, 2**60 + 1)])
    made.feed(f"{PRESS}/running", [(T0, True)])
    made.feed(f"{PRESS}/state", [(T0, "run"), (T0 + 5 * SECOND_NS, "停")])
    made.feed(f"{HIDDEN}/secret", [(T0, 1.0)])
    for point in (f"{PRESS}/oil.temperature", f"{HIDDEN}/secret"):
        rule = AlarmRule(f"{point}:hot", point, AlarmCondition.HIGH, 80)
        made.alarms.append(AlarmRecord(rule, AlarmState.UNACK_ACTIVE, 81.5, T0))
        for at, action in enumerate((AlarmAction.RAISED, AlarmAction.CLEARED), 1):
            made.transitions.append(
                AlarmTransition(rule.name, action, AlarmState.UNACK_ACTIVE, T0 + at * SECOND_NS, 81.5)
            )
    made.take(START_NS)
    return made


class AppContract:
    def run(self, folder: Path, plant: FakePlant) -> AbstractAsyncContextManager[Run]:
        """Starts the app of `folder` with the settings `SETTINGS`."""
        raise AssertionError(f"an app contract needs run() to start {folder.name} with {plant}")

    @pytest.mark.parametrize("case", CASES)
    async def test_what_an_app_can_do(self, case: str, tmp_path: Path) -> None:
        async with self.run(write_app(tmp_path / "probe"), plant()) as run:
            assert await run(f"/{case}") == {"case": case}
