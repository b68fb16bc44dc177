"""Restating: what was told stays, and beside it stands what is known now, with the reason of the difference.

    statement (told 2024-06-30, known until then) ── factors published since, samples that came since ──► restated
        92.4 t, with the factor of 2021 carried on      ──2022's factor──►  95.1 t   difference +2.7 t

A statement keeps what it was made of: its span, the day of its knowledge, its quantities, its factors. To restate it is
to work the same account out twice more: with today's factors on yesterday's quantities, and with today's on today's. So
the difference falls into one part that factors made and one that data made, and the two add up to it exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from headrace.apps.energy.completeness import Total
from headrace.apps.energy.factors import Factor, FactorBook, Found
from headrace.apps.energy.uses import Use

Account = Callable[[Sequence[Use], date], tuple[Total, tuple[Found, ...]]]
"""Works out a total from uses, as known on a day; tells the factors it used too."""


@dataclass(frozen=True, slots=True)
class Statement:
    """What was told: the total of a span, on a day, of these uses, by these factors (their keys)."""

    name: str
    start: date
    end: date
    known: date
    uses: tuple[Use, ...]
    total: Total
    factors: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "start": str(self.start),
            "end": str(self.end),
            "known": str(self.known),
            "total": self.total.told(),
            "factors": list(self.factors),
        }


@dataclass(frozen=True, slots=True)
class Restated:
    """Both totals, and what made the difference. Differences are None where a total is unknown."""

    before: Statement
    after: Statement
    by_factors: float | None
    by_data: float | None
    reasons: tuple[Factor, ...]

    @property
    def difference(self) -> float | None:
        old, new = self.before.total.value, self.after.total.value
        return None if old is None or new is None else new - old

    @property
    def is_changed(self) -> bool:
        """Whether anything that was told is another now: the value, or how much of it was seen."""
        return self.before.total != self.after.total

    def told(self) -> dict[str, Any]:
        return {
            "before": self.before.told(),
            "after": self.after.told(),
            "difference": self.difference,
            "by_factors": self.by_factors,
            "by_data": self.by_data,
            "reasons": [factor.told() for factor in self.reasons],
            "is_changed": self.is_changed,
        }


def state(name: str, uses: Sequence[Use], account: Account, known: date) -> Statement:
    """A total as it is told on a day, with all that is needed to tell it again."""
    total, found = account(uses, known)
    return Statement(
        name,
        min(use.start for use in uses),
        max(use.end for use in uses),
        known,
        tuple(uses),
        total,
        tuple(sorted({one.factor.key for one in found})),
    )


def restate(
    before: Statement, book: FactorBook, account: Account, known: date, uses: Sequence[Use] | None = None
) -> Restated:
    """The same account as known on a later day. `uses`: the quantities as they are now; None: as they were.

    `reasons` are the factors that are used now, were not then, and were published since.
    """
    later = state(before.name, before.uses if uses is None else uses, account, known)
    same_data, _ = account(before.uses, known)
    old, middle, new = before.total.value, same_data.value, later.total.value
    published = {factor.key: factor for factor in book.changed(before.known, known)}
    reasons = tuple(published[key] for key in later.factors if key in published and key not in before.factors)
    return Restated(
        before,
        later,
        None if old is None or middle is None else middle - old,
        None if middle is None or new is None else new - middle,
        reasons,
    )
