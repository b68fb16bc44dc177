"""What is good once and for a short while: challenges, sign-ins that wait for a second factor, offers."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, Generic, TypeVar

from headrace.sdk.clock import Clock

Value = TypeVar("Value")

KEPT_MAX: Final = 10_000


class Once(Generic[Value]):
    """At most `kept_max` at a time, the oldest forgotten first."""

    def __init__(self, clock: Clock, life_s: float, kept_max: int = KEPT_MAX) -> None:
        self._clock, self._life_s, self._kept_max = clock, life_s, kept_max
        self._kept: OrderedDict[str, tuple[float, Value]] = OrderedDict()

    def put(self, key: str, value: Value) -> None:
        self._kept.pop(key, None)
        self._kept[key] = (self._clock.monotonic_s() + self._life_s, value)
        while len(self._kept) > self._kept_max:
            self._kept.popitem(last=False)

    def look(self, key: str) -> Value | None:
        found = self._kept.get(key)
        if found is None:
            return None
        if self._clock.monotonic_s() >= found[0]:
            del self._kept[key]
            return None
        return found[1]

    def take(self, key: str) -> Value | None:
        """And it is there no more."""
        found = self.look(key)
        self._kept.pop(key, None)
        return found
