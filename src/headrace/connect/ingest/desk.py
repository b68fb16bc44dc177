"""The way in for samples that are sent: bytes of a request to samples on disk, whatever the dialect.

    chunks ─► LineCutter ─► whole lines ─► parser ─► Slice ─► batches ─► screen ─► Intake.take, a slice at a time
                                              └► refused, by line                    └► durable: the sender is answered

A slice is on disk before the next but one is read, so a request of any length takes bounded memory. What was taken
stays when a later line is wrong; sending everything again changes nothing, for an equal time the newest write wins.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final, Protocol

from headrace.connect.ingest.json_lines import JsonLines
from headrace.connect.ingest.line_protocol import LineProtocol
from headrace.connect.ingest.lines import LineCutter
from headrace.connect.ingest.series import Points
from headrace.connect.ingest.slices import Slice
from headrace.connect.screening import Screen
from headrace.model.batch import Batch
from headrace.model.plant import PlantModel
from headrace.model.points import Point
from headrace.sdk.clock import Clock
from headrace.sdk.driver import PointBinding
from headrace.sdk.intake import Intake
from headrace.sdk.services import IngestCounters, IngestDialect, IngestReceipt

SLICE_SAMPLES: Final = 20_000


class Directory(Protocol):
    """What is declared, and the handle of each path."""

    @property
    def model(self) -> PlantModel: ...

    @property
    def handles(self) -> Mapping[str, int]: ...


class IngestDesk:
    """Implements `sdk.services.Ingest`."""

    def __init__(self, directory: Callable[[], Directory], intake: Intake, clock: Clock) -> None:
        self._directory, self._intake, self._clock = directory, intake, clock
        self._held: tuple[Directory, Points] | None = None
        self._screen = Screen()
        self.counters = IngestCounters()

    async def receive(
        self, chunks: AsyncIterator[bytes], dialect: IngestDialect, *, unit_ns: int = 1, bucket: str | None = None
    ) -> IngestReceipt:
        """Raises: Unavailable, LimitReached as `Intake.take`; what was taken before stays."""
        receipt = IngestReceipt()
        points = self._points()
        parser = (
            LineProtocol(points.series(bucket), unit_ns)
            if dialect is IngestDialect.LINE_PROTOCOL
            else JsonLines(points, unit_ns)
        )
        cutter = LineCutter(receipt)
        waiting: list[Batch] = []
        self.counters.requests += 1
        try:
            async for chunk in chunks:
                waiting += self._parse(parser, cutter, chunk, receipt, points)
                if sum(map(len, waiting)) >= SLICE_SAMPLES:
                    await self._take(waiting, receipt)
                    waiting = []
            waiting += self._parse(parser, cutter, b"", receipt, points, last=True)
            await self._take(waiting, receipt)
        finally:
            self.counters.samples += receipt.samples
            self.counters.refused += receipt.refused
            self.counters.ignored += receipt.ignored
        return receipt

    def _parse(
        self,
        parser: LineProtocol | JsonLines,
        cutter: LineCutter,
        chunk: bytes,
        receipt: IngestReceipt,
        points: Points,
        *,
        last: bool = False,
    ) -> Sequence[Batch]:
        lines, first = cutter.feed(chunk, last=last)
        if not lines:
            return ()
        now_ns = self._clock.now_ns()
        found = Slice(receipt)
        used = parser.parse(lines, first, found, now_ns, last=last)
        cutter.give_back(lines[used:])
        receipt.lines += used
        return [self._screen.check(one, now_ns) for one in found.batches(points.kinds, points.path_of, now_ns)]

    async def _take(self, batches: Sequence[Batch], receipt: IngestReceipt) -> None:
        if batches:
            await self._intake.take(batches)
            receipt.samples += sum(map(len, batches))

    def _points(self) -> Points:
        """Of the plant as it is now; made once a revision."""
        directory = self._directory()
        if self._held is None or self._held[0] is not directory:
            points = Points(directory.model, directory.handles)
            self._held = directory, points
            declared = directory.model.points
            self._screen.set_points([_ranged(handle, declared[path]) for path, handle in points.handles.items()])
        return self._held[1]


def _ranged(handle: int, point: Point) -> PointBinding:
    """What the screen asks for."""
    span = None if point.range is None else (point.range.low, point.range.high)
    return PointBinding(handle, point.path, point.kind, None, 0, range=span)
