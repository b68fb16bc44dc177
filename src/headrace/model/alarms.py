"""Alarms: a condition that needs a person's response. Source: IEC 62682 / ISA-18.2-2016 §5.

NORMAL ──raise──► UNACK_ACTIVE ──acknowledge──► ACK_ACTIVE ──clear──► NORMAL
                      └──clear──► UNACK_CLEARED ──acknowledge──► NORMAL

A latched alarm clears to LATCHED_UNACK or LATCHED_ACK, and stays until a person resets it. From every state an alarm
goes to SHELVED (a person, for a time), SUPPRESSED (by design: what it watches is not running) or OUT_OF_SERVICE (a
person, until it is returned), and beneath all three its condition goes on and is known.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from headrace.model.calculations import Calculation
from headrace.model.points import Title
from headrace.model.time import HOUR_NS

SHELF_LONGEST_NS: Final = 8 * HOUR_NS


class AlarmCondition(StrEnum):
    HIGH = "high"  # value > limit
    LOW = "low"  # value < limit
    RATE = "rate"  # |change| per second > limit
    DEVIATION = "deviation"  # |value - reference point| > limit
    STALE = "stale"  # no good sample for `limit` seconds
    EQUALS = "equals"  # a bool or int state equals `limit`
    EXPRESSION = "expression"  # its expression is true


class Priority(StrEnum):
    """Four, as ISA-18.2 advises; the first letter doubles as the console's shape code."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


class AlarmState(StrEnum):
    """What a person is shown. The last three hide whether the condition holds: `Held.active` knows."""

    NORMAL = "normal"
    UNACK_ACTIVE = "unack-active"
    ACK_ACTIVE = "ack-active"
    UNACK_CLEARED = "unack-cleared"
    LATCHED_UNACK = "latched-unack"
    LATCHED_ACK = "latched-ack"
    SHELVED = "shelved"
    SUPPRESSED = "suppressed"
    OUT_OF_SERVICE = "out-of-service"

    @property
    def active(self) -> bool:
        """Annunciated, and its condition holds."""
        return self in (AlarmState.UNACK_ACTIVE, AlarmState.ACK_ACTIVE)

    @property
    def quiet(self) -> bool:
        """Not annunciated, whatever its condition."""
        return self in (AlarmState.SHELVED, AlarmState.SUPPRESSED, AlarmState.OUT_OF_SERVICE)


@dataclass(frozen=True, slots=True)
class AlarmClass:
    """How alarms of one kind are handled. Source: ISA-18.2-2016 §6 (alarm classes).

    `proof`: whoever acknowledges proves anew who they are. `shelve_longest_ns`: 0 where shelving is not allowed.
    An alarm that need not be acknowledged goes as its condition goes.
    """

    name: str = ""
    title: Title = field(default_factory=dict)
    acknowledge: bool = True
    comment: bool = False
    proof: bool = False
    shelve_longest_ns: int = SHELF_LONGEST_NS


PLAIN: Final = AlarmClass()


@dataclass(frozen=True, slots=True)
class Rationale:
    """Why an alarm is one, and what to do. Source: ISA-18.2-2016 §9 (rationalization), IEC 62682 §9.

    `time_to_respond_ns`: from annunciation until it is too late; None where nobody said. `reviewed_on` is a date such
    as 2026-05-01, '' where nobody has reviewed it.
    """

    cause: Title = field(default_factory=dict)
    consequence: Title = field(default_factory=dict)
    response: Title = field(default_factory=dict)
    time_to_respond_ns: int | None = None
    setpoint_basis: str = ""
    reviewed_on: str = ""
    reviewed_by: str = ""


@dataclass(frozen=True, slots=True)
class AlarmRule:
    """One condition on one point.

    `limit` and `hysteresis` are in the point's unit (per second for RATE, seconds for STALE). The condition holds
    `on_delay_ns` before the alarm is raised, and is gone (by more than the hysteresis) `off_delay_ns` before it
    clears. `reference` is the path of the other point of DEVIATION. While the newest sample of the bool point
    `suppressed_by` is true and not bad, and `release_delay_ns` after that, the alarm is suppressed by design.
    EXPRESSION looks at whatever its `calculation` names; `point` is where it belongs. `expression` is its text.
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
    latched: bool = False
    suppressed_by: str | None = None
    release_delay_ns: int = 0
    handling: AlarmClass = PLAIN
    rationale: Rationale | None = None
    expression: str = ""
    calculation: Calculation | None = field(default=None, compare=False, repr=False)

    @property
    def watches(self) -> frozenset[str]:
        """The points whose samples its condition looks at."""
        if self.calculation is not None:
            return frozenset(self.calculation.inputs.values())
        return frozenset(path for path in (self.point, self.reference) if path is not None)

    @property
    def asset(self) -> str:
        return self.point.rpartition("/")[0]


class AlarmAction(StrEnum):
    RAISED = "raised"
    CLEARED = "cleared"
    ACKNOWLEDGED = "acknowledged"
    RESET = "reset"
    SHELVED = "shelved"
    UNSHELVED = "unshelved"
    SUPPRESSED = "suppressed"
    RELEASED = "released"  # from suppression by design
    REMOVED = "removed"  # from service
    RETURNED = "returned"  # to service
    FOUND = "found"  # samples that came late show that its condition began; the alarm itself stays as it is
    PASSED = "passed"  # … and that it ended


#: What a person is told anew: each of these, where it leads to an active state.
ANNUNCIATING: Final = frozenset({AlarmAction.RAISED, AlarmAction.UNSHELVED, AlarmAction.RELEASED, AlarmAction.RETURNED})


#: Of the past, for the history: the state that goes with them is nobody's.
AFTERWARDS: Final = frozenset({AlarmAction.FOUND, AlarmAction.PASSED})


@dataclass(frozen=True, slots=True)
class AlarmTransition:
    """One step in the life of an alarm. `time_ns` is event time; `actor` is empty unless a person acted.

    A step whose state is SHELVED, SUPPRESSED or OUT_OF_SERVICE happened beneath it: nobody was told.
    """

    rule: str
    action: AlarmAction
    state: AlarmState
    time_ns: int
    value: float | None
    actor: str = ""
    comment: str = ""

    @property
    def annunciates(self) -> bool:
        return self.action in ANNUNCIATING and self.state.active

    @property
    def event(self) -> str:
        """Its kind as an event. `alarm.raised` is all that people are told anew, and nothing else: also what a shelf
        had hidden, when that ends. What a condition does beneath a quiet state is `alarm.beneath`."""
        if self.annunciates:
            return f"alarm.{AlarmAction.RAISED.value}"
        beneath = self.state.quiet and self.action in (AlarmAction.RAISED, AlarmAction.CLEARED)
        return "alarm.beneath" if beneath else f"alarm.{self.action.value}"
