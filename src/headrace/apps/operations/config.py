"""What the settings say: units with their rules and counters, the calendar, reasons and targets.

settings (a form) + points of the plant ─► Config, or every mistake with the row in which it is
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Any, Final

from headrace.apps.operations.calendar import EVERY_DAY, Calendar, Closure, PlannedStop, Shift, Timetable
from headrace.apps.operations.elements import Element, Quantity
from headrace.apps.operations.kpis import BY_CODE
from headrace.apps.operations.lane import COUNTER, DIRECT, STATE, Unit
from headrace.apps.operations.quantities import Counter
from headrace.apps.operations.reasons import STANDARD, Reason, Reasons
from headrace.apps.operations.signals import MTCONNECT, PACKML, BitsRule, ExpressionRule, StateRule, StatusRule
from headrace.apps.operations.states import State
from headrace.model.errors import ConfigError, HeadraceError
from headrace.model.expressions import AssetScope, names_of
from headrace.model.points import Point
from headrace.model.time import parse_time_ns

_POINTS: Final = ("point", "fault", "setup", "counter", "scrap", "rework")
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Target:
    kpi: str
    value: float
    asset: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """`inputs`: of each point, which units and slots it feeds. `grace_ns`: a shift is closed so long after its end."""

    units: tuple[Unit, ...]
    calendar: Calendar
    reasons: Reasons
    targets: tuple[Target, ...]
    inputs: Mapping[str, tuple[tuple[int, int], ...]]
    grace_ns: int

    def slot(self, unit: int, point: str) -> int | None:
        """The slot of a unit that a point feeds, None where it feeds none any more."""
        return next((slot for at, slot in self.inputs.get(point, ()) if at == unit), None)

    def target(self, kpi: str, asset: str) -> float | None:
        """The machine's own, else that of all."""
        found = {target.asset: target.value for target in self.targets if target.kpi == kpi}
        return found.get(asset, found.get(""))


def read_config(settings: Mapping[str, Any], points: Mapping[str, Point], since_ns: Mapping[str, int]) -> Config:
    """`since_ns`: when the figures of each unit begin. Raises: ConfigError that names the row."""
    calendar = _calendar(settings)
    timetable = Timetable(calendar)
    units: list[Unit] = []
    inputs: dict[str, list[tuple[int, int]]] = {}
    for at, row in enumerate(settings["units"]):
        try:
            unit, feeds = _unit(row, points, timetable, since_ns[row["asset"]])
        except HeadraceError as error:
            raise ConfigError(f"work unit {at + 1}, {row['asset']}: {error.message}") from None
        if any(one.path == unit.path for one in units):
            raise ConfigError(f"work unit {at + 1}: {unit.path} is there twice")
        units.append(unit)
        for path, slot in feeds:
            inputs.setdefault(path, []).append((at, slot))
    for row in settings["targets"]:
        if row["kpi"] not in BY_CODE:
            raise ConfigError(f"targets: there is no KPI '{row['kpi']}'; there are {', '.join(BY_CODE)}")
    targets = tuple(Target(row["kpi"], row["value"], row["asset"] or "") for row in settings["targets"])
    frozen = {path: tuple(feeds) for path, feeds in inputs.items()}
    return Config(tuple(units), calendar, _reasons(settings["reasons"]), targets, frozen, settings["grace"])


def points_of(settings: Mapping[str, Any]) -> list[str]:
    """Places of all that tells a state or counts: points, and the machine itself where conditions name its points."""
    places: list[str] = []
    for row in settings["units"]:
        if row["rule"] == "conditions":
            places.append(row["asset"])
        places += [row[name] for name in _POINTS if row[name]]
    return places


def _unit(
    row: Mapping[str, Any], points: Mapping[str, Point], timetable: Timetable, since_ns: int
) -> tuple[Unit, list[tuple[str, int]]]:
    rule, paths = _rule(row, points)
    made = Quantity.PQ if row["counts"] == "produced" else Quantity.GQ
    counters = tuple(
        Counter(row[name], kind, row["rollover"], row["increment_max"] or float("inf"))
        for name, kind in (("counter", made), ("scrap", Quantity.SQ), ("rework", Quantity.RQ))
        if row[name]
    )
    feeds = [(path, STATE + at) for at, path in enumerate(paths)]
    feeds += [(counter.point, COUNTER + at) for at, counter in enumerate(counters)]
    for path, _ in feeds:
        if [one for one, _ in feeds].count(path) > 1:
            raise ConfigError(f"{path} is named twice; a point tells a state or counts one thing")
        if path not in points:
            raise ConfigError(f"there is no point {path}, or the app may not read it")
    unit = Unit(
        row["asset"], timetable, since_ns, rule, counters, row["micro_stop"],
        pri_ns=float(row["ideal_cycle"] or 0), capacity_per_h=row["capacity"] or 0.0, counts=row["counts"],
    )  # fmt: skip
    return unit, feeds


