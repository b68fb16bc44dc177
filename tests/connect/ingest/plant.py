"""A small plant to send samples to, and an intake that keeps them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from headrace.connect.ingest.desk import IngestDesk
from headrace.model.batch import Batch, ValueKind
from headrace.model.ingest import IngestMap, SeriesRule
from headrace.model.plant import PlantModel
from headrace.model.points import Point, Range
from headrace.sdk.services import IngestDialect, IngestReceipt
from headrace.sdk.testing.clock import START_NS, FakeClock

POINTS = (
    Point("acme/p3/oil", ValueKind.FLOAT64, range=Range(0, 120)),
    Point("acme/p3/strokes", ValueKind.INT64),
    Point("acme/p3/running", ValueKind.BOOL),
    Point("acme/p3/order", ValueKind.TEXT),
    Point("acme/it/h 7/load", ValueKind.FLOAT64),
)
MAPS = (
    IngestMap("all", (SeriesRule("acme/it/{host}/{field}", measurement="system"),)),
    IngestMap("quiet", (SeriesRule("acme/p3/oil", "oil", "t", {"m": "3"}),), bucket="quiet", ignore_unknown=True),
)


@dataclass
class Directory:
    model: PlantModel
    handles: Mapping[str, int]


def directory() -> Directory:
    model = PlantModel(
        points={one.path: one for one in POINTS},
        ingest={one.name: one for one in MAPS},
    )
    return Directory(model, {one.path: at for at, one in enumerate(POINTS)})


@dataclass
class Kept:
    """`samples` are (path, source time, value, quality)."""

    samples: list[tuple[str, int, object, int]] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)

    async def take(self, batches: Sequence[Batch]) -> None:
        self.batches += batches
        for one in batches:
            rows = zip(
                one.handles.tolist(), one.source_ns.tolist(), one.values.tolist(), one.quality.tolist(), strict=True
            )
            self.samples += [(POINTS[handle].path, time_ns, value, code) for handle, time_ns, value, code in rows]

    def values(self) -> dict[str, object]:
        return {path: value for path, _, value, _ in self.samples}


async def in_pieces(body: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


def send(
    body: bytes | str,
    dialect: IngestDialect = IngestDialect.LINE_PROTOCOL,
    *,
    size: int = 1 << 16,
    unit_ns: int = 1,
    bucket: str | None = None,
) -> tuple[Kept, IngestReceipt]:
    kept = Kept()
    desk = IngestDesk(directory, kept, FakeClock(START_NS))
    raw = body.encode() if isinstance(body, str) else body
    receipt = asyncio.run(desk.receive(in_pieces(raw, size), dialect, unit_ns=unit_ns, bucket=bucket))
    return kept, receipt


def messages(receipt: IngestReceipt) -> dict[int, str]:
    return {one.line: one.message for one in receipt.details}
