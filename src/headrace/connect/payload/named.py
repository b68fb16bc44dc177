"""JSON messages whose records are one named value each: `[{"id": "oil", "v": 62.4, "t": 1767225600000}, …]`.

    records ──key──► names ──index of the topic──► slots ──► columns by the kinds that the slots' points declare

As industrial gateways send them (SenML's shape too). A name that no point asks for is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.connect.payload.columns import Words, typed_column
from headrace.connect.payload.layouts import Reading, Steps, as_records, getter, worse
from headrace.connect.payload.pointer import MISSING, follow, parse_pointer
from headrace.connect.payload.status import StatusWords
from headrace.connect.payload.times import source_times
from headrace.model.batch import Batch, ValueKind
from headrace.sdk.driver import PointBinding


class NamedLayout:
    """Points of one format told apart by name, for any number of topics: one index of names each."""

    def __init__(self, reading: Reading, words: Words) -> None:
        layout = reading.layout
        self._format, self._words = layout, words
        self._status = StatusWords(layout)
        self._records = parse_pointer(layout.records or "")
        self._key = _all(parse_pointer(layout.key or ""))
        self._value = _all(reading.value)
        self._time = None if reading.time is None else _all(reading.time)
        message_time = layout.message_time
        self._message_time = None if message_time is None else getter(parse_pointer(message_time))
        self._quality = None if reading.quality is None else _all(reading.quality)
        self._index: list[dict[str, int]] = []
        self._handles: list[int] = []
        self._kinds: list[int] = []
        self._rows: list[int] = []
        self._slots: list[int] = []
        self._values: list[Any] = []
        self._times: list[Any] = []
        self._qualities: list[Any] = []
        self._received: list[int] = []
        self.newest_ns: NDArray[np.int64] = np.zeros(0, np.int64)

    def add(self, points: Sequence[PointBinding]) -> int:
        """Another topic, its points with one name each. Returns its row."""
        first = len(self._handles)
        self._index.append({point.address.name: first + at for at, point in enumerate(points)})
        self._handles += [point.handle for point in points]
        self._kinds += [point.kind for point in points]
        self.newest_ns = np.concatenate((self.newest_ns, np.zeros(1, np.int64)))
        return len(self._index) - 1

    def take(self, row: int, document: Any, received_ns: int) -> None:
        """Raises: DataError where the array of records is not there."""
        records = as_records(follow(document, self._records), self._format)
        index = self._index[row]
        slots = [_slot(index, name) for name in self._key(records)]
        if not any(slot >= 0 for slot in slots):
            return
        self._rows += [row] * len(records)
        self._slots += slots
        self._values += self._value(records)
        self._received += [received_ns] * len(records)
        if self._time is not None or self._message_time is not None:
            message_time = MISSING if self._message_time is None else self._message_time(document)
            times = [MISSING] * len(records) if self._time is None else self._time(records)
            self._times += times if message_time is MISSING else [message_time if t is MISSING else t for t in times]
        if self._quality is not None:
            self._qualities += self._quality(records)

    def batches(self) -> Iterable[Batch]:
        """Columns of all that was taken, one batch a kind; begins anew."""
        if not self._slots:
            return
        slots = np.array(self._slots, np.intp)
        received_ns = np.array(self._received, np.int64)
        source_ns, quality = received_ns, None
        if self._times:
            source_ns, quality = source_times(self._times, self._received, self._format.time_unit.ns)
        if self._qualities:
            quality = worse(self._status.column(self._qualities), quality)
        kinds, handles = np.array(self._kinds, np.int8), np.array(self._handles, np.uint32)
        asked = slots >= 0
        np.maximum.at(self.newest_ns, np.array(self._rows, np.intp), source_ns)
        for kind in ValueKind:
            mine = asked & (kinds[slots] == kind)
            if not mine.any():
                continue
            values, faults, present = typed_column(kind, list(compress(self._values, mine.tolist())), self._words)
            status = worse(None if quality is None else quality[mine], faults)
            status = np.zeros(len(values), np.uint32) if status is None else status
            batch = Batch(kind, handles[slots[mine]], source_ns[mine], received_ns[mine], values, status)
            batch = batch if present is None else batch.take(present)
            if len(batch):
                yield batch
        for column in (self._rows, self._slots, self._values, self._times, self._qualities, self._received):
            column.clear()


def _slot(index: dict[str, int], name: Any) -> int:
    kind = type(name)
    if kind is str:
        return index.get(name, -1)
    return index.get(str(name), -1) if kind is int else -1


class _all:  # noqa: N801 - reads as the function it is
    """What the steps lead to in each record, MISSING where nowhere."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._get = itemgetter(steps[0]) if len(steps) == 1 and not steps[0].isdecimal() else None

    def __call__(self, records: Sequence[Any]) -> list[Any]:
        if self._get is not None:
            try:
                return list(map(self._get, records))
            except (KeyError, TypeError, IndexError):
                pass
        return [follow(record, self._steps) for record in records]
