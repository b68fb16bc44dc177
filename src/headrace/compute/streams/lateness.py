"""How far each key has come in event time, told for every sample as if samples came one by one.

    newest of the key − lateness      by its own samples alone: an edge that catches up after an outage is not late
    silent                            nothing came of the key while the newest of all went on by lateness + idle: what
                                      it has begun is closed, up to newest of all − lateness − idle, no more
    over                              nothing earlier comes, it was said: the end of a stretch

The greatest of them is where a key stands: windows that end by then are closed. It is told from the samples *before*
each, in the order in which they came, so it does not matter how they were cut into calls.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headrace.compute.streams.rows import NEVER, Bools, Ints
from headrace.model.batch import TimesNs


class Progress:
    """Of one engine. `last_end`: where the last window ends that a sample of such times is in. By key: its newest time,
    the newest of all when it last came, and up to where it was closed for its silence."""

    def __init__(self, lateness_ns: int, idle_ns: int, last_end: Callable[[TimesNs], TimesNs]) -> None:
        self._lateness_ns, self._slack_ns, self._last_end = lateness_ns, lateness_ns + idle_ns, last_end
        self.newest_ns: TimesNs = np.empty(0, np.int64)
        self.seen_ns: TimesNs = np.empty(0, np.int64)
        self.silent_ns: TimesNs = np.empty(0, np.int64)
        self.newest_of_all_ns: int = NEVER
        self.over_ns: int = NEVER

    def grow(self, keys: int) -> None:
        more = np.full(max(keys - len(self.newest_ns), 0), NEVER, np.int64)
        if len(more):
            self.newest_ns = np.append(self.newest_ns, more)
            self.seen_ns = np.append(self.seen_ns, more)
            self.silent_ns = np.append(self.silent_ns, more)

    def take(self, keys: Ints, time_ns: TimesNs) -> TimesNs:
        """Where its key stood before each sample; goes on to the last. Shape: (samples,) both."""
        newest = np.maximum.accumulate(np.append(self.newest_of_all_ns, time_ns))
        self.newest_of_all_ns = int(newest[-1])
        order = np.argsort(keys, kind="stable")
        key, time, before, since = keys[order], time_ns[order], newest[:-1][order], newest[1:][order]
        heads = np.ones(len(key), np.bool_)
        heads[1:] = key[1:] != key[:-1]
        tails = np.append(np.flatnonzero(heads)[1:], len(key)) - 1

        running = _running_max(time, heads)
        own = np.maximum(_before(running, heads, self.newest_ns[key]), self.newest_ns[key])
        seen = _before(since, heads, self.seen_ns[key])
        silent = self._silent(own, seen, before)
        said = self.silent_ns[key]
        if silent is not None:
            said = np.maximum(_running_known(silent, heads), said)
        self.newest_ns[key[tails]] = np.maximum(self.newest_ns[key[tails]], running[tails])
        self.seen_ns[key[tails]], self.silent_ns[key[tails]] = since[tails], said[tails]

        stood = np.empty(len(key), np.int64)
        stood[order] = np.maximum(own - self._lateness_ns, said)
        return np.maximum(stood, self.over_ns)

    def take_ahead(self, keys: Ints, time_ns: TimesNs) -> bool:
        """As `take` of these in order of time, where all is beyond everything known: then none of them is late. False
        where it is not so, and nothing has happened.
        """
        first_ns = int(time_ns.min())
        if first_ns < max(self.newest_of_all_ns, self.over_ns, int(self.stands_ns().max(initial=NEVER))):
            return False
        np.maximum.at(self.newest_ns, keys, time_ns)
        came = np.zeros(len(self.newest_ns), np.bool_)
        came[keys] = True
        self.seen_ns[came] = self.newest_ns[came]
        self.newest_of_all_ns = int(time_ns.max())
        return True

    def stands_ns(self) -> TimesNs:
        """By key, now."""
        silent = self._silent(self.newest_ns, self.seen_ns, np.int64(self.newest_of_all_ns))
        if silent is not None:
            np.maximum(self.silent_ns, silent, out=self.silent_ns)
        return np.maximum(np.maximum(self.newest_ns - self._lateness_ns, self.silent_ns), self.over_ns)

    def quiet(self, passed_ns: int) -> None:
        """Nothing came of any key for so long, by a clock: what is begun is closed as if others had gone on."""
        silent = self._silent(self.newest_ns, self.seen_ns, np.int64(self.newest_of_all_ns + passed_ns))
        if silent is not None:
            np.maximum(self.silent_ns, silent, out=self.silent_ns)

    def _silent(self, own: TimesNs, seen: TimesNs, newest: TimesNs | np.int64) -> TimesNs | None:
        """Up to where each is closed for its silence, `NEVER` where it is not; None where none is."""
        hit = (newest - seen >= self._slack_ns) & (own > NEVER)
        if not hit.any():
            return None
        return np.where(hit, np.minimum(self._last_end(np.where(hit, own, 0)), newest - self._slack_ns), NEVER)


def _before(values: TimesNs, heads: Bools, known: TimesNs) -> TimesNs:
    """The value of the row before, of the same run; what was known at its head."""
    before = np.empty(len(values), np.int64)
    before[1:] = values[:-1]
    return np.where(heads, known, before)


def _running_known(silent: TimesNs, heads: Bools) -> TimesNs:
    """The greatest so far in each run. What is `NEVER` stays so until something is known."""
    known = silent > NEVER
    floor = int(silent[known].min()) - 1
    running = _running_max(np.where(known, silent, floor), heads)
    return np.where(running > floor, running, NEVER)


def _running_max(values: TimesNs, heads: NDArray[Any]) -> TimesNs:
    falls = np.flatnonzero((values[1:] < values[:-1]) & ~heads[1:])
    if not len(falls):
        return values
    lowest = int(values.min())
    span, runs = int(values.max()) - lowest + 1, np.cumsum(heads)
    if span * (int(runs[-1]) + 1) < 2**62:  # each run in a band of its own, so one pass does for all
        lifted: TimesNs = np.maximum.accumulate(values - lowest + runs * span) - runs * span + lowest
        return lifted
    running = values.copy()
    for part in np.split(np.arange(len(values)), np.flatnonzero(heads)[1:]):
        running[part] = np.maximum.accumulate(values[part])
    return running
