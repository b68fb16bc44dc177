"""How an alarm system does, in figures. Source: ISA-18.2-2016 §16 (monitoring), IEC 62682 §16, EEMUA 191.

An *annunciation* is what a person is told anew: raised, or active still when a shelf, a suppression or a time out of
service ends. What happens beneath those is none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.model.alarms import Priority
from headrace.model.time import DAY_NS, MINUTE_NS, SECOND_NS

WINDOW_NS: Final = 10 * MINUTE_NS
FLOOD_BEGINS: Final = 10  # annunciations in the window. Source: ISA-18.2-2016 §3 (alarm flood), §16
FLOOD_ENDS_BELOW: Final = 5
CHATTER_NS: Final = 60 * SECOND_NS
CHATTERS: Final = 3
FLEETING_NS: Final = 10 * SECOND_NS  # gone again before anybody could respond
STALE_NS: Final = DAY_NS
TOP: Final = 10

#: Shares of annunciated alarms that ISA-18.2-2016 §16 recommends: about 80 % low, 15 % medium, 5 % high.
SHARES: Final[Mapping[Priority, float]] = {Priority.HIGH: 0.05, Priority.MEDIUM: 0.15, Priority.LOW: 0.80}


@dataclass(frozen=True, slots=True)
class Flood:
    """From the annunciation that made it ten in ten minutes until there were fewer than five; None: it goes on."""

    start_ns: int
    end_ns: int | None
    annunciated: int
    peak: int  # most in any ten minutes


@dataclass(frozen=True, slots=True)
class Offender:
    """A rule that draws attention to itself: how often, and what share of all."""

    rule: str
    count: int
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Standing:
    """An alarm that stood longer than a day. `end_ns` is None where it stands still; `start_ns` where the journal
    that was read begins later."""

    rule: str
    start_ns: int | None
    end_ns: int | None


@dataclass(frozen=True, slots=True)
class Response:
    """How long people took to acknowledge, in seconds; None without any."""

    count: int
    median_s: float | None
    mean_s: float | None
    p90_s: float | None
    longest_s: float | None


@dataclass(frozen=True, slots=True)
class AlarmKpis:
    """Over [start_ns, end_ns), of which the journal knows `covered_ns`; rates are of what it knows.

    `priorities` has no row for rules that are gone since: those are `unknown_priority`. `shelved`, `suppressed` and
    `out_of_service` are how often that was done in the stretch; `…_now` is what is so at this moment.
    """

    start_ns: int
    end_ns: int
    covered_ns: int
    operators: float
    transitions: int
    annunciated: int
    per_operator_hour: float
    per_operator_window: float
    peak_window: int
    peak_window_ns: int | None
    windows_in_excess: float  # share of ten-minute slices with more than ten a operator
    floods: Sequence[Flood]
    flood_share: float  # of the time that is covered
    chattering: Sequence[Offender]
    fleeting: Sequence[Offender]
    stale: Sequence[Standing]
    top: Sequence[Offender]
    top_share: float
    priorities: Mapping[Priority, int]
    unknown_priority: int
    acknowledged: Response
    never_acknowledged: int  # annunciations of the stretch that need it and have none yet, or were raised again first
    shelved: int
    suppressed: int
    out_of_service: int
    shelved_now: int
    suppressed_now: int
    out_of_service_now: int
