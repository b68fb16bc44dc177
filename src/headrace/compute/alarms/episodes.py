"""Alarms of the past as stretches of time: from raise to clear. And which of them late samples may have changed. Pure.

take(batches) ─► late for a rule ─► note ─► … nothing more for a while ─► due ─► backtests/afterwards.py
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.model.alarms import AlarmAction, AlarmState, AlarmTransition
from headrace.sdk.clock import Clock

FOUND_LATE: Final = "found in samples that came late"

_BEGINS: Final = frozenset({AlarmAction.RAISED, AlarmAction.FOUND})
_ENDS: Final = frozenset({AlarmAction.CLEARED, AlarmAction.PASSED})


@dataclass(slots=True)
class Episode:
    """From raise to clear. `raised_ns` before the stretch: it stood at its beginning; `cleared_ns` None: at its end."""

    rule: str
    raised_ns: int
    value: float | None
    cleared_ns: int | None = None


def steps_of(episode: Episode) -> list[AlarmTransition]:
    """What is recorded of one that nobody knew of."""
    told = (AlarmState.NORMAL, episode.raised_ns, episode.value, "", FOUND_LATE)
    steps = [AlarmTransition(episode.rule, AlarmAction.FOUND, *told)]
    if episode.cleared_ns is not None:
        steps.append(
            AlarmTransition(
                episode.rule, AlarmAction.PASSED, AlarmState.NORMAL, episode.cleared_ns, None, "", FOUND_LATE
            )
        )
    return steps


def unknown(episodes: Iterable[Episode], steps: Iterable[AlarmTransition], near_ns: int) -> list[Episode]:
    """Those that overlap with nothing among `steps` (by time, of any rules), nor come within `near_ns` of it."""
    known: dict[str, list[list[int | None]]] = {}
    for step in steps:
        spans = known.setdefault(step.rule, [])
        if step.action in _BEGINS:
            spans.append([step.time_ns, None])
        elif step.action in _ENDS:
            if spans and spans[-1][1] is None:
                spans[-1][1] = step.time_ns
            else:
                spans.append([None, step.time_ns])
    return [one for one in episodes if not any(_meet(one, span, near_ns) for span in known.get(one.rule, ()))]


def _meet(episode: Episode, span: Sequence[int | None], near_ns: int) -> bool:
    begun, ended = span
    after = ended is not None and ended + near_ns < episode.raised_ns
    before = begun is not None and episode.cleared_ns is not None and episode.cleared_ns + near_ns < begun
    return not (after or before)


@dataclass(slots=True)
class _Late:
    first_ns: int
    last_ns: int
    begun_s: float
    newest_s: float


class LateStretches:
    """By rule: the stretch of the past of which samples came late, and when they came."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._late: dict[str, _Late] = {}

    def note(self, stretches: Mapping[str, tuple[int, int]]) -> None:
        if not stretches:
            return
        now_s = self._clock.monotonic_s()
        for rule, (first_ns, last_ns) in stretches.items():
            one = self._late.setdefault(rule, _Late(first_ns, last_ns, now_s, now_s))
            one.first_ns, one.last_ns = min(one.first_ns, first_ns), max(one.last_ns, last_ns)
            one.newest_s = now_s

    def due(self, quiet_s: float, longest_s: float) -> dict[str, tuple[int, int]]:
        """Those of which nothing has come for `quiet_s`, or something for `longest_s`; they are noted no more."""
        now_s = self._clock.monotonic_s()
        due = [
            rule
            for rule, one in self._late.items()
            if now_s - one.newest_s >= quiet_s or now_s - one.begun_s >= longest_s
        ]
        found = {rule: self._late.pop(rule) for rule in due}
        return {rule: (one.first_ns, one.last_ns) for rule, one in found.items()}
