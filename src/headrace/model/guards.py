"""What stands between a setpoint and its device: declared on the point, judged by `control/` with each write.

    Point.guard ─┬─ critical      a second person approves, within `approval_ns`
                 ├─ limits        how far, how fast and how often
                 └─ interlocks    what must hold in the plant now, seen with good quality and fresh

Source: IEC 62443-3-3 SR 2.1 RE 4 (dual approval), SR 3.5 (input validation); ISA-18.2 and ISA-101 for the words.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from headrace.model.batch import Value
from headrace.model.time import MINUTE_NS, SECOND_NS

APPROVAL_NS: Final = 10 * MINUTE_NS
FRESH_NS: Final = 10 * SECOND_NS


class Comparison(StrEnum):
    IS = "is"
    BELOW = "below"
    ABOVE = "above"
    BETWEEN = "between"


@dataclass(frozen=True, slots=True)
class Interlock:
    """A condition on another point that must hold for a write to be sent.

    `low` and `high`, inclusive and in that point's unit, for `between`; `limit` is what the value `is`, or the end of
    `below` and `above`, which do not count as reached. `for_ns` is how long it must have held; `fresh_ns` how old its
    newest sample may be. No value, one of bad or uncertain quality, or an old one, does not hold.
    """

    point: str
    comparison: Comparison
    limit: Value = 0.0
    low: float = 0.0
    high: float = 0.0
    for_ns: int = 0
    fresh_ns: int = FRESH_NS
    text: Mapping[str, str] = field(default_factory=dict)

    def accepts(self, value: Value) -> bool:
        """Whether this value fulfils it; a value that no number can be compared with does not."""
        if self.comparison is Comparison.IS:
            return type(value) is type(self.limit) and value == self.limit
        if isinstance(value, bool | str):
            return False
        if self.comparison is Comparison.BETWEEN:
            return self.low <= value <= self.high
        assert not isinstance(self.limit, str)
        return value < self.limit if self.comparison is Comparison.BELOW else value > self.limit


@dataclass(frozen=True, slots=True)
class WriteLimits:
    """None: no such limit. `step` in the point's unit; `rate_per_minute` is the sum of all steps within a minute.

    `writes` and `writes_each` count what was sent within a minute: by everybody, and by each person or program.
    """

    step: float | None = None
    rate_per_minute: float | None = None
    interval_ns: int | None = None
    writes: int | None = None
    writes_each: int | None = None

    @property
    def needs_present_value(self) -> bool:
        return self.step is not None or self.rate_per_minute is not None


@dataclass(frozen=True, slots=True)
class Guard:
    """All that a write to a point must pass beside right, kind and range."""

    critical: bool = False
    approval_ns: int = APPROVAL_NS
    limits: WriteLimits = field(default_factory=WriteLimits)
    interlocks: tuple[Interlock, ...] = ()


NO_GUARD: Final = Guard()
