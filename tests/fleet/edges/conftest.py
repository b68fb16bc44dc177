from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.fleet.fakes import Audit

from headrace.fleet.edges import Edges
from headrace.fleet.edges.link import ROOT
from headrace.model.batch import Batch
from headrace.sdk.edges import Share
from headrace.sdk.services import SourceFile
from headrace.sdk.testing.clock import FakeClock


class Guests:
    """A register of devices that says of each part of the plant what it is told to."""

    def __init__(self) -> None:
        self.version = 0
        self.texts: dict[str, str] = {}

    def put(self, prefix: str, text: str) -> None:
        self.texts[prefix] = text
        self.version += 1

    def of(self, prefix: str) -> str:
        return self.texts.get(prefix, "[]")


class Surroundings:
    """What the register stands on: a registry that is told what to answer, numbers of points, and a bus."""

    def __init__(self) -> None:
        self.answers: dict[str, Share] = {}
        self.provided: list[SourceFile] = []
        self.numbers: dict[str, int] = {}
        self.published: list[Batch] = []
        self.guests = Guests()

    async def shares(self, prefixes: Mapping[str, str]) -> Mapping[str, Share]:
        return {edge: self.answers.get(edge, Share()) for edge in prefixes}

    async def provide(self, files: Sequence[SourceFile]) -> None:
        self.provided = list(files)

    async def publish(self, batches: Sequence[Batch]) -> None:
        self.published += batches

    def know(self, edge: str, *points: str) -> None:
        for point in points:
            self.numbers.setdefault(f"{ROOT}/{edge}/{point}", len(self.numbers))

    def values(self, edge: str, point: str) -> list[tuple[float, bool]]:
        """What was published of a point, and whether it is good."""
        number = self.numbers[f"{ROOT}/{edge}/{point}"]
        return [
            (float(batch.values[row]), int(batch.quality[row]) == 0)
            for batch in self.published
            for row in range(len(batch))
            if int(batch.handles[row]) == number
        ]


@pytest.fixture
def around() -> Surroundings:
    return Surroundings()


def register_on(engine: Engine, clock: FakeClock, audit: Audit, around: Surroundings, folder: Path) -> Edges:
    return Edges(
        engine, clock, audit, around, folder / "fleet",
        provide=around.provide, handles=lambda: around.numbers, publish=around.publish, guests=around.guests,
    )  # fmt: skip


@pytest.fixture
def edges(engine: Engine, clock: FakeClock, audit: Audit, around: Surroundings, tmp_path: Path) -> Edges:
    return register_on(engine, clock, audit, around, tmp_path)
