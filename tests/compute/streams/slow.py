"""A second opinion on windows: a sample at a time, in plain Python, knowing nothing of columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from headrace.sdk.stream import Kind, Late, StreamFunction

NEVER = -(2**60)
Sample = tuple[str, str, int, float]  # key, input, time, value
Windows = dict[tuple[str, int, int], list[tuple[int, str, float]]]


@dataclass
class Slow:
    """Of tumbling, sliding, session and count windows without joins; results by (key, start, end)."""

    function: StreamFunction
    newest: dict[str, int] = field(default_factory=dict)
    of_all: int = NEVER
    over: int = NEVER
    rows: dict[str, dict[tuple[int, str], float]] = field(default_factory=dict)
    found: Windows = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    silent: dict[str, int] = field(default_factory=dict)
    late: int = 0

    def stands(self, key: str) -> int:
        function = self.function
        newest = self.newest.get(key, NEVER)
        slack = function.lateness_ns + function.idle_ns
        if newest > NEVER and self.of_all - self.seen[key] >= slack:
            window = function.window
            if window.kind is Kind.COUNT:
                end = newest + 1
            elif window.kind is Kind.SESSION:
                end = newest + window.width_ns
            else:
                end = newest // window.every_ns * window.every_ns + window.width_ns
            self.silent[key] = max(self.silent.get(key, NEVER), min(end, self.of_all - slack))
        return max(newest - function.lateness_ns, self.silent.get(key, NEVER), self.over)

    def run(self, samples: Iterable[Sample], over: int) -> Windows:
        for key, name, time, value in samples:
            self.take(key, name, time, value)
        self.over = over
        for key in list(self.rows):
            self.close(key)
        return self.found

    def take(self, key: str, name: str, time: int, value: float) -> None:
        stands, window = self.stands(key), self.function.window
        if window.kind in (Kind.SESSION, Kind.COUNT):
            if time < stands:
                self.late += 1
            else:
                self.rows.setdefault(key, {})[time, name] = value
        else:
            every, width = window.every_ns, window.width_ns
            begins = range(time // every * every, time - width, -every)
            ends = [start + width for start in begins]
            if self.function.late is Late.UPDATE:
                self.late += min(ends) <= stands
                ends = [end for end in ends if end > stands - self.function.keep_ns]
            else:
                ends = [end for end in ends if end > stands]
                self.late += not ends
            for end in ends:
                held = self.found.setdefault((key, end - window.width_ns, end), [])
                held[:] = sorted([row for row in held if row[:2] != (time, name)] + [(time, name, value)])
        self.newest[key] = max(self.newest.get(key, NEVER), time)
        self.of_all = self.seen[key] = max(self.of_all, time)
        for one in {*self.rows, *self.newest}:
            self.stands(one)
        for one in list(self.rows):
            self.close(one)

    def close(self, key: str) -> None:
        window, stands = self.function.window, self.stands(key)
        rows = sorted((time, name, value) for (time, name), value in self.rows[key].items())
        while rows:
            if window.kind is Kind.SESSION:
                length = 1
                while length < len(rows) and rows[length][0] - rows[length - 1][0] < window.width_ns:
                    length += 1
                if rows[length - 1][0] + window.width_ns > stands:
                    return
            else:
                length = window.samples
                if len(rows) < length or rows[length - 1][0] >= stands:
                    return
            part, rows = rows[:length], rows[length:]
            self.found[key, part[0][0], part[-1][0]] = part
            for time, name, _ in part:
                del self.rows[key][time, name]
