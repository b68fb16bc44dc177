"""Stretches of running, of states as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

Step = tuple[str, int, str]
"""Path, time, state."""


def stretches(
    steps: Sequence[Step], standing: dict[str, tuple[str, int]], running: str
) -> Iterator[tuple[str, int, int]]:
    """Path, start and end of each stretch that ended; `standing` is moved on."""
    for path, time_ns, state in sorted(steps, key=lambda step: step[1]):
        before = standing.get(path)
        if before is not None and (time_ns <= before[1] or before[0] == state):
            continue
        if before is not None and before[0] == running:
            yield path, before[1], time_ns
        standing[path] = (state, time_ns)
