"""JSON documents to columns: the points of one topic are compiled once into a layout, which many topics share.

    points of (device, topic) ──► Route(layout, row)       equal pointers and kinds: the same layout, another row
    document ──Layout.take(row)──► one tuple a kind         in C: `itemgetter` over each object that holds values
    end of the call ──Layout.batches──► columns             one conversion a column; handles by (row, point)

No Python runs per sample, unless a message leaves members out or holds what the point did not declare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.connect.payload.columns import Qualities, Words, typed_column
from headrace.connect.payload.config import JsonFormat
from headrace.connect.payload.pointer import MISSING, follow, parse_pointer
from headrace.connect.payload.status import StatusWords
from headrace.connect.payload.times import source_times
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError
from headrace.sdk.driver import PointBinding

Steps = tuple[str, ...]
_ABSENT: Final = (KeyError, IndexError, TypeError)


@dataclass(frozen=True, slots=True)
class Reading:
    """Where one point's value, time and quality are, everything filled in."""

    layout: JsonFormat
    value: Steps
    name: str | None
    time: Steps | None
    quality: Steps | None

    @classmethod
    def of(cls, point: PointBinding, layout: JsonFormat) -> Reading:
        address = point.address
        time = address.time if address.time is not None else layout.time
        quality = address.quality if address.quality is not None else layout.quality
        return cls(
            layout,
            parse_pointer(layout.value if address.value is None else address.value),
            address.name,
            None if time is None else parse_pointer(time),
            None if quality is None else parse_pointer(quality),
        )

    @property
    def shared(self) -> tuple[object, ...]:
        """What points of one layout have in common."""
        value = None if self.name is None else self.value
        return (self.layout, value, self.time, self.quality)


def getter(steps: Steps) -> Callable[[Any], Any]:
    """What `follow` does, in C where it is one name deep and there."""
    if len(steps) != 1:
        return lambda record: follow(record, steps)
    name = steps[0]
    return lambda record: record.get(name, MISSING) if type(record) is dict else follow(record, steps)


class _Row:
    """All values of one kind in a record, as one tuple."""

    def __init__(self, paths: Sequence[Steps]) -> None:
        self._paths = tuple(paths)
        groups: dict[Steps, list[str]] = {}
        for steps in paths:
            if not steps or any(step.isdecimal() for step in steps):
                groups = {}
                break
            groups.setdefault(steps[:-1], []).append(steps[-1])
        # `follow` keeps the order of points; grouped paths must too, so only runs of equal parents are grouped.
        in_order = [steps for parent, names in groups.items() for steps in ((*parent, name) for name in names)]
        self._groups = (
            [(parent, itemgetter(*names), len(names) == 1) for parent, names in groups.items()]
            if in_order == list(paths)
            else []
        )

    def __call__(self, record: Any) -> tuple[Any, ...]:
        if self._groups:
            try:
                row: tuple[Any, ...] = ()
                for parent, get, alone in self._groups:
                    within = record
                    for step in parent:
                        within = within[step]
                    row += (get(within),) if alone else get(within)
                return row
            except _ABSENT:
                pass
        return tuple([follow(record, steps) for steps in self._paths])


