"""Factors with dates: what a unit of something is worth, where, for which time, and since when that could be known.

    valid      |== 2021 ==|== 2022 ==|…            of what time is the electricity?
    published            2024-04     2024-12       when could anybody know?

Two dates, so a total has a date of knowledge too: asked as of June 2024, electricity of 2022 is worked out with the
factor of 2021, which is carried on and marked so; asked as of 2025, with its own. Nothing is overwritten: see
`restate.py`. A factor that is not there is an error that says what to enter, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from headrace.apps.energy.completeness import Total
from headrace.model.errors import ConfigError, DataError, NotFound
from headrace.model.units import check_unit, convert, display, same_dimension

EVERYWHERE = ""


@dataclass(frozen=True, slots=True)
class Factor:
    """One figure of one table: `value` in `unit` for one `per` (both UCUM) of a carrier.

    Valid for use from `since` up to, not including, `until` (None: until replaced), in `area` (empty: everywhere);
    known since `published`. `checked` says how the figure was confirmed.
    """

    kind: str
    carrier: str
    value: float
    unit: str
    per: str
    since: date
    published: date
    until: date | None = None
    area: str = EVERYWHERE
    edition: str = ""
    source: str = ""
    clause: str = ""
    checked: str = ""

    @property
    def key(self) -> str:
        """What names it, and stays: kind, carrier, area, since, published."""
        return "/".join((self.kind, self.carrier, self.area or "-", str(self.since), str(self.published)))

    def told(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "kind": self.kind,
            "carrier": self.carrier,
            "value": self.value,
            "unit": self.unit,
            "per": self.per,
            "area": self.area,
            "since": str(self.since),
            "until": None if self.until is None else str(self.until),
            "published": str(self.published),
            "edition": self.edition,
            "source": self.source,
            "clause": self.clause,
            "checked": self.checked,
        }


@dataclass(frozen=True, slots=True)
class Found:
    """A factor for some time; `carried` where it is of an earlier time, for want of one of its own."""

    factor: Factor
    carried: bool = False

    def apply(self, amount: Total) -> Total:
        """The amount in the factor's unit. Raises: DataError where the amount is of another kind than the factor's."""
        return amount.times(self.factor.value * float(convert(1.0, amount.unit, self.factor.per)), self.factor.unit)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of days with one factor, or none: `found` is None where nothing is known, and `problem` says what to
    do."""

    start: date
    end: date
    found: Found | None
    problem: str = ""


class FactorBook:
    """Factors of all tables and of the firm. Immutable: a book with one more factor is another book.

    Raises, when it is made: ConfigError for a factor that cannot be, and for two of one key that differ.
    """

    def __init__(self, factors: Iterable[Factor]) -> None:
        self._factors: dict[tuple[str, str, str], list[Factor]] = {}
        keys: dict[str, Factor] = {}
        for factor in factors:
            _check(factor)
            if keys.setdefault(factor.key, factor) != factor:
                raise ConfigError(
                    f"two factors are named {factor.key} and differ; give a correction its own day of publication"
                )
            group = self._factors.setdefault((factor.kind, factor.carrier, factor.area), [])
            if factor not in group:
                group.append(factor)
        for group in self._factors.values():
            group.sort(key=lambda factor: (factor.since, factor.published))
        self._keys = keys

    def __iter__(self) -> Iterator[Factor]:
        return iter(self._keys.values())

    def __len__(self) -> int:
        return len(self._keys)

    def plus(self, factors: Iterable[Factor]) -> FactorBook:
        """This book and more: what a firm measured, or what was published since."""
        return FactorBook([*self._keys.values(), *factors])

    def find(
        self, kind: str, carrier: str, on: date, *, known: date | None = None, areas: Sequence[str] = (EVERYWHERE,)
    ) -> Found:
        """The factor for one day: of the first area that has any, valid then, the newest that was known.

        Where none of an area is valid any more, its latest one is carried on, and marked. Raises: NotFound, saying what
        to enter.
        """
        for area in areas:
            group = [
                factor
                for factor in self._factors.get((kind, carrier, area), ())
                if (known is None or factor.published <= known) and factor.since <= on
            ]
            valid = [factor for factor in group if factor.until is None or on < factor.until]
            if valid:
                return Found(max(valid, key=lambda factor: (factor.published, factor.since)))
            if group:
                return Found(max(group, key=lambda factor: (factor.until or date.max, factor.published)), carried=True)
        raise NotFound(
            f"there is no factor of kind '{kind}' for {carrier} on {on}"
            f"{'' if known is None else f' that was known on {known}'} in {', '.join(map(_named, areas))}; "
            "enter one with its source, or choose another area"
        )

    def pieces(
        self,
        kind: str,
        carrier: str,
        start: date,
        end: date,
        *,
        known: date | None = None,
        areas: Sequence[str] = (EVERYWHERE,),
    ) -> list[Piece]:
        """Days [start, end) cut where the factor changes. Raises: DataError for days that are none."""
        if end <= start:
            raise DataError(f"a span from {start} to {end} has no days")
        cuts = {start}
        for area in areas:
            for factor in self._factors.get((kind, carrier, area), ()):
                cuts.update(day for day in (factor.since, factor.until) if day is not None and start < day < end)
        pieces: list[Piece] = []
        days = sorted(cuts)
        for first, behind in zip(days, [*days[1:], end], strict=True):
            found: Found | None = None
            problem = ""
            try:
                found = self.find(kind, carrier, first, known=known, areas=areas)
            except NotFound as error:
                problem = str(error)
            last = pieces[-1] if pieces else None
            if last is not None and last.found == found and (found is not None or last.found is None):
                pieces[-1] = Piece(last.start, behind, found, last.problem)
            else:
                pieces.append(Piece(first, behind, found, problem))
        return pieces

    def changed(self, before: date, after: date) -> list[Factor]:
        """What was published after one day and up to another: the reason why totals differ."""
        return [factor for factor in self._keys.values() if before < factor.published <= after]


def days_of(start: date, end: date) -> int:
    """How many days [start, end) has."""
    return (end - start) // timedelta(days=1)


def _named(area: str) -> str:
    return area or "any area"


def _check(factor: Factor) -> None:
    where = f"factor {factor.key}"
    if not factor.kind or not factor.carrier or not factor.source:
        raise ConfigError(f"{where} needs a kind, a carrier and a source")
    if not 0.0 <= factor.value < float("inf"):
        raise ConfigError(f"{where} is {factor.value}; a factor is a number from 0 on")
    if factor.until is not None and factor.until <= factor.since:
        raise ConfigError(f"{where} ends on {factor.until}, before it begins")
    try:
        check_unit(factor.unit)
        check_unit(factor.per)
    except DataError as error:
        raise ConfigError(f"the unit of {where}: {error}") from error


def of_unit(factor: Factor, unit: str, per: str) -> float:
    """The value for other units: 0.0031451 t of CO2 a kg of diesel. Raises: DataError for units of another kind."""
    if not same_dimension(factor.per, per) or not same_dimension(factor.unit, unit):
        raise DataError(
            f"{factor.key} is {display(factor.unit)} a {display(factor.per)}, not {display(unit)} a {display(per)}"
        )
    return factor.value * float(convert(1.0, factor.unit, unit)) * float(convert(1.0, per, factor.per))
