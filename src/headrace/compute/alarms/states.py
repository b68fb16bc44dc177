"""The life of one alarm. Pure. Source: IEC 62682 / ISA-18.2-2016 §5; the picture is in model/alarms.py."""

from __future__ import annotations

from dataclasses import dataclass, replace

from headrace.model.alarms import AlarmAction, AlarmState, AlarmTransition

NORMAL = AlarmState.NORMAL

_NEXT = {
    (AlarmState.NORMAL, AlarmAction.RAISED): AlarmState.UNACK_ACTIVE,
    (AlarmState.UNACK_CLEARED, AlarmAction.RAISED): AlarmState.UNACK_ACTIVE,
    (AlarmState.UNACK_ACTIVE, AlarmAction.CLEARED): AlarmState.UNACK_CLEARED,
    (AlarmState.ACK_ACTIVE, AlarmAction.CLEARED): AlarmState.NORMAL,
    (AlarmState.UNACK_ACTIVE, AlarmAction.ACKNOWLEDGED): AlarmState.ACK_ACTIVE,
    (AlarmState.UNACK_CLEARED, AlarmAction.ACKNOWLEDGED): AlarmState.NORMAL,
}


@dataclass(frozen=True, slots=True)
class Held:
    """What is known of an alarm that is not normal."""

    state: AlarmState
    value: float | None
    raised_ns: int
    cleared_ns: int | None = None
    acknowledged_ns: int | None = None
    acknowledged_by: str = ""
    comment: str = ""


def next_state(state: AlarmState, action: AlarmAction) -> AlarmState | None:
    """None where the action changes nothing: raised twice, cleared while normal, acknowledged before."""
    return _NEXT.get((state, action))


def after(held: Held | None, transition: AlarmTransition) -> Held | None:
    """What is held once the transition has happened; None when all is normal again."""
    if transition.state is NORMAL:
        return None
    if transition.action is AlarmAction.RAISED or held is None:
        return Held(transition.state, transition.value, transition.time_ns)
    if transition.action is AlarmAction.CLEARED:
        return replace(held, state=transition.state, cleared_ns=transition.time_ns)
    return replace(
        held,
        state=transition.state,
        acknowledged_ns=transition.time_ns,
        acknowledged_by=transition.actor,
        comment=transition.comment,
    )
