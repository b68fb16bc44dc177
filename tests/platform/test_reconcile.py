"""What is declared reaches the rooms: here, how long history is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from headrace.history import HistorySettings, open_store
from headrace.history.store import EmbeddedStore
from headrace.model.batch import Handles, ValueKind
from headrace.model.plant import PlantModel
from headrace.model.points import Point
from headrace.model.retention import Retention
from headrace.model.time import DAY_NS
from headrace.platform.reconcile import Reconciler
from headrace.sdk.clock import SystemClock


class Nobody:
    """Alarms and links that nothing is declared for."""

    async def configure(self, rules: object, handles: object) -> None: ...

    async def reconcile(self, connections: object, bindings: object) -> None: ...


def plant(revision: int, classes: Mapping[str, Retention], of: Mapping[str, str]) -> PlantModel:
    points = {path: Point(path, ValueKind.FLOAT64, retention=name) for path, name in of.items()}
    return PlantModel(revision=revision, points=points, retention=classes)


async def test_points_go_to_their_classes_and_leave_them_again(tmp_path: Path) -> None:
    store = await open_store(tmp_path, HistorySettings(), SystemClock())
    reconciler = Reconciler(store, Nobody(), Nobody(), {})
    brief = Retention(raw_ns=DAY_NS)
    await reconciler.reconcile(plant(1, {"brief": brief}, {"a/x": "default", "a/y": "brief", "a/z": "brief"}))

    def ages() -> list[int | None]:
        numbers = store._classes.members().of(store_handles(store, ["a/x", "a/y", "a/z"]))
        return [store._classes.retention(number).raw_ns for number in numbers.tolist()]

    assert ages() == [None, DAY_NS, DAY_NS]
    await reconciler.reconcile(plant(2, {"brief": brief}, {"a/x": "brief", "a/y": "default", "a/z": "brief"}))
    assert ages() == [DAY_NS, None, DAY_NS]
    await store.close()


def store_handles(store: EmbeddedStore, paths: Sequence[str]) -> Handles:
    return np.array([store._handles[path] for path in paths], np.uint32)


class Plain:
    """A store that keeps everything."""

    async def register(self, paths: Sequence[str]) -> list[int]:
        return list(range(len(paths)))


async def test_a_store_that_knows_no_classes_is_told_of_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    reconciler = Reconciler(Plain(), Nobody(), Nobody(), {})  # type: ignore[arg-type]
    await reconciler.reconcile(plant(1, {"brief": Retention(raw_ns=DAY_NS)}, {"a/x": "brief"}))
    assert "keeps everything" in caplog.text
