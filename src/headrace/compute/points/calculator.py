"""Calculated points, all of a plant at once. Pure: no clock, no I/O; the same samples give the same results.

batches ─► routes ─► groups of level 0 ─► results ─► groups of level 1 ─► …      ─► results as ordinary batches
                        │ one Evaluator for all assets of a template
tick(now) ─► what looks at time, and has been quiet: told where it changed

A result has the source time of the sample that made it and the newest received time of its inputs. Time is event
time, as for alarms: where a source's clock is wild, received time counts (decision 0011). A sample that is older than
the newest of its point changes no result here; its stretch is noted in `late`, to be worked out anew from history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.compute.points.groups import Group, Port, groups_of, levels_of
from headrace.compute.points.routes import Route, Routes, Times
from headrace.model.batch import Batch
from headrace.model.calculations import Calculation
from headrace.model.points import Point
from headrace.model.time import SOURCE_AHEAD_MAX_NS, SOURCE_TIME_MIN_NS

LATE_MAX: Final = 100_000
"""Points with a stretch that waits to be worked out anew."""


@dataclass(slots=True)
class Stretch:
    """Source times of late samples, `first_ns` to `last_ns`, both included."""

    first_ns: int
    last_ns: int


@dataclass(slots=True)
class Counters:
    """`wrong_kind`: samples of another kind than declared; `late_lost`: stretches that found no room in `late`."""

    taken: int = 0
    results: int = 0
    wrong_kind: int = 0
    late_lost: int = 0


@dataclass(slots=True)
class _Level:
    groups: list[Group]
    ports: list[Port] = field(default_factory=list)
    read: Routes = field(default_factory=lambda: Routes([]))  # for samples of points that are read
    made: Routes = field(default_factory=lambda: Routes([]))  # for results of the levels before


class Calculator:
    """Belongs to one caller at a time. With `previous`, instances that stay keep what they remember.

    `fresh` are the points that begin with nothing.
    """

    def __init__(
        self,
        calculations: Mapping[str, Calculation],
        points: Mapping[str, Point],
        handles: Mapping[str, int],
        previous: Calculator | None = None,
    ) -> None:
        self.counters: Counters = Counters() if previous is None else previous.counters
        self.late: dict[str, Stretch] = {} if previous is None else {
            path: one for path, one in previous.late.items() if path in calculations
        }  # fmt: skip
        levels = levels_of(calculations)
        before = {} if previous is None else {group.key: group for group in previous.groups()}
        self._levels = [
            _Level(groups_of(level, calculations, points, handles, paths, before)) for level, paths in enumerate(levels)
        ]
        made = {handles[path] for path in calculations}
        for level in self._levels:
            _connect(level, made)
        self.fresh = [path for group in self.groups() for path in group.fresh]

    def groups(self) -> Iterator[Group]:
        for level in self._levels:
            yield from level.groups

    def group_of(self, path: str) -> Group:
        """Raises: KeyError."""
        for group in self.groups():
            if path in group.place:
                return group
        raise KeyError(path)

    def take(
        self, batches: Sequence[Batch], only: Collection[str] | None = None, moments_ns: Times | None = None
    ) -> list[Batch]:
        """The results that these samples make; of these points only, if given, while all of them remember.

        What looks at time is worked out at `moments_ns` too: for the past, where nobody ticks.
        """
        return self._run(batches, None, None if only is None else frozenset(only), moments_ns)

    def tick(self, now_ns: int, *, quiet_ns: int = 0) -> list[Batch]:
        """What has changed because time passed; `now_ns` is our clock. With `quiet_ns` only of points that have told
        nothing for so long: their samples say as much, and what is kept does not double.
        """
        return self._run([], now_ns, None, quiet_ns=quiet_ns)

    def feed(self, group: Group, batches: Sequence[Batch], paths: Collection[str]) -> list[Batch]:
        """Samples of the past for these points of one group, whoever made them; no other group hears of them."""
        level = _Level([group])
        _connect(level, (), frozenset(paths))
        arrived: dict[int, list[_Part]] = {}
        for batch in batches:
            self._spread(level, level.read, batch, arrived)
        given = {level.ports[number].name: parts for number, parts in arrived.items()}
        result = group.take(given, None, _ignore) if given else None
        return [] if result is None or not len(result) else [result]

    def told_ns(self, path: str) -> int | None:
        """The time of a point's newest result, since we began."""
        return self.group_of(path).told_ns(path)

    def note_late(self, path: str, first_ns: int, last_ns: int) -> None:
        """A stretch of a point that is to be worked out anew."""
        known = self.late.get(path)
        if known is not None:
            known.first_ns, known.last_ns = min(known.first_ns, first_ns), max(known.last_ns, last_ns)
        elif len(self.late) < LATE_MAX:
            self.late[path] = Stretch(first_ns, last_ns)
        else:
            self.counters.late_lost += 1

    def _run(
        self, batches: Sequence[Batch], now_ns: int | None, only: frozenset[str] | None,
        moments_ns: Times | None = None, quiet_ns: int = 0,
    ) -> list[Batch]:  # fmt: skip
        made: list[Batch] = []
        kept: list[Batch] = []
        for level in self._levels:
            arrived: dict[int, list[_Part]] = {}
            for batch in batches:
                self._spread(level, level.read, batch, arrived)
            for batch in made:
                self._spread(level, level.made, batch, arrived)
            by_group: dict[int, dict[str, list[_Part]]] = {}
            for number, parts in arrived.items():
                port = level.ports[number]
                by_group.setdefault(port.group, {})[port.name] = parts
            for number, group in enumerate(level.groups):
                given = by_group.get(number)
                timed = group.looks_at_time and not (now_ns is None and moments_ns is None)
                if given is None and not timed:
                    continue
                note = self.note_late if only is None else _ignore
                result = group.take(given or {}, now_ns, note, moments_ns if timed else None, quiet_ns)
                if result is None or not len(result):
                    continue
                made.append(result)
                told = result if only is None else group.only(result, only)
                if len(told):
                    self.counters.results += len(told)
                    kept.append(told)
        return kept

    def _spread(self, level: _Level, routes: Routes, batch: Batch, arrived: dict[int, list[_Part]]) -> None:
        sample, port, instance = routes.of(batch.handles)
        if not len(sample):
            return
        received = batch.received_ns
        wild = (batch.source_ns < SOURCE_TIME_MIN_NS) | (batch.source_ns > received + SOURCE_AHEAD_MAX_NS)
        time_ns = np.where(wild, received, batch.source_ns) if wild.any() else batch.source_ns
        starts = np.flatnonzero(np.append(True, port[1:] != port[:-1]))
        for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(port)], strict=True):
            to = level.ports[int(port[start])]
            if batch.kind is not to.kind:
                self.counters.wrong_kind += end - start
                continue
            self.counters.taken += end - start
            at = sample[start:end]
            part = _Part(instance[start:end], time_ns, received, batch.values, batch.quality)
            if len(at) != len(batch) or not bool((at[1:] > at[:-1]).all()):
                part = _Part(instance[start:end], time_ns[at], received[at], batch.values[at], batch.quality[at])
            arrived.setdefault(int(port[start]), []).append(part)


@dataclass(frozen=True, slots=True)
class _Part:
    """Samples for one port. Shape: (samples,) each."""

    instance: NDArray[np.intp]
    time_ns: NDArray[np.int64]
    received_ns: NDArray[np.int64]
    values: NDArray[Any]
    quality: NDArray[np.uint32]


def _ignore(_path: str, _first_ns: int, _last_ns: int) -> None:
    """What is read again is not late."""


def _connect(level: _Level, made: Collection[int], only: Collection[str] | None = None) -> None:
    read: list[Route] = []
    results: list[Route] = []
    for number, group in enumerate(level.groups):
        for name, kind in group.program.inputs.items():
            port = len(level.ports)
            level.ports.append(Port(number, name, kind))
            for instance, handle in group.inputs(name, only):
                (results if handle in made else read).append(Route(handle, port, instance))
    level.read, level.made = Routes(read), Routes(results)
