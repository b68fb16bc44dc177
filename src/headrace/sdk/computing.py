"""What computing offers to the rooms above: calculated points and their back-fills, back-tests of alarm rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.model.plant import PlantModel

# --- calculated points ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CalculationStatus:
    """A calculated point. `inputs` are paths; `counts` are results that failed and samples that came late, by reason,
    of all `instances` that are worked out together."""

    path: str
    expression: str
    inputs: Sequence[str]
    instances: int
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class BackfillJob:
    """Points worked out anew over [start, end), up to `upto_ns` so far."""

    id: int
    points: Sequence[str]
    start_ns: int
    end_ns: int
    actor: str
    begun_ns: int
    upto_ns: int
    results: int = 0
    finished_ns: int | None = None
    error: str = ""


class Calculations(Protocol):
    def status(self) -> Sequence[CalculationStatus]:
        """By path."""
        ...

    def start_backfill(self, paths: Sequence[str], start_ns: int, end_ns: int, actor: str) -> BackfillJob:
        """Work these out anew over [start, end). Raises: NotFound, DataError, Conflict where too many wait."""
        ...

    def backfills(self) -> Sequence[BackfillJob]:
        """Newest first; those of before a restart are forgotten."""
        ...


# --- back-tests ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BacktestRule:
    """How often a rule would have been raised, for how long, and what really was in that stretch."""

    rule: str
    priority: str
    raised: int
    active_s: float
    longest_s: float
    really_raised: int
    really_acknowledged: int
    median_acknowledge_s: float | None


@dataclass(frozen=True, slots=True)
class BacktestEpisode:
    """One alarm that would have been, and the real one beside it, where there was one."""

    rule: str
    raised_ns: int
    cleared_ns: int | None
    value: float | None
    really_raised_ns: int | None
    acknowledged_ns: int | None
    acknowledged_by: str
    comment: str


@dataclass(frozen=True, slots=True)
class BacktestJob:
    """`rules` and `episodes` are there once `finished_ns` is, unless `error` says why not. `raised` counts episodes."""

    id: int
    tenant: str
    tested: int
    start_ns: int
    end_ns: int
    actor: str
    begun_ns: int
    upto_ns: int
    samples: int = 0
    raised: int = 0
    elapsed_s: float = 0.0
    finished_ns: int | None = None
    error: str = ""
    rules: Sequence[BacktestRule] = ()
    episodes: Sequence[BacktestEpisode] = ()


class Backtests(Protocol):
    def start(
        self, model: PlantModel, rules: Sequence[str], start_ns: int, end_ns: int, actor: str, tenant: str
    ) -> BacktestJob:
        """Rules of `model` by name, all of them if none is named. Raises: NotFound, DataError, Conflict."""
        ...

    def job(self, id: int) -> BacktestJob:
        """Raises: NotFound."""
        ...

    def jobs(self) -> Sequence[BacktestJob]:
        """Newest first; those of before a restart are forgotten."""
        ...
