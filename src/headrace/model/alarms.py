"""Alarms: a condition that needs a person's response. Source: IEC 62682 / ISA-18.2-2016 §5.

NORMAL ──raise──► UNACK_ACTIVE ──acknowledge──► ACK_ACTIVE ──clear──► NORMAL
                      └──clear──► UNACK_CLEARED ──acknowledge──► NORMAL
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from headrace.model.points import Title


class AlarmCondition(StrEnum):
    HIGH = "high"  # value > limit
    LOW = "low"  # value < limit
    RATE = "rate"  # |change| per second > limit
    DEVIATION = "deviation"  # |value - reference point| > limit
    STALE = "stale"  # no good sample for `limit` seconds
    EQUALS = "equals"  # a bool or int state equals `limit`


class Priority(StrEnum):
    """Four, as ISA-18.2 advises; the first letter doubles as the console's shape code."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class AlarmState(StrEnum):
    NORMAL = "normal"
    UNACK_ACTIVE = "unack-active"
    ACK_ACTIVE = "ack-active"
    UNACK_CLEARED = "unack-cleared"

    @property
    def active(self) -> bool:
        return self in (AlarmState.UNACK_ACTIVE, AlarmState.ACK_ACTIVE)


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """One condition on one point.

    `limit` and `hysteresis` are in the point's unit (per second for RATE, seconds for STALE). The condition holds
    `on_delay_ns` before the alarm is raised, and is gone (by more than the hysteresis) `off_delay_ns` before it
    clears. `reference` is the path of the other point of DEVIATION.
    """

    name: str  # unique: `<point path>:<rule>`, for example `…/press-3/oil.temperature:hot`
    point: str
    condition: AlarmCondition
    limit: float
    hysteresis: float = 0.0
    on_delay_ns: int = 0
    off_delay_ns: int = 0
    priority: Priority = Priority.MEDIUM
    message: Title = field(default_factory=dict)
    reference: str | None = None


class AlarmAction(StrEnum):
    RAISED = "raised"
    CLEARED = "cleared"
    ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True, slots=True)
class AlarmTransition:
    """One step in the life of an alarm. `time_ns` is event time; `actor` is empty unless a person acted."""

    rule: str
    action: AlarmAction
    state: AlarmState
    time_ns: int
    value: float | None
    actor: str = ""
    comment: str = ""
