"""Figures of the alarm system from its journal: one pass of SQL gives columns, the rest is NumPy. Pure.

    steps by (time, sequence) ─┬─ annunciations ─► rates, peak, floods, top ten, priorities, chattering
                               ├─ by rule: what was on, and what put it off ─► fleeting, standing
                               └─ by rule: what was told, and what answered ─► time to acknowledge

Times are event times: a backlog counts when it happened, not when it came. What a step before the stretch began is not
known unless the alarm stands still, so `Steps` begins a day early and `covered_ns` says what the journal has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.compute.alarms.states import Held
from headrace.model.alarm_kpis import (
    CHATTER_NS,
    CHATTERS,
    FLEETING_NS,
    FLOOD_BEGINS,
    FLOOD_ENDS_BELOW,
    STALE_NS,
    TOP,
    WINDOW_NS,
    AlarmKpis,
    Flood,
    Offender,
    Response,
    Standing,
)
from headrace.model.alarms import ANNUNCIATING, AlarmAction, AlarmRule, AlarmState, Priority
from headrace.model.time import HOUR_NS, SECOND_NS

LISTED_MAX: Final = 100
#: The journal is read from so much earlier than asked, to know what stood when the stretch began.
EARLIER_NS: Final = STALE_NS

Times = NDArray[np.int64]
_ACTIONS: Final = tuple(AlarmAction)
ACTION_CODES: Final = {action.value: code for code, action in enumerate(_ACTIONS)}
_ANNUNCIATING: Final = np.array([action in ANNUNCIATING for action in _ACTIONS])


@dataclass(frozen=True, slots=True)
class Steps:
    """Transitions as columns, by time. Shape: (steps,). `rule` is an index into `names`; `told`: a person was told.

    `first_ns` is where the journal begins, None where it is empty.
    """

    names: Sequence[str]
    rule: NDArray[np.int64]
    action: NDArray[np.int8]
    told: NDArray[np.bool_]
    owed: NDArray[np.bool_]  # … and has to acknowledge
    time_ns: Times
    first_ns: int | None

    @classmethod
    def of(cls, rows: Sequence[tuple[str, str, str, int]], first_ns: int | None) -> Steps:
        """`rows` are rule, action, state, time, by time."""
        rules, actions, states, times = zip(*rows, strict=True) if rows else ((), (), (), ())
        numbers: dict[str, int] = {}
        rule = np.array([numbers.setdefault(name, len(numbers)) for name in rules], np.int64)
        action = np.array([ACTION_CODES[one] for one in actions], np.int8)
        owed = np.array([state == AlarmState.UNACK_ACTIVE for state in states], np.bool_)
        active = owed | np.array([state == AlarmState.ACK_ACTIVE for state in states], np.bool_)
        told = active & _ANNUNCIATING[action] if len(action) else active
        return cls(list(numbers), rule, action, told, told & owed, np.array(times, np.int64), first_ns)

    def is_(self, action: AlarmAction) -> NDArray[np.bool_]:
        return np.equal(self.action, ACTION_CODES[action.value])


def measure(
    steps: Steps,
    rules: Mapping[str, AlarmRule],
    held: Mapping[str, Held],
    start_ns: int,
    end_ns: int,
    operators: float = 1.0,
) -> AlarmKpis:
    """`steps` from EARLIER_NS before `start_ns`; `held` is what is not normal now, of the same part of the plant."""
    inside = steps.time_ns >= start_ns
    at = np.flatnonzero(steps.told & inside)
    times, whose = steps.time_ns[at], steps.rule[at]
    begin_ns = end_ns if steps.first_ns is None else min(max(start_ns, steps.first_ns), end_ns)
    covered_ns = end_ns - begin_ns
    hours = covered_ns / HOUR_NS
    counts = np.bincount(whose, minlength=len(steps.names))
    most = _offenders(steps.names, counts, TOP)
    floods = floods_of(times, end_ns)
    peak, peak_ns = _peak(times)
    slices = np.bincount((times - begin_ns) // WINDOW_NS) if len(times) else np.zeros(0, np.int64)
    priorities = dict.fromkeys(Priority, 0)
    unknown = 0
    for name, count in zip(steps.names, counts.tolist(), strict=True):
        if name in rules:
            priorities[rules[name].priority] += count
        else:
            unknown += count
    response, unanswered = _responses(steps, inside)
    flooded = sum((end_ns if one.end_ns is None else one.end_ns) - one.start_ns for one in floods)
    now = [one.state for one in held.values()]
    return AlarmKpis(
        start_ns=start_ns,
        end_ns=end_ns,
        covered_ns=covered_ns,
        operators=operators,
        transitions=int(inside.sum()),
        annunciated=len(at),
        per_operator_hour=len(at) / operators / hours if hours else 0.0,
        per_operator_window=len(at) / operators / (covered_ns / WINDOW_NS) if covered_ns else 0.0,
        peak_window=peak,
        peak_window_ns=peak_ns,
        windows_in_excess=float((slices > 10 * operators).sum()) / max(-(-covered_ns // WINDOW_NS), 1),
        floods=floods,
        flood_share=flooded / covered_ns if covered_ns else 0.0,
        chattering=_offenders(steps.names, _chatter(whose, times, len(steps.names)), LISTED_MAX),
        fleeting=_offenders(steps.names, _fleeting(steps, inside), LISTED_MAX),
        stale=_stale(steps, held, start_ns, end_ns),
        top=most,
        top_share=sum(one.share for one in most),
        priorities=priorities,
        unknown_priority=unknown,
        acknowledged=response,
        never_acknowledged=unanswered,
        shelved=int((steps.is_(AlarmAction.SHELVED) & inside).sum()),
        suppressed=int((steps.is_(AlarmAction.SUPPRESSED) & inside).sum()),
        out_of_service=int((steps.is_(AlarmAction.REMOVED) & inside).sum()),
        shelved_now=now.count(AlarmState.SHELVED),
        suppressed_now=now.count(AlarmState.SUPPRESSED),
        out_of_service_now=now.count(AlarmState.OUT_OF_SERVICE),
    )


def floods_of(times: Times, now_ns: int) -> list[Flood]:
    """Floods among these sorted times of annunciations; a window at t is (t − 10 min, t]. One that goes on at `now_ns`
    has no end."""
    floods: list[Flood] = []
    count = _within(times, WINDOW_NS)
    begins = np.flatnonzero(count >= FLOOD_BEGINS)
    ends_ns = times + WINDOW_NS  # the moments at which there is one less …
    left = np.searchsorted(times, ends_ns, "right") - np.arange(1, len(times) + 1)  # … and how many are left then
    ends_ns = ends_ns[left < FLOOD_ENDS_BELOW]
    at = 0
    while at < len(begins):
        first = int(begins[at])
        end = int(np.searchsorted(ends_ns, times[first], "right"))
        end_ns = int(ends_ns[end])  # the last time of all leaves none behind, so there is one
        last = int(np.searchsorted(times, end_ns, "right"))
        floods.append(
            Flood(
                int(times[first]),
                end_ns if end_ns <= now_ns else None,
                last - first,
                int(count[first:last].max()),
            )
        )
        at = int(np.searchsorted(begins, last))
    return floods


def _within(times: Times, span_ns: int) -> NDArray[np.int64]:
    """How many there are in the span that ends with each. Shape: (times,)."""
    return np.searchsorted(times, times, "right") - np.searchsorted(times, times - span_ns, "right")


def _peak(times: Times) -> tuple[int, int | None]:
    """Most annunciations in any ten minutes, and when those began."""
    if not len(times):
        return 0, None
    count = _within(times, WINDOW_NS)
    at = int(count.argmax())
    return int(count[at]), int(times[at - count[at] + 1])


def _chatter(whose: NDArray[np.int64], times: Times, rules: int) -> NDArray[np.int64]:
    """By rule: how often it was annunciated, for those that were so three times in a minute. Shape: (rules,)."""
    order = np.lexsort((times, whose))
    whose, times = whose[order], times[order]
    back = CHATTERS - 1
    fast = (whose[back:] == whose[:-back]) & (times[back:] - times[:-back] < CHATTER_NS)
    chatters = np.zeros(rules, np.bool_)
    chatters[whose[back:][fast]] = True
    return np.where(chatters, np.bincount(whose, minlength=rules), 0)


def _fleeting(steps: Steps, inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """By rule: annunciations that were gone in less than FLEETING_NS, before anybody acknowledged. Shape: (rules,)."""
    at = np.flatnonzero(steps.told | steps.is_(AlarmAction.CLEARED) | steps.is_(AlarmAction.ACKNOWLEDGED))
    at = at[np.argsort(steps.rule[at], kind="stable")]
    first, then = at[:-1], at[1:]
    gone = steps.told[first] & steps.is_(AlarmAction.CLEARED)[then] & (steps.rule[first] == steps.rule[then])
    gone &= inside[first] & (steps.time_ns[then] - steps.time_ns[first] < FLEETING_NS)
    return np.bincount(steps.rule[first[gone]], minlength=len(steps.names))


def _stale(steps: Steps, held: Mapping[str, Held], start_ns: int, end_ns: int) -> list[Standing]:
    """Annunciated alarms that had stood for longer than a day at some moment of the stretch."""
    found: list[Standing] = []
    telling = steps.told | steps.is_(AlarmAction.RAISED)
    at = np.flatnonzero(telling | steps.is_(AlarmAction.CLEARED))
    at = at[np.argsort(steps.rule[at], kind="stable")]
    for place, one in enumerate(at.tolist()):
        if not steps.is_(AlarmAction.CLEARED)[one] or steps.time_ns[one] < start_ns:
            continue
        before = int(at[place - 1]) if place else -1
        name, cleared_ns = steps.names[int(steps.rule[one])], int(steps.time_ns[one])
        if before < 0 or steps.rule[before] != steps.rule[one]:
            if steps.first_ns is not None and steps.first_ns <= start_ns - EARLIER_NS:
                found.append(Standing(name, None, cleared_ns))
        elif telling[before] and cleared_ns - int(steps.time_ns[before]) > STALE_NS:
            found.append(Standing(name, int(steps.time_ns[before]), cleared_ns))
    for name, alarm in held.items():
        if alarm.state.active and alarm.raised_ns is not None and end_ns - alarm.raised_ns > STALE_NS:
            found.append(Standing(name, alarm.raised_ns, None))
    return sorted(found, key=lambda one: (one.start_ns or 0, one.rule))[:LISTED_MAX]


def _responses(steps: Steps, inside: NDArray[np.bool_]) -> tuple[Response, int]:
    """Acknowledgements in the stretch by how long they took, and annunciations in it that have none."""
    answers = steps.is_(AlarmAction.ACKNOWLEDGED)
    at = np.flatnonzero(steps.owed | answers)
    at = at[np.argsort(steps.rule[at], kind="stable")]
    first, then = at[:-1], at[1:]
    pair = steps.owed[first] & answers[then] & (steps.rule[first] == steps.rule[then])
    taken_s = (steps.time_ns[then] - steps.time_ns[first])[pair & inside[then]] / SECOND_NS
    answered = int((pair & inside[first]).sum())
    unanswered = int((steps.owed & inside).sum()) - answered
    if not len(taken_s):
        return Response(0, None, None, None, None), unanswered
    taken_s = np.maximum(taken_s, 0.0)  # event time of a fast clock may be ahead of ours
    median, p90 = np.percentile(taken_s, (50, 90)).tolist()
    return Response(len(taken_s), median, float(taken_s.mean()), p90, float(taken_s.max())), unanswered


def _offenders(names: Sequence[str], counts: NDArray[np.int64], most: int) -> list[Offender]:
    """Rules by how often, then by name, without those that never did."""
    total = int(counts.sum())
    found = sorted((-count, name) for name, count in zip(names, counts.tolist(), strict=True) if count)
    return [Offender(name, -count, -count / total) for count, name in found[:most]]
