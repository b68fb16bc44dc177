"""Disk-full is met before it happens: how much room there is, how much must stay, and when it will be gone.

    free ──── enough ───────────── low ─────────────── needed ───── 0
                                    │ an alarm; classes   │ samples are refused, so that whatever
                                    │ give up their oldest │ was acknowledged can still be flushed

What is needed is a reserve, and room for the segments of everything that is in the log and not yet in a segment.
"""

from __future__ import annotations

import logging
from collections import deque
from pathlib import Path
from typing import Final

from headrace.history.disk import Disk
from headrace.history.settings import HistorySettings
from headrace.history.view import Views
from headrace.history.wal import log_path
from headrace.model.errors import Unavailable
from headrace.sdk.clock import Clock
from headrace.sdk.store import DiskOutlook, DiskState

_log = logging.getLogger(__name__)

_SEGMENT_SHARE: Final = 2  # bytes of segments for a byte of log, at most …
_CHUNK_BYTES: Final = 128  # … but for the index and the roll-ups of points with few samples an hour
_OBSERVED_S: Final = 60.0  # free space is noted this often …
_OBSERVED_MAX: Final = 24 * 60  # … for a day
_TREND_MIN_S: Final = 1800.0  # a flush every ten minutes makes it go up and down


class DiskSpace:
    """`check` belongs to the commit thread, `observe` to the event loop; the rest may be asked from any."""

    def __init__(self, directory: Path, disk: Disk, settings: HistorySettings, clock: Clock, views: Views) -> None:
        self._directory, self._disk, self._settings, self._clock, self._views = directory, disk, settings, clock, views
        self._log_bytes = {
            memtable.generation: path.stat().st_size
            for memtable in views.current.memtables
            if (path := log_path(directory / "wal", memtable.generation)).exists()
        }
        self._points = 1
        self._observed: deque[tuple[float, int]] = deque(maxlen=_OBSERVED_MAX)
        self._state = DiskState.ENOUGH
        self.refusing = False

    def set_points(self, count: int) -> None:
        """How many points there are, which bounds how many chunks a flush makes."""
        self._points = max(count, 1)

    def note_log(self, generation: int, size: int) -> None:
        """How long the log of a memtable is."""
        self._log_bytes[generation] = size
        if len(self._log_bytes) > 8:
            held = {memtable.generation for memtable in self._views.current.memtables}
            self._log_bytes = {number: held_size for number, held_size in self._log_bytes.items() if number in held}

    def free_bytes(self) -> int:
        return self._disk.free_bytes(self._directory)

    def flush_bytes(self) -> int:
        """What the segments of everything acknowledged and not yet flushed take, at most."""
        total = 0
        for memtable in self._views.current.memtables:
            chunks = min(memtable.samples, self._points * len(memtable.hours))
            total += _SEGMENT_SHARE * self._log_bytes.get(memtable.generation, 0) + _CHUNK_BYTES * chunks
        return total

    def needed_bytes(self) -> int:
        """Below this much free, samples are refused."""
        return self._settings.disk_reserve_bytes + self.flush_bytes()

    def room_for(self, size: int, *, making_room: bool = False) -> bool:
        """Whether upkeep may write `size` bytes; what makes room may take from the reserve for it."""
        return self.free_bytes() - size >= (self.flush_bytes() if making_room else self.needed_bytes())

    @property
    def low(self) -> bool:
        """Time to make room: within twice the reserve of refusing samples."""
        return self.free_bytes() < self.needed_bytes() + self._settings.disk_reserve_bytes

    def check(self) -> None:
        """Before samples are acknowledged. Raises: Unavailable."""
        low = self.free_bytes() < self.needed_bytes()
        if low != self.refusing:
            self.refusing = low
            _log.warning("history disk is %s its low-water mark", "below" if low else "again above")
        if low:
            raise Unavailable(
                f"history disk has less than {self.needed_bytes() >> 20} MiB free: "
                "nothing is stored until space is made or retention is shortened"
            )

    def observe(self) -> None:
        """Note how much is free, and log once where the outlook changes."""
        now_s, free = self._clock.monotonic_s(), self.free_bytes()
        if not self._observed or now_s - self._observed[-1][0] >= _OBSERVED_S:
            self._observed.append((now_s, free))
        outlook = self.outlook()
        if outlook.state is not self._state:
            self._state = outlook.state
            level = logging.INFO if outlook.state is DiskState.ENOUGH else logging.WARNING
            _log.log(level, "history disk: %s", describe(outlook))

    def outlook(self) -> DiskOutlook:
        free, needed = self.free_bytes(), self.needed_bytes()
        left_s = self._left_s(free - needed)
        if free < needed:
            state = DiskState.FULL
        elif free < needed + self._settings.disk_reserve_bytes or (
            left_s is not None and left_s < self._settings.disk_warning_s
        ):
            state = DiskState.LOW
        else:
            state = DiskState.ENOUGH
        return DiskOutlook(state, free, needed, left_s)

    def _left_s(self, room: int) -> float | None:
        """How long the room lasts at the rate of late: the last third against the first third of what was noted."""
        seen = list(self._observed)
        if len(seen) < 6 or seen[-1][0] - seen[0][0] < _TREND_MIN_S:
            return None
        third = len(seen) // 3
        (then_s, then), (now_s, now) = _mean(seen[:third]), _mean(seen[-third:])
        rate = (then - now) / (now_s - then_s)
        return max(room, 0) / rate if rate > 0 else None


def describe(outlook: DiskOutlook) -> str:
    """In one line, for a log and a person."""
    free = f"{outlook.free_bytes / 1e9:.1f} GB free"
    if outlook.state is DiskState.FULL:
        return f"full ({free}): samples are refused until space is made"
    if outlook.full_in_s is None:
        return free if outlook.state is DiskState.ENOUGH else f"nearly full ({free})"
    return f"{free}, full in {_shown(outlook.full_in_s)} at the present rate"


def _shown(span_s: float) -> str:
    for unit_s, word in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if span_s >= 2 * unit_s or unit_s == 60:
            return f"{span_s / unit_s:.0f} {word}"
    raise AssertionError


def _mean(seen: list[tuple[float, int]]) -> tuple[float, float]:
    return sum(at for at, _ in seen) / len(seen), sum(free for _, free in seen) / len(seen)
