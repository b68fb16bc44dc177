"""How much backlog may be on the way, so that nothing else waits behind it for long.

A link has a queue somewhere: in our kernel, in a modem. Whatever is sent beyond what the link carries waits there, and
live samples wait behind it. So the window grows while acknowledgements come back soon, and shrinks when they take
longer than an empty link and a little patience; as LEDBAT does (RFC 6817), with round trips.
"""

from __future__ import annotations

from collections import deque
from typing import Final

_SHRINK: Final = 0.7


class Window:
    def __init__(self, bytes_min: int, bytes_max: int, delay_s: float) -> None:
        self._least, self._most, self._delay_s = bytes_min, bytes_max, delay_s
        self.bytes = bytes_min
        self._sent: deque[tuple[int, int, float]] = deque()
        self.on_the_way = 0
        self._shrunk_s = 0.0

    @property
    def room(self) -> int:
        """Bytes; something may always be sent while nothing is on the way."""
        return self.bytes - self.on_the_way

    def sent(self, sequence: int, size: int, now_s: float) -> None:
        self._sent.append((sequence, size, now_s))
        self.on_the_way += size

    def acked(self, sequence: int, now_s: float, quickest_s: float) -> None:
        """Everything up to `sequence`; `quickest_s` is a round trip over the empty link."""
        size, sent_s = 0, now_s
        while self._sent and self._sent[0][0] <= sequence:
            _, each, sent_s = self._sent.popleft()
            size += each
        self.on_the_way -= size
        if not size:
            return
        if now_s - sent_s > quickest_s + self._delay_s:
            if sent_s >= self._shrunk_s:  # once for what was sent under the same window
                self.bytes = max(int(self.bytes * _SHRINK), self._least)
                self._shrunk_s = now_s
        elif self.on_the_way + 2 * size >= self.bytes // 2:  # it was in use
            self.bytes = min(self.bytes + size, self._most)
