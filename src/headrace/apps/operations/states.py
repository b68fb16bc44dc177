"""States of a machine, and what the time in them is called.

    runs of one state ─► a reason, or the state's own element ─► the calendar ─► one element a stretch

- A *run* is time in one state without a break; a *stop* is a run of a state that is a stop.
- A stop that was shorter than the unit's threshold is a *micro-stop*: delay as any other, but nobody is asked why.
- A reason says more than a state does: "changeover" makes of a stop setup, "planned maintenance" planned down time.
- Production and setup count whenever they happen: a break that was worked through was none, so planned busy time
  grows by it, and availability cannot pass 100 %. Every other time counts inside the calendar alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from headrace.apps.operations.calendar import Status
from headrace.apps.operations.elements import Element


class State(IntEnum):
    """What a machine does. The numbers are kept on disk: never renumber them."""

    UNKNOWN = 0
    PRODUCING = 1
    SETUP = 2
    IDLE = 3
    STOPPED = 4
    FAULT = 5
    STARVED = 6
    BLOCKED = 7
    PLANNED = 8


class Meaning(NamedTuple):
    """`stop`: somebody may be asked why. `failure`: counts for MTBF and MTTR."""

    element: Element
    zh: str
    stop: bool = False
    failure: bool = False


MEANINGS: Final[dict[State, Meaning]] = {
    State.UNKNOWN: Meaning(Element.NO_DATA, "无数据"),
    State.PRODUCING: Meaning(Element.APT, "生产"),
    State.SETUP: Meaning(Element.AUST, "换型调整"),
    State.IDLE: Meaning(Element.ADOT, "待机", stop=True),
    State.STOPPED: Meaning(Element.ADET, "停机", stop=True),
    State.FAULT: Meaning(Element.ADET, "故障", stop=True, failure=True),
    State.STARVED: Meaning(Element.ADET, "缺料", stop=True),
    State.BLOCKED: Meaning(Element.ADET, "堵料", stop=True),
    State.PLANNED: Meaning(Element.PDOT, "计划停机"),
}

ELEMENT_OF: Final = np.array([MEANINGS[state].element for state in State], np.int8)
IS_STOP: Final = np.array([MEANINGS[state].stop for state in State], np.bool_)
IS_FAILURE: Final = np.array([MEANINGS[state].failure for state in State], np.bool_)

MICRO: Final = -100
"""The cause of a micro-stop."""


def cause_of_state(state: int) -> int:
    """Causes from 0 up are reasons; below stand the states themselves."""
    return -1 - state


@dataclass(frozen=True, slots=True)
class Runs:
    """Runs of one unit in order, without gaps. Shape: (runs,) each.

    `cause`: the number of a reason, `cause_of_state`, or MICRO. `failure`: its beginning is a failure event.
    """

    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    state: NDArray[np.int8]
    element: NDArray[np.int8]
    cause: NDArray[np.int32]
    failure: NDArray[np.bool_]

    @property
    def stop(self) -> NDArray[np.bool_]:
        """Which are stops, micro-stops included."""
        stop: NDArray[np.bool_] = IS_STOP[self.state]
        return stop

    @property
    def pending(self) -> NDArray[np.bool_]:
        """Which are stops that somebody has yet to explain."""
        pending: NDArray[np.bool_] = self.stop & (self.cause < 0) & (self.cause != MICRO)
        return pending


@dataclass(frozen=True, slots=True)
class ReasonColumns:
    """What each reason makes of a stop, by its number. Shape: (reasons,) each."""

    element: NDArray[np.int8]
    failure: NDArray[np.bool_]


def judged(
    start_ns: NDArray[np.int64],
    end_ns: NDArray[np.int64],
    state: NDArray[np.int8],
    reason: NDArray[np.int32],
    reasons: ReasonColumns,
    micro_stop_ns: int,
) -> Runs:
    """What each run was. `reason`: a number, or −1 where none was given. Shape: (runs,) each."""
    stop = IS_STOP[state]
    explained = stop & (reason >= 0)
    micro = stop & ~explained & (end_ns - start_ns < micro_stop_ns)
    chosen = np.where(explained, reason, 0)
    element, failure = ELEMENT_OF[state], IS_FAILURE[state] & ~micro
    if len(reasons.element):
        element = np.where(explained, reasons.element[chosen], element)
        failure = np.where(explained, reasons.failure[chosen], failure)
    cause = np.where(explained, reason, np.where(micro, MICRO, -1 - state.astype(np.int32))).astype(np.int32)
    element = np.where(micro, np.int8(Element.ADET), element).astype(np.int8)
    return Runs(start_ns, end_ns, state, element, cause, failure)


def on_calendar(element: NDArray[np.int8], status: NDArray[np.int8]) -> NDArray[np.int8]:
    """Elements of stretches as the calendar has it there: work stays, what is planned or off is that."""
    work = (element == Element.APT) | (element == Element.AUST)
    out = np.where(status == Status.STOP, np.int8(Element.PDOT), np.int8(Element.OFF))
    return np.where(work | (status == Status.BUSY), element, out).astype(np.int8)