def _rule(row: Mapping[str, Any], points: Mapping[str, Point]) -> tuple[StateRule, list[str]]:
    """A rule and the paths of its inputs."""
    otherwise = State[row["otherwise"].upper()]
    kind, point = row["rule"], row["point"] or ""
    if kind == "none":
        return DIRECT, []
    if kind == "conditions":
        return _conditions(row, points, otherwise)
    if not point:
        raise ConfigError("say which point tells its state")
    if kind == "bits":
        bits = BitsRule(point, row["fault"] or "", row["setup"] or "", otherwise)
        return bits, list(bits.inputs)
    if kind in ("packml", "mtconnect"):
        return StatusRule(point, PACKML if kind == "packml" else MTCONNECT), [point]
    table: dict[int | str, State] = {}
    for key, state in _pairs(row["states"] or "", "="):
        number = key.removeprefix("-")
        table[int(key) if number.isdecimal() and number.isascii() else key.strip("\"'")] = state
    return StatusRule(point, table, otherwise), [point]


def _conditions(row: Mapping[str, Any], points: Mapping[str, Point], otherwise: State) -> tuple[StateRule, list[str]]:
    scope = AssetScope(points, row["asset"])
    cases = _pairs(row["states"] or "", "=>")
    kinds = {}
    for text, _ in cases:
        for name in names_of(text):
            try:
                kinds[name] = scope[name]
            except KeyError:
                raise ConfigError(f"'{text}' names {name}, and there is no such point at {row['asset']}") from None
    rule = ExpressionRule.of(cases, kinds, otherwise)
    return rule, [scope.path(name) for name in rule.inputs]


def _pairs(text: str, sign: str) -> list[tuple[str, State]]:
    found = []
    for part in filter(str.strip, text.replace("\n", ";").split(";")):
        key, between, state = part.rpartition(sign)
        name = state.strip().upper()
        if not between or name not in State.__members__ or not key.strip():
            known = ", ".join(state.name.lower() for state in State)
            raise ConfigError(f"'{part.strip()[:60]}' is not '… {sign} state'; states are {known}")
        found.append((key.strip(), State[name]))
    return found


def _calendar(settings: Mapping[str, Any]) -> Calendar:
    shifts = tuple(
        Shift(row["name"], _clock(row["start"]), _clock(row["end"]), _days(row["days"])) for row in settings["shifts"]
    )
    stops = tuple(
        PlannedStop(row["name"], _clock(row["start"]), _clock(row["end"]), _days(row["days"]))
        for row in settings["stops"]
    )
    try:
        holidays = frozenset(date.fromisoformat(text) for text in settings["holidays"])
    except ValueError as error:
        raise ConfigError(f"days without shifts: {error}; write 2026-10-01") from None
    closures = tuple(
        Closure(row["name"], parse_time_ns(row["start"]), parse_time_ns(row["end"])) for row in settings["closures"]
    )
    calendar = Calendar(settings["zone"], shifts, stops, closures, holidays)
    calendar.check(date(2026, 1, 1))
    return calendar


def _clock(text: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"'{text}' is no time of day; write 06:00") from None


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().replace(" ", "").split(","):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last and last not in _DAYS):
            raise ConfigError(f"'{text}' names no days; write mon-fri, or sat,sun")
        start, end = _DAYS.index(first), _DAYS.index(last or first)
        found |= {at % 7 for at in range(start, end + 1 if end >= start else end + 8)}
    return frozenset(found) & EVERY_DAY


def _reasons(rows: Sequence[Mapping[str, Any]]) -> Reasons:
    if not rows:
        return STANDARD
    return Reasons(
        [
            Reason(
                row["group"], row["code"], row["en"], row["zh"], Element[row["element"]], row["failure"],
                "" if row["maintenance"] == "none" else row["maintenance"],
            )
            for row in rows
        ]
    )  # fmt: skip
