"""What is known of how an app fares: calls, failures, the newest lines of its log."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import psutil

from headrace.hosting.abilities import CallFigures
from headrace.sdk.clock import Clock

LINES_KEPT: Final = 1_000
KINDS_MAX: Final = 1_200


@dataclass(slots=True)
class _Counted:
    calls: int = 0
    failures: int = 0
    seconds: float = 0.0
    seconds_max: float = 0.0


@dataclass(slots=True)
class Figures:
    """Since the platform started."""

    clock: Clock
    failure: str = ""
    failed_ns: int | None = None
    restarts: int = 0
    asks: int = 0
    asks_refused: int = 0
    log: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=LINES_KEPT))
    _calls: dict[str, _Counted] = field(default_factory=dict)

    @contextmanager
    def counted(self, kind: str) -> Iterator[None]:
        """A call of the app; what it raises is remembered, and goes on."""
        counted = self._calls.setdefault(kind if len(self._calls) < KINDS_MAX else "others", _Counted())
        start_s = time.perf_counter()
        try:
            yield
        except Exception as error:
            counted.failures += 1
            self.fail(f"{kind}: {error}")
            raise
        finally:
            took_s = time.perf_counter() - start_s
            counted.calls += 1
            counted.seconds += took_s
            counted.seconds_max = max(counted.seconds_max, took_s)

    def fail(self, why: str) -> None:
        self.failure, self.failed_ns = why[:1_000], self.clock.now_ns()

    def said(self, lines: Sequence[str]) -> None:
        now_ns = self.clock.now_ns()
        self.log.extend((now_ns, line) for line in lines)

    def calls(self) -> Mapping[str, CallFigures]:
        return {
            kind: CallFigures(one.calls, one.failures, one.seconds, one.seconds_max)
            for kind, one in sorted(self._calls.items())
        }


def use_of(pid: int | None) -> tuple[float, int]:
    """Processor time in s and resident bytes of a process; zeros where it is gone."""
    if pid is None:
        return 0.0, 0
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            times = process.cpu_times()
            return times.user + times.system, process.memory_info().rss
    except psutil.Error:
        return 0.0, 0