class Layout:
    """Points with the same pointers and kinds, for any number of topics: one row of handles each."""

    def __init__(self, readings: Sequence[tuple[Reading, ValueKind]], words: Words) -> None:
        first = readings[0][0]
        self._words, self._format = words, first.layout
        self._time = None if first.time is None else getter(first.time)
        message_time = first.layout.message_time
        self._message_time = None if message_time is None else getter(parse_pointer(message_time))
        self._quality = None if first.quality is None else getter(first.quality)
        self._status = StatusWords(first.layout)
        self._records = None if first.layout.records is None else parse_pointer(first.layout.records)
        self.kinds: list[tuple[ValueKind, list[int]]] = []
        self._rows: list[_Row] = []
        for kind in ValueKind:
            members = [at for at, (_, its_kind) in enumerate(readings) if its_kind is kind]
            if members:
                self.kinds.append((kind, members))
                self._rows.append(_Row([readings[at][0].value for at in members]))
        self._handles: list[list[int]] = []
        self._matrix: NDArray[np.uint32] | None = None
        self._taken: list[list[tuple[Any, ...]]] = [[] for _ in self._rows]
        self._at: list[int] = []
        self._times: list[Any] = []
        self._qualities: list[Any] = []
        self._received: list[int] = []
        self.newest_ns: NDArray[np.int64] = np.zeros(0, np.int64)

    def add(self, handles: Sequence[int]) -> int:
        """Another topic: its handles in the order of the readings. Returns its row."""
        self._handles.append(list(handles))
        self._matrix = None
        return len(self._handles) - 1

    # --- one message ----------------------------------------------------------------------------------------------

    def take(self, row: int, document: Any, received_ns: int) -> None:
        """Raises: DataError where the array of records is not there."""
        if self._records is None:
            self._take(row, document, MISSING, received_ns)
            return
        records = follow(document, self._records)
        message_time = MISSING if self._message_time is None else self._message_time(document)
        for record in as_records(records, self._format):
            self._take(row, record, message_time, received_ns)

    def _take(self, row: int, record: Any, message_time: Any, received_ns: int) -> None:
        for taken, read in zip(self._taken, self._rows, strict=True):
            taken.append(read(record))
        self._at.append(row)
        self._received.append(received_ns)
        if self._time is not None:
            time = self._time(record)
            self._times.append(message_time if time is MISSING else time)
        elif self._message_time is not None:
            self._times.append(message_time)
        if self._quality is not None:
            self._qualities.append(self._quality(record))

    # --- the end of a call ----------------------------------------------------------------------------------------

    def batches(self) -> Iterable[Batch]:
        """Columns of all that was taken, one batch a kind; begins anew."""
        if not self._at:
            return
        at = np.array(self._at, np.intp)
        received_ns = np.array(self._received, np.int64)
        source_ns, quality = received_ns, None
        if self._times:
            source_ns, quality = source_times(self._times, self._received, self._format.time_unit.ns)
        if self._qualities:
            quality = worse(self._status.column(self._qualities), quality)
        matrix = self._handle_matrix()
        np.maximum.at(self.newest_ns, at, source_ns)
        for (kind, members), taken in zip(self.kinds, self._taken, strict=True):
            values, faults, present = typed_column(kind, list(chain.from_iterable(taken)), self._words)
            width = len(members)
            columns = [
                matrix[at[:, None], np.array(members)].reshape(-1),
                np.repeat(source_ns, width),
                np.repeat(received_ns, width),
                values,
                worse(None if quality is None else np.repeat(quality, width), faults),
            ]
            if columns[4] is None:
                columns[4] = np.zeros(len(values), np.uint32)
            batch = Batch(kind, *columns)
            batch = batch if present is None else batch.take(present)
            taken.clear()
            if len(batch):
                yield batch
        for column in (self._at, self._times, self._qualities, self._received):
            column.clear()

    def _handle_matrix(self) -> NDArray[np.uint32]:
        if self._matrix is None:
            self._matrix = np.array(self._handles, np.uint32)
            grown = np.zeros(len(self._matrix), np.int64)
            grown[: len(self.newest_ns)] = self.newest_ns
            self.newest_ns = grown
        return self._matrix

    def handles_of(self, row: int, members: Sequence[int]) -> list[int]:
        return [self._handles[row][at] for at in members]


def as_records(found: Any, layout: JsonFormat) -> Sequence[Any]:
    """The records of a message; one that stands alone needs no array. Raises: DataError."""
    if type(found) is list:
        return found
    if type(found) is dict:
        return (found,)
    raise DataError(f"it has no array of records at '{layout.records}'")


def worse(first: Qualities | None, second: Qualities | None) -> Qualities | None:
    """Of two statuses for each sample the one that is not good; of two that are not, the more severe."""
    if first is None or second is None:
        return second if first is None else first
    severe = q.SEVERITY_MASK
    return np.where((second & severe) > (first & severe), second, np.where(first == 0, second, first))
