"""The plant that every historian in this bench is given: mixed samples at 1 Hz, made block by block from a seed.

    seed ─► points (kind, range, noise) ─► a block of seconds, all points ─┬─► commits of 10,000 samples
                                                                           └─► 1 % late ─► a later commit

Every hundred points, in an order that the seed gives:

    70  float64 of 0 to 3 decimals, as instruments give them: a slow process, set-point steps, noise of a part of the
        last digit (40 %), of some digits (40 %) or of many (20 %)
    12  int64: six counters (a third of them beyond 2^53), six registers that change every few minutes
    12  bool: states that toggle every 20 seconds to half an hour
     5  float64 without decimals: three float32 widened, two at full precision
     1  text: states and batch names that change every few minutes

A commit is 10,000 samples as they come, and has one received time with its nanoseconds, 5 to 50 ms after its last
source second. One sample in a hundred arrives 0.5 to 30 minutes late, with the later commit's received time. One point
in a hundred is bad for one to five minutes an hour (NaN, 0, false or empty text). Nothing is ever held whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.model import quality as q
from headrace.model.batch import TEXT_DTYPE, Batch, ValueKind
from headrace.model.time import SECOND_NS

START_NS: Final = 1_735_689_600 * SECOND_NS  # 2025-01-01T00:00:00Z; some peers refuse the future
COMMIT_SAMPLES: Final = 10_000
_BLOCK_SAMPLES: Final = 600_000
_LATE_SHARE, _LATE_S = 0.01, (30, 1_800)
_PATTERN: Final = np.repeat([0, 1, 2, 3, 4, 5, 6], [70, 6, 6, 12, 3, 2, 1])
_DECIMAL, _COUNTER, _REGISTER, _STATE, _WIDENED, _FULL, _TEXT = range(7)
_KINDS: Final = {
    ValueKind.FLOAT64: (_DECIMAL, _WIDENED, _FULL),
    ValueKind.INT64: (_COUNTER, _REGISTER),
    ValueKind.BOOL: (_STATE,),
    ValueKind.TEXT: (_TEXT,),
}
_STATES: Final = ["RUN", "IDLE", "SETUP", "E-STOP: guard door 2 open", "FAULT 0x8042", "冷却中", "MANUAL"]


@dataclass(frozen=True, slots=True)
class Dataset:
    """`points` × `seconds` samples, one of each point a second. Equal arguments give equal samples."""

    points: int = 10_000
    seconds: int = 7_200
    seed: int = 3
    start_ns: int = START_NS

    @property
    def samples(self) -> int:
        return self.points * self.seconds

    @property
    def end_ns(self) -> int:
        return self.start_ns + self.seconds * SECOND_NS

    def paths(self) -> list[str]:
        return [
            f"bench/area-{point // 1000}/unit-{point // 100 % 10}/value-{point % 100}" for point in range(self.points)
        ]

    def roles(self) -> NDArray[np.int64]:
        """What each point is. Shape: (points,)."""
        order = np.random.default_rng(self.seed).permutation(100)
        return _PATTERN[order][np.arange(self.points) % 100]

    def handles(self, *kinds: ValueKind) -> NDArray[np.uint32]:
        """The points of these kinds, ascending; points are numbered from 0 as their paths are."""
        wanted = [role for kind in kinds for role in _KINDS[kind]]
        return np.flatnonzero(np.isin(self.roles(), wanted)).astype(np.uint32)

    def numeric(self) -> NDArray[np.uint32]:
        return self.handles(ValueKind.FLOAT64, ValueKind.INT64, ValueKind.BOOL)

    def steady(self) -> NDArray[np.uint32]:
        """The numeric points that are never bad."""
        numeric = self.numeric()
        return numeric[~_Plant(self).fails[numeric]]

    def commits(self) -> Iterator[list[Batch]]:
        """At most four batches each, one a kind; the last commits hold what would still be late at the end."""
        plant = _Plant(self)
        late = {kind: _Late(kind) for kind in ValueKind}
        received = np.random.default_rng([self.seed, 1])
        block_s = max(1, _BLOCK_SAMPLES // self.points)
        for first in range(0, self.seconds, block_s):
            last = min(first + block_s, self.seconds)
            at, until = first * self.points // COMMIT_SAMPLES, -(-last * self.points // COMMIT_SAMPLES)
            parts = {kind: late[kind].split(columns, at, until) for kind, columns in plant.block(first, last)}
            for number in range(until - at):
                end_s = ((at + number + 1) * COMMIT_SAMPLES - 1) // self.points
                received_ns = self.start_ns + end_s * SECOND_NS + int(received.integers(5_000_000, 50_000_000))
                yield [batch for kind in parts if (batch := _batch(kind, parts[kind](number), received_ns)) is not None]
        for kind, held in late.items():
            for columns in held.rest():
                rest = _batch(kind, columns, self.end_ns + int(received.integers(5_000_000, 50_000_000)))
                if rest is not None:
                    yield [rest]


Columns = tuple[NDArray[np.uint32], NDArray[np.int64], NDArray[Any], NDArray[np.uint32]]
"""Handles, source times, values, quality."""


class _Late:
    """Samples of one kind on their way: which commit has them."""

    def __init__(self, kind: ValueKind) -> None:
        self._waiting: Columns = (
            np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0, kind.dtype), np.empty(0, np.uint32)
        )  # fmt: skip
        self._due = np.empty(0, np.int64)

    def split(self, given: tuple[Columns, NDArray[np.int64], NDArray[np.int64]], at: int, until: int) -> Any:
        """Take a block; returns what gives the columns of its n-th commit."""
        columns, commit, delay = given
        late = np.flatnonzero(delay)
        on_time = np.flatnonzero(delay == 0)
        edges = np.searchsorted(commit[on_time], np.arange(at, until + 1))
        due = np.concatenate([self._due, commit[late] + delay[late]])
        waiting = tuple(np.concatenate([held, new[late]]) for held, new in zip(self._waiting, columns, strict=True))
        order = np.argsort(due, kind="stable")
        due = due[order]
        late_edges = np.searchsorted(due, np.arange(at, until + 1))
        late_edges[0] = 0  # a commit that two blocks share may have gone already
        arrived = tuple(column[order[: late_edges[-1]]] for column in waiting)
        self._due = due[late_edges[-1] :]
        self._waiting = tuple(column[order[late_edges[-1] :]] for column in waiting)  # type: ignore[assignment]
        punctual = tuple(column[on_time] for column in columns)

        def commit_columns(number: int) -> Any:
            now, then = slice(*edges[number : number + 2]), slice(*late_edges[number : number + 2])
            if then.start == then.stop:
                return tuple(column[now] for column in punctual)
            return tuple(np.concatenate([p[now], a[then]]) for p, a in zip(punctual, arrived, strict=True))

        return commit_columns

    def rest(self) -> Iterator[Columns]:
        for first in range(0, len(self._due), COMMIT_SAMPLES):
            yield tuple(column[first : first + COMMIT_SAMPLES] for column in self._waiting)  # type: ignore[misc]


def _batch(kind: ValueKind, columns: Columns, received_ns: int) -> Batch | None:
    handles, source, values, quality = columns
    if not len(handles):
        return None
    return Batch(kind, handles, source, np.full(len(handles), received_ns), values, quality)


class _Plant:
    """What each point does. Counters remember where they were; all else is a function of the time and the seed."""

    def __init__(self, dataset: Dataset) -> None:
        self._set, self._roles = dataset, dataset.roles()
        rng, n = np.random.default_rng([dataset.seed, 2]), dataset.points
        self._digits = 10.0 ** rng.integers(0, 4, n)
        self._base = rng.uniform(100, 5_000, n)  # in units of the last digit, as are the next two
        self._swing = rng.uniform(5, 500, n)
        self._noise = rng.choice([0.3, 2.0, 20.0], n, p=[0.4, 0.4, 0.2])
        self._period_s = rng.uniform(300, 7_200, n)
        self._phase = rng.uniform(0, 2 * np.pi, n)
        self._hold_s = rng.integers(120, 1_800, n)  # between set-point steps, changes of register and of text
        self._toggle_s = rng.integers(20, 1_800, n)
        self._rate = rng.uniform(0.01, 30, n)  # of counters, each second
        self._count = rng.integers(0, 1 << 31, n) + np.where(rng.random(n) < 1 / 3, 1 << 54, 0)
        self.fails = rng.random(n) < 0.01
        self._fail_s = np.stack([rng.integers(0, 3_300, n), rng.integers(60, 300, n)])

    def block(self, first: int, last: int) -> Iterator[tuple[ValueKind, tuple[Columns, Any, Any]]]:
        """Of seconds `[first, last)`: each kind's columns by (second, point), their commits, how many commits late."""
        points, rng = self._set.points, np.random.default_rng([self._set.seed, 3, first])
        seconds = np.arange(first, last)
        for kind, roles in _KINDS.items():
            chosen = np.flatnonzero(np.isin(self._roles, roles))
            values = np.zeros((len(seconds), len(chosen)), kind.dtype)
            for role in roles:
                columns = np.flatnonzero(self._roles[chosen] == role)
                if len(columns):
                    values[:, columns] = self._values(role, chosen[columns], seconds, rng)
            bad = self._bad(chosen, seconds)
            quality = np.zeros(values.shape, np.uint32)
            if len(bad[0]):
                quality[bad] = q.BAD_NO_COMMUNICATION
                values[bad] = np.nan if kind is ValueKind.FLOAT64 else "" if kind is ValueKind.TEXT else 0
            size = values.size
            position = (seconds[:, None] * points + chosen[None, :]).reshape(-1)
            delay = np.zeros(size, np.int64)
            late = np.flatnonzero(rng.random(size, np.float32) < _LATE_SHARE)
            delay[late] = np.maximum(1, rng.integers(*_LATE_S, len(late)) * points // COMMIT_SAMPLES)
            handles = np.broadcast_to(chosen.astype(np.uint32), values.shape).reshape(-1)
            source = np.repeat(self._set.start_ns + seconds * SECOND_NS, len(chosen))
            yield kind, ((handles, source, values.reshape(-1), quality.reshape(-1)), position // COMMIT_SAMPLES, delay)

    def _values(self, role: int, p: Any, seconds: Any, rng: np.random.Generator) -> Any:
        shape = (len(seconds), len(p))
        if role == _STATE:
            return (seconds[:, None] // self._toggle_s[p] + p) % 2 == 0
        if role in (_REGISTER, _TEXT):
            step = seconds[:, None] // self._hold_s[p] + p
            return step * 7 % 40 - 10 if role == _REGISTER else _texts(step)
        if role == _COUNTER:
            grown = self._count[p] + np.cumsum(rng.poisson(self._rate[p], shape), axis=0)
            self._count[p] = grown[-1]
            return grown
        angle = (seconds[:, None] * (2 * np.pi / self._period_s[p]) + self._phase[p]).astype(np.float32)
        digits = np.sin(angle) * self._swing[p] + self._base[p]
        digits += (seconds[:, None] // self._hold_s[p] + p) * 7 % 11 * self._swing[p] / 8
        digits += rng.standard_normal(shape, np.float32) * self._noise[p]
        if role == _DECIMAL:
            return np.rint(digits) / self._digits[p]
        digits /= self._digits[p]
        return digits.astype(np.float32).astype(np.float64) if role == _WIDENED else digits

    def _bad(self, chosen: Any, seconds: Any) -> tuple[Any, Any]:
        columns = np.flatnonzero(self.fails[chosen])
        since, length = self._fail_s[:, chosen[columns]]
        into = seconds[:, None] % 3_600 - since
        row, column = np.nonzero((into >= 0) & (into < length))
        return row, columns[column]


def _texts(step: NDArray[np.int64]) -> Any:
    numbers, where = np.unique(step, return_inverse=True)
    texts = [_STATES[n % 7] if n % 4 else f"batch-{n % 9000:05d}" for n in numbers.tolist()]
    return np.array(texts, TEXT_DTYPE)[where].reshape(step.shape)
