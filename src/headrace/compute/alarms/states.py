"""The life of one alarm. Pure. Source: IEC 62682 / ISA-18.2-2016 §5; the picture is in model/alarms.py.

    step ─► Held before ──┬─ shown: what a person sees ─► the table below
                          └─ beneath: active, latched, and up to three reasons to be quiet, each ending by itself

Shown is the strongest reason to be quiet (out of service, then by design, then shelved), else what is annunciated.
When the last reason ends, an active condition annunciates anew as unacknowledged, and a latch that was annunciated
before stays until somebody resets it; a condition that came and went in the meantime is in the history and nowhere
else, so that a machine that starts does not bring back its whole night.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from headrace.model.alarms import AlarmAction, AlarmRule, AlarmState, AlarmTransition

NORMAL = AlarmState.NORMAL

#: Annunciated states under the actions that move them, for an alarm that is not latched and must be acknowledged.
_NEXT: Final = {
    (AlarmState.NORMAL, AlarmAction.RAISED): AlarmState.UNACK_ACTIVE,
    (AlarmState.UNACK_CLEARED, AlarmAction.RAISED): AlarmState.UNACK_ACTIVE,
    (AlarmState.LATCHED_UNACK, AlarmAction.RAISED): AlarmState.UNACK_ACTIVE,
    (AlarmState.LATCHED_ACK, AlarmAction.RAISED): AlarmState.UNACK_ACTIVE,
    (AlarmState.UNACK_ACTIVE, AlarmAction.CLEARED): AlarmState.UNACK_CLEARED,
    (AlarmState.ACK_ACTIVE, AlarmAction.CLEARED): AlarmState.NORMAL,
    (AlarmState.UNACK_ACTIVE, AlarmAction.ACKNOWLEDGED): AlarmState.ACK_ACTIVE,
    (AlarmState.UNACK_CLEARED, AlarmAction.ACKNOWLEDGED): AlarmState.NORMAL,
    (AlarmState.LATCHED_UNACK, AlarmAction.ACKNOWLEDGED): AlarmState.LATCHED_ACK,
    (AlarmState.LATCHED_UNACK, AlarmAction.RESET): AlarmState.UNACK_CLEARED,  # the acknowledgement is still owed
    (AlarmState.LATCHED_ACK, AlarmAction.RESET): AlarmState.NORMAL,
}
_LATCHING: Final = {
    AlarmState.UNACK_CLEARED: AlarmState.LATCHED_UNACK,
    AlarmState.NORMAL: AlarmState.LATCHED_ACK,
}
#: For who need not acknowledge.
_SEEN: Final = {
    AlarmState.UNACK_ACTIVE: AlarmState.ACK_ACTIVE,
    AlarmState.UNACK_CLEARED: AlarmState.NORMAL,
    AlarmState.LATCHED_UNACK: AlarmState.LATCHED_ACK,
}


@dataclass(frozen=True, slots=True)
class Traits:
    """What a rule and its class say of how it moves."""

    latched: bool = False
    acknowledge: bool = True


@dataclass(frozen=True, slots=True)
class Shelf:
    """Shelved until `until_ns`, by our clock; `once`: or until the condition next clears."""

    since_ns: int
    until_ns: int
    by: str
    reason: str
    once: bool = False


@dataclass(frozen=True, slots=True)
class OutOfService:
    since_ns: int
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Held:
    """What is known of an alarm that is not normal. `raised_ns` is None where its condition has not held yet."""

    state: AlarmState = NORMAL
    value: float | None = None
    raised_ns: int | None = None
    cleared_ns: int | None = None
    acknowledged_ns: int | None = None
    acknowledged_by: str = ""
    comment: str = ""
    active: bool = False
    latched: bool = False  # an annunciated alarm has set the latch, and nobody has reset it
    shelf: Shelf | None = None
    suppressed_ns: int | None = None
    out: OutOfService | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to an alarm. `shelf` goes with SHELVED; `value` with RAISED and CLEARED."""

    action: AlarmAction
    time_ns: int
    value: float | None = None
    actor: str = ""
    comment: str = ""
    shelf: Shelf | None = None


