"""JSON documents to columns: the points of one topic are compiled once into a layout, which many topics share.

    points of (device, topic) ──► Route(layout, row)       equal pointers and kinds: the same layout, another row
    document ──Layout.take(row)──► one list a kind          in C: `itemgetter` over each object that holds values
             (flat documents are kept, and taken apart together at the end of the call)
    end of the call ──Layout.batches──► columns             one conversion a column; handles by (row, point)

No Python runs per sample, unless a message leaves members out or holds what the point did not declare.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
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
#: A message of a megabyte could have half a million empty ones, each of which costs work.
RECORDS_MAX: Final = 10_000
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


class _Columns:
    """All values of one kind in a record: where they are, and those taken so far, one record after the other.

    Pointers with one parent (`/oil/temperature`, `/oil/level`) are read by one `itemgetter`, in C; a record that lacks
    one of them, and pointers that could be places of an array, are read one by one.
    """

    def __init__(self, kind: ValueKind, members: list[int], paths: Sequence[Steps]) -> None:
        self.kind, self.members = kind, members
        self.taken: list[Any] = []
        self._paths = tuple(paths)
        self._groups: list[tuple[Steps, Callable[[Any], Any], bool]] = []
        if all(steps and not any(step.isdecimal() for step in steps) for steps in paths):
            for parent, group in groupby(paths, key=lambda steps: steps[:-1]):
                names = [steps[-1] for steps in group]
                self._groups.append((parent, itemgetter(*names), len(names) == 1))

    def take(self, record: Any) -> bool:
        """Whether there was anything; what there was not is MISSING."""
        taken = self.taken
        before = len(taken)
        if self._groups:
            try:
                for parent, get, alone in self._groups:
                    within = record
                    for step in parent:
                        within = within[step]
                    if alone:
                        taken.append(get(within))
                    else:
                        taken.extend(get(within))
                return True
            except _ABSENT:
                del taken[before:]
        values = [follow(record, steps) for steps in self._paths]
        taken.extend(values)
        return any(value is not MISSING for value in values)

    def untake(self) -> None:
        """Forget the last record."""
        del self.taken[-len(self._paths) :]


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
        self._columns: list[_Columns] = []
        for kind in ValueKind:
            members = [at for at, (_, its_kind) in enumerate(readings) if its_kind is kind]
            if members:
                self._columns.append(_Columns(kind, members, [readings[at][0].value for at in members]))
        self._flat = self._flat_getter([reading.value for reading, _ in readings], first)
        self._documents: list[dict[str, Any]] = []
        self._handles: list[list[int]] = []
        self._matrix: NDArray[np.uint32] | None = None
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

    def _flat_getter(self, values: Sequence[Steps], first: Reading) -> Callable[[Any], tuple[Any, ...]] | None:
        """All values, then the time, of a document whose members they are; None where they may lie elsewhere."""
        wanted = [values[at] for one in self._columns for at in one.members]
        wanted += [] if first.time is None else [first.time]
        plain = all(len(steps) == 1 and not steps[0].isdecimal() for steps in wanted)
        whole = self._records is None and self._message_time is None and self._quality is None
        return itemgetter(*(steps[0] for steps in wanted)) if plain and whole and len(wanted) > 1 else None

    # --- one message ----------------------------------------------------------------------------------------------

    def take(self, row: int, document: Any, received_ns: int) -> None:
        """Raises: DataError where the array of records is not there."""
        if self._flat is not None and type(document) is dict:
            self._documents.append(document)
            self._at.append(row)
            self._received.append(received_ns)
            return
        self._unfold()
        if self._records is None:
            self._take(row, document, MISSING, received_ns)
            return
        records = follow(document, self._records)
        message_time = MISSING if self._message_time is None else self._message_time(document)
        for record in as_records(records, self._format):
            self._take(row, record, message_time, received_ns)

    def _take(self, row: int, record: Any, message_time: Any, received_ns: int) -> None:
        present = False
        for columns in self._columns:
            present |= columns.take(record)
        if not present:
            for columns in self._columns:
                columns.untake()
            return
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

    def _unfold(self) -> None:
        """Take the flat documents apart: all at once, or each by itself where one leaves a member out."""
        documents, count = self._documents, len(self._documents)
        if not count or self._flat is None:
            return
        self._documents = []
        try:
            columns = list(zip(*map(self._flat, documents), strict=True))
        except KeyError:
            rows, received = self._at[-count:], self._received[-count:]
            del self._at[-count:], self._received[-count:]
            for row, document, received_ns in zip(rows, documents, received, strict=True):
                self._take(row, document, MISSING, received_ns)
            return
        first = 0
        for one in self._columns:
            last = first + len(one.members)
            one.taken.extend(
                columns[first] if last == first + 1 else chain.from_iterable(zip(*columns[first:last], strict=True))
            )
            first = last
        if self._time is not None:
            self._times.extend(columns[first])

    def batches(self) -> Iterable[Batch]:
        """Columns of all that was taken, one batch a kind; begins anew."""
        self._unfold()
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
        for one in self._columns:
            values, faults, present = typed_column(one.kind, one.taken, self._words)
            width = len(one.members)
            status = worse(None if quality is None else np.repeat(quality, width), faults)
            batch = Batch(
                one.kind,
                matrix[at[:, None], one.members].reshape(-1),
                np.repeat(source_ns, width),
                np.repeat(received_ns, width),
                values,
                np.zeros(len(values), np.uint32) if status is None else status,
            )
            batch = batch if present is None else batch.take(present)
            one.taken.clear()
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


def as_records(found: Any, layout: JsonFormat) -> Sequence[Any]:
    """The records of a message; one that stands alone needs no array. Raises: DataError."""
    if type(found) is list:
        if len(found) > RECORDS_MAX:
            raise DataError(f"it has {len(found)} records; {RECORDS_MAX} are possible in one message")
        return found
    if type(found) is dict:
        return (found,)
    raise DataError(f"it has no array of records at '{layout.records}'")


def worse(first: Qualities | None, second: Qualities | None) -> Qualities | None:
    """Of two statuses for each sample the one that is not good; of two that are not, the more severe."""
    if first is None or second is None:
        return second if first is None else first
    severe = q.SEVERITY_MASK
    return np.where((second & severe) > (first & severe), second, first)
