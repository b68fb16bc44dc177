"""Functions that look at samples before: `prev`, `change`, `rate`, `age`, `ago`. State is columns by instance.

A sample at the time of the newest one takes its place, so what `prev` means does not depend on how samples came.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.model import quality as q
from headrace.model.expressions.columns import BAD, TOO_LARGE, Column, Ints, Tally, failing
from headrace.model.expressions.elementwise import KERNELS
from headrace.model.expressions.rings import Rings
from headrace.model.expressions.rows import Own, Rows, firsts_of, last_of, lasts_of, picked
from headrace.model.expressions.tree import Node
from headrace.model.time import SECOND_NS

NEVER: Final = np.iinfo(np.int64).min
FORGOTTEN: Final = "forgotten"
WAITING: Final = np.uint32(q.BAD_WAITING_FOR_INITIAL_DATA)


class Memory(Protocol):
    """A function with a past, over all instances."""

    def take(self, rows: Rows, argument: Column, tally: Tally) -> Column:
        """The result at all rows; `argument` is over all rows too."""
        ...

    @property
    def kept(self) -> int:
        """Rows of the past."""
        ...

    def state(self) -> dict[str, NDArray[Any]]: ...

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None: ...


class Kept:
    """Columns by instance that are saved and brought back by name."""

    def __init__(self, instances: int, **columns: tuple[Any, Any]) -> None:
        self.columns: dict[str, NDArray[Any]] = {
            name: np.full(instances, value, dtype) for name, (dtype, value) in columns.items()
        }

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def state(self) -> dict[str, NDArray[Any]]:
        return {name: column.copy() for name, column in self.columns.items()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        for name, column in self.columns.items():
            column[: len(state[name])] = state[name]


def own_quality(own: Own, column: Column) -> NDArray[np.uint32]:
    if column.quality is None:
        return np.zeros(len(own.instance), np.uint32)
    return own.of(column.quality)


class Before:
    """`prev`, `change` and `rate`: the newest own row, and the usable one before it."""

    def __init__(self, node: Node, instances: int) -> None:
        self._op, self._kind = node.op, node.kind
        dtype = node.parts[0].kind.dtype
        empty = "" if dtype.kind == "T" else 0
        self._newest = Kept(instances, t=(np.int64, NEVER), v=(dtype, empty), q=(np.uint32, WAITING))
        self._before = Kept(instances, t=(np.int64, NEVER), v=(dtype, empty), q=(np.uint32, WAITING))
        self._node = node

    @property
    def kept(self) -> int:
        return 0

    def take(self, rows: Rows, argument: Column, tally: Tally) -> Column:
        own = rows.own(self._node.parts[0].names)
        values, quality = own.of(argument.values), own_quality(own, argument)
        values = values.astype(self._newest["v"].dtype, copy=False)
        before = self._before_each(own, values, quality)
        instance = rows.instance
        kept = {name: picked(own.last, before[name], self._before[name], instance) for name in ("t", "v", "q")}
        newest = {
            "t": picked(own.last, own.time_ns, self._newest["t"], instance),
            "v": picked(own.last, values, self._newest["v"], instance),
            "q": picked(own.last, quality, self._newest["q"], instance),
        }
        self._remember(own, values, quality, before)
        if self._op == "prev":
            return Column(kept["v"], kept["q"])
        change = KERNELS["-"]([Column(newest["v"], newest["q"]), Column(kept["v"], kept["q"])], tally)
        if self._op == "change":
            return change
        elapsed_s = (newest["t"] - kept["t"]) / SECOND_NS
        with np.errstate(all="ignore"):
            rate = np.where(elapsed_s > 0, change.values / elapsed_s, np.nan)
        return Column(rate, failing(~np.isfinite(rate), change.quality, TOO_LARGE, tally))

    def _before_each(self, own: Own, values: NDArray[Any], quality: NDArray[np.uint32]) -> dict[str, NDArray[Any]]:
        """Of each own row, the newest usable one that is older."""
        use = quality < BAD
        newest = last_of(use, firsts_of(own.starts))
        earlier = np.where(own.starts, -1, np.append(np.int64(-1), newest[:-1])) if len(use) else newest
        columns: dict[str, NDArray[Any]] = {"t": own.time_ns[use], "v": values[use], "q": quality[use]}
        instance = own.instance
        again = self._newest["t"][instance] == own.time_ns  # takes the place of what we have
        again = np.maximum.accumulate(np.where(own.starts, np.arange(len(use)) * 2 + again, 0)) % 2 == 1
        kept_good = (self._newest["q"][instance] < BAD) & ~again
        found = {}
        for name, column in columns.items():
            kept = np.where(kept_good, self._newest[name][instance], self._before[name][instance])
            found[name] = np.where(earlier >= 0, column[earlier], kept) if len(column) else kept
        return found

    def _remember(
        self, own: Own, values: NDArray[Any], quality: NDArray[np.uint32], before: dict[str, NDArray[Any]]
    ) -> None:
        last = lasts_of(own.starts)
        instance = own.instance[last]
        columns: dict[str, NDArray[Any]] = {"t": own.time_ns, "v": values, "q": quality}
        for name, column in columns.items():
            self._before[name][instance] = before[name][last]
            self._newest[name][instance] = column[last]

    def state(self) -> dict[str, NDArray[Any]]:
        return {
            **{f"newest.{name}": column for name, column in self._newest.state().items()},
            **{f"before.{name}": column for name, column in self._before.state().items()},
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._newest.restore({name: state[f"newest.{name}"] for name in "tvq"})
        self._before.restore({name: state[f"before.{name}"] for name in "tvq"})


class Age:
    """Seconds since the newest usable own row."""

    def __init__(self, node: Node, instances: int) -> None:
        self._node = node
        self._kept = Kept(instances, t=(np.int64, NEVER), older=(np.int64, NEVER), at=(np.int64, NEVER))

    @property
    def kept(self) -> int:
        return 0

    def take(self, rows: Rows, argument: Column, tally: Tally) -> Column:
        del tally
        own = rows.own(self._node.parts[0].names)
        use = own_quality(own, argument) < BAD
        newest = last_of(use, firsts_of(own.starts))
        times = own.time_ns[use]
        again = (self._kept["at"][own.instance] == own.time_ns) & own.starts
        again = np.maximum.accumulate(np.where(own.starts, np.arange(len(use)) * 2 + again, 0)) % 2 == 1
        kept = np.where(again, self._kept["older"][own.instance], self._kept["t"][own.instance])
        at_own = np.where(newest >= 0, times[newest], kept) if len(times) else kept
        found = picked(own.last, at_own, self._kept["t"], rows.instance)
        self._remember(own, at_own, kept)
        known = found != NEVER
        age_s = np.where(known, rows.time_ns - np.where(known, found, 0), 0) / SECOND_NS
        return Column(age_s, None if known.all() else np.where(known, np.uint32(0), WAITING))

    def _remember(self, own: Own, at_own: NDArray[np.int64], kept: NDArray[np.int64]) -> None:
        """`older` is what `t` was before the newest own row."""
        last = lasts_of(own.starts)
        if not len(last):
            return
        instance = own.instance[last]
        alone = own.starts[last]
        self._kept["older"][instance] = np.where(alone, kept[last], at_own[np.maximum(last - 1, 0)])
        self._kept["t"][instance] = at_own[last]
        self._kept["at"][instance] = own.time_ns[last]

    def state(self) -> dict[str, NDArray[Any]]:
        return self._kept.state()

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._kept.restore(state)


class Ago:
    """What stood a span before."""

    def __init__(self, node: Node, instances: int, kept_max: int) -> None:
        self._node, self._span_ns = node, int(node.detail)
        self._rings = Rings(instances, {"t": np.int64, "v": node.parts[0].kind.dtype, "q": np.uint32}, kept_max)

    def take(self, rows: Rows, argument: Column, tally: Tally) -> Column:
        own = rows.own(self._node.parts[0].names)
        append_own(self._rings, own, {
            "v": own.of(argument.values), "q": own_quality(own, argument)
        })  # fmt: skip
        rings, instance = self._rings, rows.instance
        seq = rings.find(instance, rows.time_ns - self._span_ns)
        known = seq >= rings.lo[instance]
        last = rows.lasts()
        if not known.any():
            note_forgotten(tally, rings.forget(instance[last], seq[last]))
            return Column(rings.values("v", np.zeros(len(rows), np.intp)), np.full(len(rows), WAITING))
        place = np.where(known, rings.at(instance, seq), 0)
        values, quality = rings.values("v", place), np.where(known, rings.values("q", place), WAITING)
        note_forgotten(tally, rings.forget(instance[last], seq[last]))
        return Column(values, quality if quality.any() else None)

    @property
    def kept(self) -> int:
        return len(self._rings)

    def state(self) -> dict[str, NDArray[Any]]:
        return self._rings.state()

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._rings.restore(state)


def note_forgotten(tally: Tally, count: int) -> None:
    if count:
        tally[FORGOTTEN] += count


def append_own(rings: Rings, own: Own, columns: Mapping[str, NDArray[Any]]) -> tuple[NDArray[np.int64], Ints]:
    """Own rows into the rings; one at the time of the newest takes its place. Returns seq, and who was replaced."""
    first = np.flatnonzero(own.starts)
    whose = own.instance[first]
    some = rings.hi[whose] > rings.lo[whose]
    held, at = whose[some], first[some]
    if len(held):
        same = rings.values("t", rings.at(held, rings.hi[held] - 1)) == own.time_ns[at]
        replaced = held[same]
        rings.hi[replaced] -= 1
    else:
        replaced = held
    return rings.append(own.instance, {"t": own.time_ns, **columns}), replaced
