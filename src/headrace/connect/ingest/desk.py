"""The way in for samples that are sent: bytes of a request to samples on disk, whatever the dialect.

    chunks ─► LineCutter ─► whole lines ─► parser ─► Slice ─► batches ─► screen ─► Intake.take, a slice at a time
                                              └► refused, by line                    └► durable: the sender is answered

A slice is on disk before the next but one is read, so a request of any length takes bounded memory. What was taken
stays when a later line is wrong; sending everything again changes nothing, for an equal time the newest write wins.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from headrace.connect.ingest.json_lines import JsonLines
from headrace.connect.ingest.line_protocol import LineProtocol
from headrace.connect.ingest.lines import LineCutter
from headrace.connect.ingest.series import Points
from headrace.connect.ingest.slices import Slice
from headrace.connect.screening import Screen
from headrace.model.areas import Area
from headrace.model.batch import Batch
from headrace.model.plant import PlantModel
from headrace.model.points import Point
from headrace.sdk.access import DEFAULT_TENANT, Tenants
from headrace.sdk.clock import Clock
from headrace.sdk.driver import PointBinding
from headrace.sdk.intake import Intake
from headrace.sdk.services import IngestCounters, IngestDialect, IngestReceipt
from headrace.sdk.tenancy import ONE_TENANT, Ground

SLICE_SAMPLES: Final = 20_000
PARTS_MAX: Final = 64


class Directory(Protocol):
    """What is declared, and the handle of each path."""

    @property
    def model(self) -> PlantModel: ...

    @property
    def handles(self) -> Mapping[str, int]: ...


class IngestDesk:
    """Implements `sdk.services.Ingest`."""

    def __init__(
        self, directory: Callable[[], Directory], intake: Intake, clock: Clock, tenants: Tenants = ONE_TENANT
    ) -> None:
        self._directory, self._intake, self._clock, self._tenants = directory, intake, clock, tenants
        self._parts: OrderedDict[tuple[str, Area | None], _Part] = OrderedDict()
        self.counters = IngestCounters()

    async def receive(
        self,
        chunks: AsyncIterator[bytes],
        dialect: IngestDialect,
        *,
        unit_ns: int = 1,
        bucket: str | None = None,
        within: Area | None = None,
        tenant: str = DEFAULT_TENANT,
    ) -> IngestReceipt:
        """Raises: Unavailable, LimitReached as `Intake.take`; what was taken before stays. NotFound for a tenant."""
        receipt = IngestReceipt()
        held = self._part(tenant, within)
        points = held.points
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
                waiting += self._parse(parser, cutter, chunk, receipt, held)
                if sum(map(len, waiting)) >= SLICE_SAMPLES:
                    await self._take(waiting, receipt)
                    waiting = []
            waiting += self._parse(parser, cutter, b"", receipt, held, last=True)
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
        held: _Part,
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
        points = held.points
        return [held.screen.check(one, now_ns) for one in found.batches(points.kinds, points.path_of, now_ns)]

    async def _take(self, batches: Sequence[Batch], receipt: IngestReceipt) -> None:
        if batches:
            await self._intake.take(batches)
            receipt.samples += sum(map(len, batches))

    def _part(self, tenant: str, within: Area | None) -> _Part:
        """What a sender may send to, of the plant as it is now; made once a revision, for those who sent of late."""
        directory, key = self._directory(), (tenant, within)
        part = self._parts.get(key)
        if part is None or part.directory is not directory:
            points = Points(directory.model, directory.handles, within, Ground(self._tenants, tenant))
            part = self._parts[key] = _Part(directory, points, Screen())
            declared = directory.model.points
            part.screen.set_points([_ranged(handle, declared[path]) for path, handle in points.handles.items()])
        self._parts.move_to_end(key)
        if len(self._parts) > PARTS_MAX:
            self._parts.popitem(last=False)
        return part


@dataclass(frozen=True, slots=True)
class _Part:
    directory: Directory
    points: Points
    screen: Screen


def _ranged(handle: int, point: Point) -> PointBinding:
    """What the screen asks for."""
    span = None if point.range is None else (point.range.low, point.range.high)
    return PointBinding(handle, point.path, point.kind, None, 0, range=span)
