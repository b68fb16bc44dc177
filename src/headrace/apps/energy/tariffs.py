"""Electricity by time of use: seasons, kinds of day, periods with prices; what a stretch of use costs.

    local wall time ──season, weekday, holiday──► period (sharp, peak, flat, valley …) ──price──► cost

Periods are rules over wall time in the zone of the plant, so a day of 23 or 25 hours has its periods where people
expect them. A tariff holds from a date on; another replaces it. Each moment of a year has one period, which is checked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from headrace.apps.energy.completeness import Total, together
from headrace.apps.energy.flows import Flow, Times, as_total
from headrace.model.errors import ConfigError, DataError
from headrace.model.time import SECOND_NS, format_time

MINUTES_OF_DAY = 24 * 60
ALL_MONTHS = frozenset(range(1, 13))
ALL_DAYS = frozenset(range(1, 8))
HOLIDAY = 8


@dataclass(frozen=True, slots=True)
class Rule:
    """`period` from `start_min` to `end_min` of the day, in some months (1 … 12) and on some days (1 Monday … 7, 8
    holiday).

    Later rules of a tariff win over earlier ones. A rule over midnight is two rules.
    """

    period: str
    start_min: int = 0
    end_min: int = MINUTES_OF_DAY
    months: frozenset[int] = ALL_MONTHS
    days: frozenset[int] = ALL_DAYS | {HOLIDAY}


@dataclass(frozen=True, slots=True)
class Tariff:
    """Prices by period, in `currency` a kW.h; what maximum demand and capacity cost a month; from `since` on.

    `demand_price` is by kW of the month's maximum demand. Demand above `contract_kw` times `contract_margin` is charged
    `excess_factor` times. Raises, when it is made: ConfigError for a gap in the year or a period without price.
    """

    name: str
    zone: str
    since: date
    rules: tuple[Rule, ...]
    prices: Mapping[str, float]
    currency: str = "CNY"
    holidays: frozenset[date] = frozenset()
    demand_price: float = 0.0
    contract_kw: float | None = None
    contract_margin: float = 1.05
    excess_factor: float = 2.0
    _days: dict[tuple[int, int], list[tuple[int, str]]] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError):
            raise ConfigError(
                f"tariff {self.name} has the zone '{self.zone}'; write one such as Asia/Shanghai"
            ) from None
        for rule in self.rules:
            if not 0 <= rule.start_min < rule.end_min <= MINUTES_OF_DAY:
                raise ConfigError(
                    f"a rule of tariff {self.name} for {rule.period} ends before it begins; split it at 24:00"
                )
            if rule.period not in self.prices:
                raise ConfigError(f"tariff {self.name} has no price for the period {rule.period}")
        for month in ALL_MONTHS:
            for day in ALL_DAYS | {HOLIDAY}:
                self._days[month, day] = self._pieces(month, day)

    def pieces(self, day: date) -> list[tuple[int, str]]:
        """The periods of one local day: the minute at which each begins, ascending from 0, and its name."""
        return self._days[day.month, HOLIDAY if day in self.holidays else day.isoweekday()]

    def _pieces(self, month: int, day: int) -> list[tuple[int, str]]:
        holding = [rule for rule in self.rules if month in rule.months and day in rule.days]
        edges = sorted({0, *(at for rule in holding for at in (rule.start_min, rule.end_min) if at < MINUTES_OF_DAY)})
        pieces: list[tuple[int, str]] = []
        for at in edges:
            names = [rule.period for rule in holding if rule.start_min <= at < rule.end_min]
            if not names:
                raise ConfigError(
                    f"tariff {self.name} has no period at {at // 60:02}:{at % 60:02} in month {month} on day {day} of "
                    "the week (8: holidays); let its first rule hold all day"
                )
            if not pieces or pieces[-1][1] != names[-1]:
                pieces.append((at, names[-1]))
        return pieces


@dataclass(frozen=True, slots=True)
class Cost:
    """What one period took and costs; `amount` is None where nothing of its energy is known."""

    tariff: str
    period: str
    energy: Total
    price: float
    currency: str

    @property
    def amount(self) -> float | None:
        return None if self.energy.value is None else self.energy.value * self.price

    def told(self) -> dict[str, Any]:
        return {
            "tariff": self.tariff,
            "period": self.period,
            "energy": self.energy.told(),
            "price": self.price,
            "amount": self.amount,
            "currency": self.currency,
        }


def cut(tariffs: Sequence[Tariff], start_ns: int, end_ns: int) -> tuple[Times, list[tuple[Tariff, str]]]:
    """The edges of all periods in a span, and the (tariff, period) between each and the next.

    Raises: DataError for a time before the first tariff, or a span that is none.
    """
    if not tariffs or end_ns <= start_ns:
        raise DataError("costs need a tariff and a span that is longer than nothing")
    known = sorted(tariffs, key=lambda tariff: tariff.since)
    edges: list[int] = []
    names: list[tuple[Tariff, str]] = []
    zone = ZoneInfo(known[-1].zone)
    day = _local(start_ns, zone).date() - timedelta(days=1)
    last = _local(end_ns, zone).date() + timedelta(days=1)
    while day <= last:
        holding = [tariff for tariff in known if tariff.since <= day]
        if holding:
            zone = ZoneInfo(holding[-1].zone)
            for minute, period in holding[-1].pieces(day):
                at = _moment_ns(day, minute, zone)
                if edges and at <= edges[-1]:  # an hour that the change of the clocks left out
                    edges.pop(), names.pop()
                if not names or names[-1] != (holding[-1], period):
                    edges.append(at)
                    names.append((holding[-1], period))
        day += timedelta(days=1)
    if not edges or edges[0] > start_ns:
        raise DataError(f"no tariff holds at {format_time(start_ns)}; the first is of {known[0].since}")
    first = int(np.searchsorted(edges, start_ns, side="right")) - 1
    behind = int(np.searchsorted(edges, end_ns, side="left"))
    return np.array([start_ns, *edges[first + 1 : behind], end_ns], np.int64), names[first:behind]


def costs(flow: Flow, tariffs: Sequence[Tariff], start_ns: int, end_ns: int) -> list[Cost]:
    """Energy and cost of a flow in kW.h by period and tariff, in the order in which they first occur."""
    edges, names = cut(tariffs, start_ns, end_ns)
    spread = flow.over(edges)
    groups: dict[tuple[str, str], list[Total]] = {}
    prices: dict[tuple[str, str], Tariff] = {}
    for place, (tariff, period) in enumerate(names):
        key = (tariff.name, period)
        prices[key] = tariff
        length = int(edges[place + 1] - edges[place])
        groups.setdefault(key, []).append(
            as_total(
                flow.source,
                flow.unit,
                float(spread.amount[place]),
                length,
                int(spread.measured_ns[place]),
                int(spread.bridged_ns[place]),
            )
        )
    return [
        Cost(name, period, together(parts, "kW.h"), prices[name, period].prices[period], prices[name, period].currency)
        for (name, period), parts in groups.items()
    ]


def demand_charge(tariff: Tariff, demand_kw: float) -> float:
    """What a month's maximum demand costs: up to the contract by its price, above the margin several times."""
    if tariff.contract_kw is None:
        return demand_kw * tariff.demand_price
    allowed = tariff.contract_kw * tariff.contract_margin
    over = max(0.0, demand_kw - allowed)
    return (min(demand_kw, allowed) + over * tariff.excess_factor) * tariff.demand_price


def _local(time_ns: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(time_ns // SECOND_NS, UTC).astimezone(zone)


def _moment_ns(day: date, minute: int, zone: ZoneInfo) -> int:
    """The moment of a wall time; of one that the change of the clocks leaves out, that at which they change."""
    shown = datetime.combine(day, time(minute // 60, minute % 60), zone)
    moment = shown.astimezone(UTC)
    while minute and moment.astimezone(zone).replace(tzinfo=None) != shown.replace(tzinfo=None):
        minute -= 1  # back to the last minute that is shown; the change is one behind it
        shown = datetime.combine(day, time(minute // 60, minute % 60), zone)
        moment = shown.astimezone(UTC) + timedelta(minutes=1)
        if shown.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == shown.replace(tzinfo=None):
            break
    return int(moment.timestamp()) * SECOND_NS
