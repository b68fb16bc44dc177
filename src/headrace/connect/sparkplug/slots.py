"""Which point an alias or a name feeds: one table for all nodes, so that a whole call is looked up at once.

    birth of a source (a node or a device) ──► a run of slots, one an alias     alias 7 of it is slot base + 7
    points bound to it ──► handle, kind and type in those slots
    slot ──next──► slot      a metric that feeds several points

Aliases that are not small numbers (some nodes use hashes) are looked up one by one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.connect.sparkplug.metrics import HAS_ALIAS, Metrics
from headrace.sdk.driver import PointBinding

NO_SLOT: Final = -1
UNBOUND: Final = 0
#: The type of a metric whose birth gives none that we know.
UNTYPED: Final = 255
_SPARE: Final = 4
#: Of all sources together, 60 MB.
SLOTS_MAX: Final = 4_000_000
_DENSE_MIN: Final = 1024


class Table:
    """Columns by slot: `handle`, `kind` (0: no point asks for it), `datatype` of the birth, `next`."""

    def __init__(self) -> None:
        self.used = 0
        self.handle: NDArray[np.uint32] = np.zeros(1024, np.uint32)
        self.kind: NDArray[np.int8] = np.zeros(1024, np.int8)
        self.datatype: NDArray[np.uint8] = np.zeros(1024, np.uint8)
        self.next: NDArray[np.int64] = np.full(1024, NO_SLOT, np.int64)
        self._free: dict[int, list[int]] = defaultdict(list)

    def take(self, count: int) -> int:
        """The first of `count` empty slots."""
        if self._free[count]:
            return self._free[count].pop()
        base = self.used
        self.used += count
        if self.used >= len(self.handle):
            more = max(self.used + 1, 2 * len(self.handle)) - len(self.handle)
            self.handle = np.concatenate((self.handle, np.zeros(more, np.uint32)))
            self.kind = np.concatenate((self.kind, np.zeros(more, np.int8)))
            self.datatype = np.concatenate((self.datatype, np.zeros(more, np.uint8)))
            self.next = np.concatenate((self.next, np.full(more, NO_SLOT, np.int64)))
        return base

    def give_back(self, base: int, count: int) -> None:
        """Rebirths are as long as births, so runs are used again by length."""
        if count:
            self.kind[base : base + count] = UNBOUND
            self.datatype[base : base + count] = 0
            self.next[base : base + count] = NO_SLOT
            self._free[count].append(base)

    def set(self, slot: int, point: PointBinding, datatype: int, following: int = NO_SLOT) -> None:
        self.handle[slot], self.kind[slot] = point.handle, int(point.kind)
        self.datatype[slot], self.next[slot] = datatype, following


@dataclass(slots=True)
class Index:
    """What a source's aliases and names mean: slots `base` to `base + size` by alias, others by name or odd alias."""

    base: int = 0
    size: int = 0
    extra: int = 0
    extras: int = 0
    odd_aliases: dict[int, int] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)

    @classmethod
    def build(
        cls, table: Table, entries: Iterable[tuple[str, int | None, int]], bound: Mapping[str, Sequence[PointBinding]]
    ) -> Index | None:
        """`entries` are name, alias and type as a birth has them; points of names that it lacks are found by name.

        None where the table is full.
        """
        listed = list(entries)
        aliases = [alias for _, alias, _ in listed if alias is not None]
        highest = max(aliases, default=-1)
        dense = highest < max(_DENSE_MIN, _SPARE * len(aliases))
        made = cls(size=highest + 1 if dense else 0)
        types = {name: datatype for name, _, datatype in listed}
        by_alias = {name: alias for name, alias, _ in listed if alias is not None}
        odd = [] if dense else aliases
        spare = len(odd) + sum(len(points) for points in bound.values())
        if table.used + made.size + spare > SLOTS_MAX:
            return None
        made.base = table.take(made.size) if made.size else 0
        made.extra, made.extras = (table.take(spare) if spare else 0), spare
        free = iter(range(made.extra, made.extra + spare))
        made.odd_aliases = dict(zip(odd, free, strict=False))
        for name, alias in by_alias.items():
            if name not in bound:
                table.datatype[made._slot(alias)] = _told(types[name])
        for name, points in bound.items():
            following = NO_SLOT
            for place, point in enumerate(points):
                last = place == len(points) - 1
                slot = made._slot(by_alias[name]) if last and name in by_alias else next(free)
                table.set(slot, point, _told(types[name]) if name in types else 0, following)
                following = slot
            made.names[name] = following
        return made

    def _slot(self, alias: int) -> int:
        return self.base + alias if alias < self.size else self.odd_aliases[alias]

    def drop(self, table: Table) -> None:
        table.give_back(self.base, self.size)
        table.give_back(self.extra, self.extras)
        self.size = self.extras = 0
        self.odd_aliases, self.names = {}, {}


def _told(datatype: int) -> int:
    """A type as the table holds it: never 0, which is for what no birth has told."""
    return datatype if 0 < datatype < UNTYPED else UNTYPED


def look_up(table: Table, indexes: Sequence[Index], metrics: Metrics) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Slots by row, NO_SLOT where no point asks, and which rows have an alias that its source never told.

    `indexes` by message.
    """
    message = metrics.message
    base = np.array([index.base for index in indexes], np.int64)
    size = np.array([index.size for index in indexes], np.uint64)
    has_alias = (metrics.flags & HAS_ALIAS) != 0
    alias = metrics.alias
    inside = has_alias & (alias < size[message])
    if inside.all():  # as it is with nodes that number their metrics
        slots = base[message] + alias.astype(np.int64)
        told = table.datatype[slots] != 0
    else:
        slots = np.where(inside, base[message] + alias.astype(np.int64), NO_SLOT)
        for row in (has_alias & ~inside).nonzero()[0].tolist():
            slots[row] = indexes[int(message[row])].odd_aliases.get(int(alias[row]), NO_SLOT)
        told = slots != NO_SLOT
        told[told] = table.datatype[slots[told]] != 0
    unknown = has_alias & ~told
    if metrics.names:
        rows = message.tolist()
        for row, name in metrics.names.items():
            if not name and has_alias[row]:  # some encoders fill in what they leave out
                continue
            slots[row] = indexes[rows[row]].names.get(name, NO_SLOT)
            unknown[row] = False
    # NO_SLOT reads the table's last slot, which is nobody's: `Table` keeps one more than it gives.
    slots = np.where(table.kind[slots] != UNBOUND, slots, NO_SLOT)
    return slots, unknown
