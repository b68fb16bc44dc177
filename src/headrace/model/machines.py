"""State machines over points: named states, and what leads from one to another. `compute/points` runs them.

Machine("idle", (Transition("idle", "starting", "running"), Transition("starting", "stuck", dwell_ns=30 * SECOND_NS)))
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from headrace.model.time import format_duration

TRANSITIONS_MAX: Final = 60
"""Conditions are the bits of one whole number."""


@dataclass(frozen=True, slots=True)
class Transition:
    """From `source`, or from every other state where that is '', to `to`: once `when` has held for `dwell_ns` without a
    break while the machine was in `source`. Without `when`, after that time."""

    source: str
    to: str
    when: str = ""
    dwell_ns: int = 0

    @property
    def text(self) -> str:
        when = f": {self.when}" if self.when else ""
        held = f" for {format_duration(self.dwell_ns)}" if self.dwell_ns else ""
        return f"{self.source or '*'} → {self.to}{when}{held}"


@dataclass(frozen=True)
class Machine:
    """`transitions` in the order in which they are tried."""

    initial: str
    transitions: tuple[Transition, ...]

    @cached_property
    def states(self) -> tuple[str, ...]:
        """In the order in which they are named; the initial one first."""
        named = [name for one in self.transitions for name in (one.source, one.to) if name]
        return tuple(dict.fromkeys((self.initial, *named)))

    @cached_property
    def memory_ns(self) -> int:
        """How long something has to hold at most."""
        return max(one.dwell_ns for one in self.transitions)

    @property
    def text(self) -> str:
        """For people: `idle → starting: running; …`."""
        return "; ".join(one.text for one in self.transitions)

    @property
    def conditions(self) -> str:
        """One expression for all: bit n says whether condition n holds; what is not known does not."""
        parts = [
            f"if(coalesce({one.when}, false), {1 << at}, 0)" for at, one in enumerate(self.transitions) if one.when
        ]
        return " + ".join(parts)
