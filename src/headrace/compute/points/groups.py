"""Points that are calculated alike: one program, one evaluator, an instance for each asset.

Instances keep their place for as long as the group lives: one that is removed leaves its place empty, one that is new
comes behind, and what the others remember is not touched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.compute.points.machines import Machines, Stands
from headrace.compute.points.routes import Times
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.calculations import Calculation
from headrace.model.expressions import Evaluator, Node, Program, Samples
from headrace.model.points import Point

_LOOKS_AT_TIME: Final = frozenset({"age", "ago", "mean", "stddev", "integral", "lowest", "highest", "held", "first",
                                   "last", "sum", "count", "times"})  # fmt: skip
_NEVER: Final = np.iinfo(np.int64).min
_EXCEEDED: Final = np.uint32(q.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED)
_GAPS_MAX: Final = 1.0
"""Empty places for each one in use, before a group is built anew."""

NoteLate = Callable[[str, int, int], None]
Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Port:
    """One name of one group of a level."""

    group: int
    name: str
    kind: ValueKind


class Part(Protocol):
    """Samples of one name. Shape: (samples,) each."""

    @property
    def instance(self) -> NDArray[np.intp]: ...

    @property
    def time_ns(self) -> NDArray[np.int64]: ...

    @property
    def received_ns(self) -> NDArray[np.int64]: ...

    @property
    def values(self) -> NDArray[Any]: ...

    @property
    def quality(self) -> NDArray[np.uint32]: ...


class Group:
    """`place`: the instance of each point. `fresh`: those that begin with nothing."""

    def __init__(
        self, key: Key, calculations: Mapping[str, Calculation], points: Mapping[str, Point],
        handles: Mapping[str, int], before: Group | None = None,
    ) -> None:  # fmt: skip
        self.key = key
        self.instances: int = 0
        sample = next(iter(calculations.values()))
        self.program = sample.program
        machine = sample.machine
        self.looks_at_time = (machine is not None and machine.memory_ns > 0) or _looks_at_time(self.program)
        self.kind = points[next(iter(calculations))].kind
        bound: dict[str, tuple[int, ...]] = {
            path: (handles[path], *(handles[one.inputs[name]] for name in self.program.inputs))
            for path, one in calculations.items()
        }
        self._bound = bound
        self.place: dict[str, int] = {}
        count = 0
        if before is not None and len(before._bound) <= (1 + _GAPS_MAX) * max(len(bound), 1):
            self.place = {
                path: at
                for path, at in before.place.items()
                if path in bound and bound[path][1:] == before._bound[path][1:]  # its own number does not matter
            }
            count = before.instances
        else:
            before = None
        self.fresh = [path for path in bound if path not in self.place]
        for path in self.fresh:
            self.place[path] = count
            count += 1
        self.instances = count
        self._paths = {at: path for path, at in self.place.items()}
        self.evaluator = Evaluator(self.program, count)
        self.machines = None if machine is None else Machines(machine, count)
        self._handles = np.zeros(count, np.uint32)
        self._low, self._high = np.full(count, -np.inf), np.full(count, np.inf)
        self._received = np.full(count, _NEVER)
        self._lag = np.zeros(count, np.int64)
        self._told_ns = np.full(count, _NEVER)
        self._told_quality = np.zeros(count, np.uint32)
        self._told = np.zeros(count, self.kind.dtype)
        self._alive = np.zeros(count, np.bool_)
        if before is not None:
            self._take_over(before)
        for path, at in self.place.items():
            self._handles[at], self._alive[at] = handles[path], True
            span = points[path].range
            if span is not None:
                self._low[at], self._high[at] = span.low, span.high
        self._bounded = bool(np.isfinite(self._low).any())

    def inputs(self, name: str, only: Collection[str] | None = None) -> Iterator[tuple[int, int]]:
        """(instance, handle) of the points that stand for a name, in all calculations or in these."""
        at = 1 + list(self.program.inputs).index(name)
        return ((self.place[path], bound[at]) for path, bound in self._bound.items() if only is None or path in only)

    def told_ns(self, path: str) -> int | None:
        """The time of a point's newest result; None before its first."""
        at = int(self._told_ns[self.place[path]])
        return None if at == _NEVER else at

    def take(
        self, given: Mapping[str, Sequence[Part]], now_ns: int | None, note_late: NoteLate,
        moments_ns: Times | None = None, quiet_ns: int = 0,
    ) -> Batch | None:  # fmt: skip
        """Results at the times of these samples and, of the past, at `moments_ns`; at a tick those that time alone has
        changed.
        """
        samples = {name: self._samples(name, parts, note_late) for name, parts in given.items()}
        moments = None if now_ns is None else self._quiet(now_ns, quiet_ns)
        if moments_ns is not None:
            seen = np.flatnonzero(self._alive & (self._received != _NEVER))
            moments = (np.repeat(seen, len(moments_ns)), np.tile(moments_ns, len(seen)))
        if not samples and moments is None:
            return None
        result = self.evaluator.take(samples, moments)
        if not len(result.source_ns):
            return None
        if self.machines is not None:
            result = self.machines.take(result)
        return self._batch(result, changed_only=now_ns is not None)

    def resume(self, path: str, stands: Stands, from_ns: int) -> Batch | None:
        """The results of a machine since then, which stood otherwise; what came since is remembered (`watch`)."""
        assert self.machines is not None
        result = self.machines.resume(self.place[path], stands, from_ns)
        return None if result is None or not len(result.source_ns) else self._batch(result, changed_only=False)

    def only(self, batch: Batch, paths: Collection[str]) -> Batch:
        """The results of these points."""
        wanted = np.array([int(self._handles[at]) for path, at in self.place.items() if path in paths], np.uint32)
        return batch.take(np.isin(batch.handles, wanted))

    def _samples(self, name: str, parts: Sequence[Part], note_late: NoteLate) -> Samples:
        if len(parts) == 1:
            part = parts[0]
            columns = (part.instance, part.time_ns, part.values, part.quality, part.received_ns)
        else:
            columns = (
                np.concatenate([part.instance for part in parts]),
                np.concatenate([part.time_ns for part in parts]),
                np.concatenate([part.values for part in parts]),
                np.concatenate([part.quality for part in parts]),
                np.concatenate([part.received_ns for part in parts]),
            )
        instance, time_ns, values, quality, received = columns
        newest = self.evaluator.newest_ns(name)[instance]
        late = np.flatnonzero(time_ns < newest)
        if len(late):
            for at in np.unique(instance[late]).tolist():
                times = time_ns[late][instance[late] == at]
                note_late(self._paths[at], int(times.min()), int(times.max()))
        np.maximum.at(self._received, instance, received)
        fresh = np.flatnonzero(time_ns >= newest)
        self._lag[instance[fresh]] = received[fresh] - time_ns[fresh]
        return Samples(instance, time_ns, values, quality)

    def _quiet(self, now_ns: int, quiet_ns: int) -> tuple[NDArray[np.intp], NDArray[np.int64]] | None:
        """Instances that told nothing for so long, and what their time is now."""
        event_ns = now_ns - self._lag
        seen = self._alive & (self._received != _NEVER)
        told = np.where(self._told_ns == _NEVER, event_ns - max(quiet_ns, 1), self._told_ns)
        quiet = np.flatnonzero(seen & (event_ns - told >= max(quiet_ns, 1)))
        return (quiet, event_ns[quiet]) if len(quiet) else None

    def _batch(self, result: Samples, *, changed_only: bool) -> Batch:
        instance, values, quality = result.instances, result.values, result.quality
        if values.dtype != self.kind.dtype:
            values = values.astype(self.kind.dtype)
        if self._bounded:
            out = ((values < self._low[instance]) | (values > self._high[instance])) & (quality == q.GOOD)
            quality = np.where(out, _EXCEEDED, quality)
        keep = self._alive[instance]
        if changed_only:
            known, known_quality = self._told[instance], self._told_quality[instance]
            first = np.append(True, instance[1:] != instance[:-1])
            if not first.all():  # machines: several rows of an instance
                known[~first], known_quality[~first] = values[:-1][~first[1:]], quality[:-1][~first[1:]]
            same = (values == known) & (quality == known_quality)
            if values.dtype.kind == "f":
                same |= np.isnan(values) & np.isnan(known) & (quality == known_quality)
            keep = keep & ~(same & ((self._told_ns[instance] != _NEVER) | ~first))
        if not keep.all():
            instance, values, quality = instance[keep], values[keep], quality[keep]
        source_ns = result.source_ns if len(instance) == len(result.source_ns) else result.source_ns[keep]
        if len(instance):
            last = np.append(instance[1:] != instance[:-1], True)
            told = instance[last]
            self._told[told], self._told_quality[told], self._told_ns[told] = (
                values[last], quality[last], source_ns[last],
            )  # fmt: skip
        # What a tick brings is received when our clock says so, as far as the source's can be turned into ours.
        received = np.maximum(self._received[instance], source_ns + self._lag[instance])
        return Batch.of(self.kind, self._handles[instance], source_ns, values, quality, received)

    def _take_over(self, before: Group) -> None:
        self.evaluator.restore(before.evaluator.state())
        self.evaluator.counts.update(before.evaluator.counts)
        if self.machines is not None and before.machines is not None:
            self.machines.take_over(before.machines)
        kept = before.instances
        for name in ("_received", "_lag", "_told_ns", "_told_quality", "_told"):
            getattr(self, name)[:kept] = getattr(before, name)


