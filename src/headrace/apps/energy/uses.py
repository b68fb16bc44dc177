"""One use of one carrier over some days: what the accounts of coal, carbon and cost begin from.

A use of a meter is cut exactly where a factor changes, for its flow knows what went by when. A use from a document (an
invoice of a month) is spread over its days.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from headrace.apps.energy.completeness import Total
from headrace.apps.energy.factors import days_of
from headrace.apps.energy.flows import Flow
from headrace.model.errors import DataError
from headrace.model.time import SECOND_NS


class Role(StrEnum):
    """What a use does to what the firm consumes. Source: GB/T 2589-2020 §4: what is really consumed, counted once."""

    BOUGHT = "bought"
    GENERATED = "generated"  # from sun, wind or water on the site
    DRAWN = "drawn"  # from stock
    STORED = "stored"  # into stock
    SOLD = "sold"
    INTERNAL = "internal"  # made of something counted already: shown, not counted again

    @property
    def sign(self) -> int:
        return {"stored": -1, "sold": -1, "internal": 0}.get(self.value, 1)


@dataclass(frozen=True, slots=True)
class Use:
    """`total` of a carrier on days [start, end), by `source` (a meter or a document); `cut` gives that of fewer
    days."""

    source: str
    carrier: str
    start: date
    end: date
    total: Total
    role: Role = Role.BOUGHT
    cut: Callable[[date, date], Total] | None = field(default=None, compare=False, repr=False)

    def between(self, start: date, end: date) -> Total:
        """What of it was used on some of its days. Raises: DataError for days outside of its own."""
        if (start, end) == (self.start, self.end):
            return self.total
        if not self.start <= start < end <= self.end:
            raise DataError(f"{self.source} is told for {self.start} to {self.end}, not for {start} to {end}")
        if self.cut is not None:
            return self.cut(start, end)
        share = days_of(start, end) / days_of(self.start, self.end)
        return replace(
            self.total,
            value=None if self.total.value is None else self.total.value * share,
            expected_s=self.total.expected_s * share,
            measured_s=self.total.measured_s * share,
            bridged_s=self.total.bridged_s * share,
        )


def metered(flow: Flow, carrier: str, start: date, end: date, zone: str, role: Role = Role.BOUGHT) -> Use:
    """The use that a meter saw on local days [start, end) of a time zone."""

    def cut(first: date, behind: date) -> Total:
        return flow.total(midnight_ns(first, zone), midnight_ns(behind, zone))

    return Use(flow.source, carrier, start, end, cut(start, end), role, cut)


def midnight_ns(day: date, zone: str) -> int:
    """The moment at which a local day begins."""
    return wall_ns(day, 0, zone)


def wall_ns(day: date, minute: int, zone: str) -> int:
    """The moment of a wall time, in minutes of the day (1440: the next midnight)."""
    later, left = divmod(minute, 24 * 60)
    shown = datetime.combine(day + timedelta(days=later), time(left // 60, left % 60), ZoneInfo(zone))
    return int(shown.astimezone(UTC).timestamp()) * SECOND_NS


def day_at(time_ns: int, zone: str) -> date:
    """The local day of a moment."""
    return datetime.fromtimestamp(time_ns // SECOND_NS, UTC).astimezone(ZoneInfo(zone)).date()
