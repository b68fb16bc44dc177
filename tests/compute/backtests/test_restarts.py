"""A condition that looks back goes on over a restart as if there had been none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import create_engine
from tests.compute.alarms.test_desk import FakeAccess, FakeClock
from tests.compute.backtests.test_backtests import history
from tests.compute.points.plant import T0, S
from tests.registry.plants import expanded

from headrace.compute.alarms.desk import AlarmDesk
from headrace.compute.tables import metadata
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import Unavailable
from headrace.sdk.store import HistoryStore

PLANT = """\
types:
  press:
    points:
      oil: {unit: Cel, range: [0, 120], address: {table: holding, address: 2}}
    alarms:
      oil:long: {when: "held(oil > 80, 60s)"}
      oil:twice: {when: "times(oil > 90, 10min) >= 2"}
connections: {plc: {driver: modbus, settings: {host: h}}}
assets: {a: {level: site}, a/p1: {type: press, connection: plc}, a/p2: {type: press, connection: plc}}
"""


class Plant:
    """One history and one journal; desks come and go."""

    def __init__(self, folder: Path, store: HistoryStore) -> None:
        self.store = store
        self.engine = create_engine(f"sqlite:///{folder}/alarms.db")
        metadata.create_all(self.engine)
        self.model, problems = expanded(PLANT)
        assert problems == []
        self.handles = {path: at for at, path in store.paths().items()}

    async def begin(self, past: HistoryStore | None) -> None:
        access = FakeAccess()
        self.desk = AlarmDesk(self.engine, FakeClock(), access, access, past=past)
        await self.desk.start()
        await self.desk.configure(self.model.alarms, self.handles)

    async def sample(self, at_s: int, value: float) -> None:
        batch = Batch.of(ValueKind.FLOAT64, [self.handles["a/p1/oil"]], np.array([T0 + at_s * S]), [value])
        await self.store.append([batch])
        await self.desk.take([batch])
        await self.desk.tick(T0 + at_s * S)

    async def steps(self) -> list[tuple[str, int]]:
        page = await self.desk.history()
        return [(one.rule.rpartition(":")[2], (one.time_ns - T0) // S) for one in reversed(page.transitions)]


SAMPLES = [(0, 70.0), (10, 95.0), (20, 85.0), (30, 85.0), (40, 85.0), (50, 85.0), (60, 85.0), (70, 95.0), (80, 85.0)]


@pytest.mark.parametrize("restart", [None, *range(1, len(SAMPLES))])
async def test_it_is_raised_when_it_would_have_been(tmp_path: Path, restart: int | None) -> None:
    model, _ = expanded(PLANT)
    async with history(tmp_path / "history", model, []) as store:
        plant = Plant(tmp_path, store)
        await plant.begin(store)
        for at, (at_s, value) in enumerate(SAMPLES):
            if at == restart:
                await plant.begin(store)
            await plant.sample(at_s, value)
        assert sorted(await plant.steps()) == [("long", 70), ("twice", 70)]


class Away(FakeClock):
    """A history that does not answer."""

    async def latest(self, *_: object) -> list[Batch]:
        raise Unavailable("history is being repaired")


async def test_without_history_it_begins_anew_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model, _ = expanded(PLANT)
    async with history(tmp_path / "history", model, []) as store:
        plant = Plant(tmp_path, store)
        await plant.begin(Away())  # type: ignore[arg-type]
        assert "begin without their past: history is being repaired" in caplog.text
        for at_s, value in SAMPLES:
            await plant.sample(at_s, value)
        assert sorted(await plant.steps()) == [("long", 70), ("twice", 70)]
