"""What the settings of the app say: meters, shifts and tariffs, read into the words of the other modules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any, Final

from headrace.apps.energy.allocation import Claim
from headrace.apps.energy.library import areas_of, check_measured
from headrace.apps.energy.meters import Meter, MeterTree
from headrace.apps.energy.readings import Exchange
from headrace.apps.energy.tariffs import ALL_DAYS, ALL_MONTHS, HOLIDAY, MINUTES_OF_DAY, Rule, Tariff
from headrace.apps.energy.uses import Role, midnight_ns, wall_ns
from headrace.model.errors import ConfigError, HeadraceError
from headrace.model.time import SECOND_NS

PART: Final = "part"
_TIME = re.compile(r"(\d{1,2}):(\d{2})")
_TERM = re.compile(r"\s*+(?:([+-])\s*+)?+(?:(\d++(?:\.\d++)?+)\s*+\*\s*+)?([^\s*+]++)\s*+")


class Declared:
    """All settings, checked when it is made. `roles`: what each meter does to the firm's account. Raises:
    ConfigError."""

    def __init__(self, settings: Mapping[str, Any], exchanges: Mapping[str, Sequence[Exchange]] | None = None) -> None:
        self.zone = str(settings["zone"])
        self.gwp = str(settings["gwp"])
        self.allowed_share = float(settings["allowed-unexplained"])
        self.window_min = int(settings["demand-window"])
        try:
            self.areas = areas_of(str(settings["area"]))
        except HeadraceError as error:
            raise ConfigError(f"setting 'area': {error}") from None
        self.since = day_of(settings["since"], "setting 'since'") if settings.get("since") else None
        rows = settings["meters"]
        for row in rows:
            try:
                check_measured(row["carrier"], row["unit"])
            except HeadraceError as error:
                raise ConfigError(f"meter {row['name']}: {error}") from None
        self.tree = MeterTree([_meter(row, (exchanges or {}).get(row["name"], ())) for row in rows])
        self.roles = {str(row["name"]): Role(row["role"]) for row in rows if row["role"] != PART}
        self.shifts = [
            (str(row["name"]), minute_of(row["start"], "a shift"), minute_of(row["end"], "a shift"))
            for row in settings["shifts"]
        ]
        self.tariffs = _tariffs(settings)

    def shift_claims(self, start: date, end: date) -> list[Claim]:
        """The shifts of local days, one that goes over midnight with the day on which it begins. `end` not included."""
        claims: list[Claim] = []
        day = start - timedelta(days=1)
        while day < end:
            for name, first, last in self.shifts:
                behind = day if last > first else day + timedelta(days=1)
                begins, ends = wall_ns(day, first, self.zone), wall_ns(behind, last, self.zone)
                if ends > midnight_ns(start, self.zone) and begins < midnight_ns(end, self.zone):
                    claims.append(Claim(begins, ends, {"shift": name}))
            day += timedelta(days=1)
        return claims


def day_of(text: object, what: str) -> date:
    """A day such as 2026-01-31. Raises: ConfigError."""
    try:
        return date.fromisoformat(str(text))
    except ValueError:
        raise ConfigError(f"{what} is '{str(text)[:40]}'; write a day such as 2026-01-31") from None


def minute_of(text: object, what: str) -> int:
    """A time of the day, 00:00 … 24:00, in minutes. Raises: ConfigError."""
    found = _TIME.fullmatch(str(text))
    minute = int(found[1]) * 60 + int(found[2]) if found and int(found[2]) < 60 else -1
    if not 0 <= minute <= MINUTES_OF_DAY:
        raise ConfigError(f"{what} has the time '{str(text)[:20]}'; write such as 08:00, up to 24:00")
    return minute


def numbers_of(text: object, low: int, high: int, what: str) -> frozenset[int]:
    """`7,8` or `6-9`. Raises: ConfigError."""
    found: set[int] = set()
    for part in str(text).split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or not (last.isdecimal() or not last):
            raise ConfigError(f"{what} are '{text}'; write such as {low},{high} or {low}-{high}")
        found.update(range(int(first), int(last or first) + 1))
    if not found or min(found) < low or max(found) > high:
        raise ConfigError(f"{what} are '{text}'; they go from {low} to {high}")
    return frozenset(found)


def parts_of(text: str, meter: str) -> tuple[tuple[float, str], ...]:
    """`main - press-1 - 0.5 * oven`: signed names of meters; a minus within a name has no spaces around it.

    Raises: ConfigError.
    """
    parts: list[tuple[float, str]] = []
    at = 0
    while at < len(text):
        term = _TERM.match(text, at)
        if term is None or (parts and not term[1]):
            raise ConfigError(f"meter {meter} is the sum of '{text}'; write such as main - press-1 - 0.5 * oven")
        parts.append(((-1.0 if term[1] == "-" else 1.0) * float(term[2] or 1.0), term[3]))
        at = term.end()
    return tuple(parts)


def _meter(row: Mapping[str, Any], exchanges: Iterable[Exchange]) -> Meter:
    gap = row.get("gap")
    return Meter(
        name=str(row["name"]),
        carrier=str(row["carrier"]),
        unit=str(row["unit"]),
        point=str(row.get("point") or ""),
        reads=str(row["reads"]),
        point_unit=str(row.get("point-unit") or ""),
        every_s=row["every"] / SECOND_NS,
        gap_s=None if gap is None else gap / SECOND_NS,
        ratio=float(row["ratio"]),
        modulus=row.get("modulus"),
        rate_max=row.get("rate-max"),
        accuracy_percent=float(row["accuracy"]),
        parent=str(row.get("parent") or ""),
        parts=parts_of(str(row.get("parts") or ""), str(row["name"])),
        exchanges=tuple(exchanges),
    )


def _tariffs(settings: Mapping[str, Any]) -> list[Tariff]:
    """Rows of one name and day are one tariff."""
    groups: dict[tuple[str, date], list[Mapping[str, Any]]] = {}
    for row in settings["tariffs"]:
        groups.setdefault((str(row["tariff"]), day_of(row["since"], f"tariff {row['tariff']}")), []).append(row)
    holidays = frozenset(day_of(day, "a holiday") for day in settings["holidays"])
    return [
        Tariff(
            name,
            str(settings["zone"]),
            since,
            tuple(_rule(row) for row in rows),
            {str(row["period"]): float(row["price"]) for row in rows},
            str(settings["currency"]),
            holidays,
            float(settings["demand-price"]),
            settings.get("contract-kw"),
        )
        for (name, since), rows in groups.items()
    ]


def _rule(row: Mapping[str, Any]) -> Rule:
    where = f"tariff {row['tariff']}, period {row['period']}"
    months, days = row.get("months"), row.get("days")
    return Rule(
        str(row["period"]),
        minute_of(row["start"], where),
        minute_of(row["end"], where),
        numbers_of(months, 1, 12, f"the months of {where}") if months else ALL_MONTHS,
        numbers_of(days, 1, HOLIDAY, f"the days of {where}") if days else ALL_DAYS | {HOLIDAY},
    )