def move(held: Held, step: Step, traits: Traits = Traits()) -> Held | None:
    """What it becomes; None where the step changes nothing: raised twice, cleared while normal, acknowledged before."""
    if step.action is AlarmAction.RAISED:
        return None if held.active else _raised(held, step, traits)
    if step.action is AlarmAction.CLEARED:
        return _cleared(held, step, traits) if held.active else None
    if step.action is AlarmAction.ACKNOWLEDGED:
        state = _next(held.state, step.action, traits)
        if state is None:
            return None
        return replace(
            held, state=state, acknowledged_ns=step.time_ns, acknowledged_by=step.actor, comment=step.comment
        )
    if step.action is AlarmAction.RESET:
        state = _next(held.state, step.action, traits)
        return None if state is None else replace(held, state=state, latched=False)
    quieted = _quieted(held, step)
    return None if quieted is None else _shown(held, quieted, traits)


def traits_of(rule: AlarmRule) -> Traits:
    return Traits(rule.latched, rule.handling.acknowledge)


class Moved:
    """Steps of many alarms: the transitions in order, and what each alarm has become (None: all is normal again)."""

    def __init__(self, held: Mapping[str, Held]) -> None:
        self.made: list[AlarmTransition] = []
        self.become: dict[str, Held | None] = {}
        self._held = held

    def now(self, rule: str) -> Held:
        held = self.become[rule] if rule in self.become else self._held.get(rule)
        return _NOTHING if held is None else held

    def take(self, rule: str, step: Step, traits: Traits) -> bool:
        """Whether it changes something."""
        after = move(self.now(rule), step, traits)
        if after is None:
            return False
        value = step.value if step.action in (AlarmAction.RAISED, AlarmAction.CLEARED) else after.value
        self.put(AlarmTransition(rule, step.action, after.state, step.time_ns, value, step.actor, step.comment), after)
        return True

    def put(self, transition: AlarmTransition, after: Held) -> None:
        self.made.append(transition)
        self.become[transition.rule] = None if after.state is NORMAL else after


_NOTHING: Final = Held()


def _next(state: AlarmState, action: AlarmAction, traits: Traits) -> AlarmState | None:
    after = _NEXT.get((state, action))
    if after is not None and action is AlarmAction.CLEARED and traits.latched:
        after = _LATCHING[after]
    return after if traits.acknowledge or after is None else _SEEN.get(after, after)


def _raised(held: Held, step: Step, traits: Traits) -> Held:
    state = held.state if held.state.quiet else _next(held.state, step.action, traits)
    assert state is not None
    latched = held.latched or (traits.latched and not state.quiet)
    return replace(
        held, state=state, value=step.value, raised_ns=step.time_ns, cleared_ns=None, acknowledged_ns=None,
        acknowledged_by="", comment="", active=True, latched=latched,
    )  # fmt: skip


def _cleared(held: Held, step: Step, traits: Traits) -> Held:
    state = held.state if held.state.quiet else _next(held.state, step.action, traits)
    assert state is not None
    latched = state in (AlarmState.LATCHED_UNACK, AlarmState.LATCHED_ACK) or (state.quiet and held.latched)
    return replace(held, state=state, cleared_ns=step.time_ns, active=False, latched=latched)


def _quieted(held: Held, step: Step) -> Held | None:
    """With one reason to be quiet more or less."""
    match step.action:
        case AlarmAction.SHELVED if step.shelf is not None and held.out is None:
            return replace(held, shelf=step.shelf)
        case AlarmAction.UNSHELVED if held.shelf is not None:
            return replace(held, shelf=None)
        case AlarmAction.SUPPRESSED if held.suppressed_ns is None:
            return replace(held, suppressed_ns=step.time_ns)
        case AlarmAction.RELEASED if held.suppressed_ns is not None:
            return replace(held, suppressed_ns=None)
        case AlarmAction.REMOVED if held.out is None:
            return replace(held, out=OutOfService(step.time_ns, step.actor, step.comment))
        case AlarmAction.RETURNED if held.out is not None:
            return replace(held, out=None)
    return None


def _shown(before: Held, held: Held, traits: Traits) -> Held:
    if held.out is not None:
        return replace(held, state=AlarmState.OUT_OF_SERVICE)
    if held.suppressed_ns is not None:
        return replace(held, state=AlarmState.SUPPRESSED)
    if held.shelf is not None:
        return replace(held, state=AlarmState.SHELVED)
    assert before.state.quiet
    state = AlarmState.NORMAL
    if held.active:
        state = AlarmState.UNACK_ACTIVE
        held = replace(held, acknowledged_ns=None, acknowledged_by="", comment="", latched=traits.latched)
    elif held.latched:
        state = AlarmState.LATCHED_UNACK
    return replace(held, state=state if traits.acknowledge else _SEEN.get(state, state))