def levels_of(calculations: Mapping[str, Calculation]) -> list[list[str]]:
    """Points in an order in which each comes after those that it is made of; none goes in a circle."""
    level: dict[str, int] = {}
    for start in calculations:
        stack = [start]
        while stack:
            path = stack[-1]
            if path in level:
                stack.pop()
                continue
            made = [one for one in calculations[path].inputs.values() if one in calculations]
            missing = [one for one in made if one not in level]
            if missing:
                stack.extend(missing)
                continue
            level[path] = 1 + max((level[one] for one in made), default=-1)
            stack.pop()
    found: list[list[str]] = [[] for _ in range(max(level.values(), default=-1) + 1)]
    for path, number in level.items():
        found[number].append(path)
    return found


def groups_of(
    level: int, calculations: Mapping[str, Calculation], points: Mapping[str, Point], handles: Mapping[str, int],
    paths: Sequence[str], before: Mapping[Key, Group],
) -> list[Group]:  # fmt: skip
    """The groups of one level."""
    keys: dict[int, Key] = {}
    members: dict[Key, dict[str, Calculation]] = {}
    for path in paths:
        program, machine = calculations[path].program, calculations[path].machine
        signed = keys.get(id(program))
        if signed is None:
            signed = keys[id(program)] = signature(program)
        members.setdefault((level, points[path].kind, machine, *signed), {})[path] = calculations[path]
    return [Group(key, some, points, handles, before.get(key)) for key, some in members.items()]


def signature(program: Program) -> Key:
    """Equal for programs that do the same, whenever they were compiled."""
    parts: list[Any] = [tuple(program.inputs.items())]
    stack = [program.tree]
    while stack:
        node: Node = stack.pop()
        parts.append((node.op, repr(node.detail), node.kind, len(node.parts)))
        stack.extend(node.parts)
    return tuple(parts)


def _looks_at_time(program: Program) -> bool:
    stack = [program.tree]
    while stack:
        node = stack.pop()
        if node.op in _LOOKS_AT_TIME:
            return True
        stack.extend(node.parts)
    return False
