"""One timer for tens of thousands of deadlines: a bucket a second, emptied as time passes.

    put(item, at_s) ──► [ second 1041 ][ 1042 ] … ──turn(now_s)──► item.due(now_s) ──► when to look again, or None

Nothing is ever taken out: an item whose deadline has moved says so when it is due. Times are seconds of one clock.
"""

from __future__ import annotations

import math
from typing import Protocol


class Due(Protocol):
    def due(self, now_s: float) -> float | None:
        """Do what is due; the moment of the next look, None for never."""
        ...


class Wheel:
    def __init__(self, now_s: float) -> None:
        self._buckets: dict[int, list[Due]] = {}
        self._turned = math.floor(now_s)

    def put(self, item: Due, at_s: float) -> None:
        """`item.due` is called in the second that follows `at_s`, at the earliest with the next turn."""
        place = max(math.ceil(at_s), self._turned + 1)
        bucket = self._buckets.get(place)
        if bucket is None:
            self._buckets[place] = [item]
        else:
            bucket.append(item)

    def turn(self, now_s: float) -> None:
        """Call what is due by now."""
        last = math.floor(now_s)
        if last - self._turned > len(self._buckets):  # a clock that has jumped: look at buckets, not at seconds
            places = sorted(place for place in self._buckets if place <= last)
        else:
            places = list(range(self._turned + 1, last + 1))
        for place in places:
            self._turned = max(self._turned, place)
            for item in self._buckets.pop(place, ()):
                again_s = item.due(now_s)
                if again_s is not None:
                    self.put(item, again_s)
        self._turned = max(self._turned, last)

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))
