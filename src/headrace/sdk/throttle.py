"""Slows and then locks out whoever guesses: an attempt counts when it begins, so that parallel guesses count too.

attempt 1 … free        at once
        free+1, +2, …   1, 2, 4 … s after the one before, up to `delay_max_s`
        locked_after    nothing for `lock_s`; then, and after `lock_s` without an attempt, all is forgotten
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from headrace.model.errors import LimitReached
from headrace.sdk.clock import Clock


@dataclass(frozen=True, slots=True)
class ThrottleLimits:
    free: int
    locked_after: int
    delay_max_s: float = 60.0
    lock_s: float = 900.0


@dataclass(slots=True)
class _Record:
    attempts: int
    next_s: float
    forget_s: float


class Throttle:
    """Attempts by key (a user name, a peer), for at most `keys_max` keys, the longest unused forgotten first."""

    def __init__(self, limits: ThrottleLimits, clock: Clock, keys_max: int = 10_000) -> None:
        self._limits = limits
        self._clock = clock
        self._keys_max = keys_max
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def check(self, key: str) -> None:
        """Raises: LimitReached while the key has to wait."""
        record = self._live(key)
        wait_s = 0.0 if record is None else record.next_s - self._clock.monotonic_s()
        if wait_s > 0:
            raise LimitReached(f"too many failed attempts; try again in {_words(wait_s)}")

    def locked_s(self, key: str) -> float:
        """How long the key is locked out; 0 where it is not, also where it only has to wait a little."""
        record = self._live(key)
        if record is None or record.attempts < self._limits.locked_after:
            return 0.0
        return max(record.next_s - self._clock.monotonic_s(), 0.0)

    def begin(self, key: str) -> bool:
        """Count an attempt; true when this one, should it fail, locks the key."""
        limits, now_s = self._limits, self._clock.monotonic_s()
        record = self._live(key)
        if record is None:
            record = self._records[key] = _Record(0, now_s, now_s)
            while len(self._records) > self._keys_max:
                self._records.popitem(last=False)
        record.attempts += 1
        locks = record.attempts >= limits.locked_after
        record.next_s = now_s + (limits.lock_s if locks else self._delay_s(record.attempts))
        record.forget_s = now_s + limits.lock_s
        self._records.move_to_end(key)
        return locks

    def forgive(self, key: str) -> None:
        """Everything is forgotten: the right password was given."""
        self._records.pop(key, None)

    def take_back(self, key: str) -> None:
        """One attempt did not count; the others stay."""
        record = self._records.get(key)
        if record is not None:
            record.attempts -= 1
            record.next_s = self._clock.monotonic_s()

    def _delay_s(self, attempts: int) -> float:
        beyond = attempts - self._limits.free
        return 0.0 if beyond < 0 else min(2.0 ** min(beyond, 30), self._limits.delay_max_s)

    def _live(self, key: str) -> _Record | None:
        record = self._records.get(key)
        if record is not None and self._clock.monotonic_s() >= record.forget_s:
            del self._records[key]
            return None
        return record


def _words(seconds: float) -> str:
    return f"{max(round(seconds), 1)} s" if seconds < 120 else f"{round(seconds / 60)} min"
