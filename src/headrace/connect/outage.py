"""When an outage is worth a line: lost once, back once, however often a device is tried or flaps in between.

up ──lost──► out ──answers──► (had it been stable before? say `back` now : when it has stayed `stable_s`) ──► up
"""

from __future__ import annotations


class Outage:
    """All times are seconds of one monotonic clock."""

    def __init__(self, stable_s: float) -> None:
        self._stable_s = stable_s
        self._from_s: float | None = None
        self._up_at_s: float | None = None
        self._flapping = False
        self._known = False

    @property
    def back_due_s(self) -> float | None:
        """When `back` will have something to say, if the device stays."""
        return self._up_at_s if self._from_s is not None else None

    def lost(self, now_s: float, up_since_s: float | None) -> bool:
        """The session ended; `up_since_s` is None where it never began. True where that is news."""
        self._up_at_s = None
        if self._from_s is not None:
            return False
        self._flapping = self._known and up_since_s is not None and now_s - up_since_s < self._stable_s
        self._from_s, self._known = now_s, True
        return True

    def answered(self, now_s: float) -> bool:
        """The device has answered. True where that is the first time ever, without an outage before it."""
        if self._from_s is None:
            news, self._known = not self._known, True
            return news
        if self._up_at_s is None:
            self._up_at_s = now_s + (self._stable_s if self._flapping else 0.0)
        return False

    def back(self, now_s: float) -> float | None:
        """How long the outage was, once, when it may be called over; else None."""
        if self._from_s is None or self._up_at_s is None or now_s < self._up_at_s:
            return None
        length_s = now_s - self._from_s
        self._from_s = self._up_at_s = None
        return length_s
