"""What computing offers to the rooms above: calculated points and their back-fills, back-tests of alarm rules,
versions of stream functions."""

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
    """Points worked out anew over [start, end), up to `upto_ns` so far.

    `cancelled_by` is set as soon as somebody asks for it; `error` says how far it came once it has ended.
    """

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
    cancelled_by: str = ""


class Calculations(Protocol):
    def status(self) -> Sequence[CalculationStatus]:
        """By path."""
        ...

    def start_backfill(self, paths: Sequence[str], start_ns: int, end_ns: int, actor: str) -> BackfillJob:
        """Work these out anew over [start, end). Raises: NotFound, DataError, Conflict where too many wait."""
        ...

    def backfill(self, id: int) -> BackfillJob:
        """Raises: NotFound."""
        ...

    def backfills(self) -> Sequence[BackfillJob]:
        """Newest first; those of before a restart are forgotten."""
        ...

    def cancel_backfill(self, id: int, actor: str) -> BackfillJob:
        """End it between two slices; what was worked out stays. One that has ended stays as it is. Raises: NotFound."""
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

    def cancel(self, id: int, actor: str) -> BacktestJob:
        """It ends now, and `error` says by whom; one that has ended stays as it is. Raises: NotFound."""
        ...


# --- stream functions ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StreamRun:
    """How a version fares that is wanted: since it was started, but for `counters`, which survive restarts.

    `newest_ns` is the newest event time that it has seen, `lateness_ns` how far a sample may be behind it.
    """

    running: bool
    waiting: int
    counters: Mapping[str, int]
    stopped: int
    halted: bool
    lateness_ns: int
    newest_ns: int | None
    error: str


@dataclass(frozen=True, slots=True)
class StreamVersion:
    """A version of a stream function. `stage` is `shadow`, `active` or `retired`; `run` is None where none runs it;
    `on` is where it runs, `hub` or `workers`."""

    name: str
    version: str
    stage: str
    sha256: str
    added_at: str
    by: str
    before: str = ""
    run: StreamRun | None = None
    on: str = "hub"


@dataclass(frozen=True, slots=True)
class StreamDifference:
    """Of `both` moments `same` have equal values and quality; `missing` are the active one's, `more` the shadow's.

    `worst` is the greatest difference of two values that both have, at `point` and `time_ns`.
    """

    both: int
    same: int
    missing: int
    more: int
    worst: float = 0.0
    point: str = ""
    time_ns: int = 0


@dataclass(frozen=True, slots=True)
class StreamAct:
    """Who did what to a version, when and why. `time` is RFC 3339."""

    time: str
    who: str
    act: str
    name: str
    version: str
    why: str


class Streams(Protocol):
    """Versions of stream functions. A function is whose its name is, as a connection; None for `tenant` is anybody's.

    What another tenant has is not there: NotFound, as for a name that never was.
    """

    async def versions(self, *, tenant: str | None = None) -> Sequence[StreamVersion]:
        """By name, in the order in which they were added."""
        ...

    async def add(
        self, actor: str, source: str, function: str = "", *, on: str = "hub", model: bytes = b"",
        tenant: str | None = None,
    ) -> StreamVersion:  # fmt: skip
        """Take a source up as a shadow that runs `on` hub or workers. `function`: which of those in it; not needed
        where there is one. `model` is the ONNX model that the source knows as `MODEL`.

        Raises: ConfigError for a source that does not load or cannot run there; Conflict for a version that is there
        with another source, and for an output whose path the plant has already; DataError for a name or output that is
        not the tenant's; LimitReached.
        """
        ...

    async def promote(
        self, actor: str, name: str, version: str, why: str = "", *, tenant: str | None = None
    ) -> StreamVersion:
        """Its outputs are points of the plant from now on. Raises: NotFound; Conflict, also for an output whose path
        the plant has already."""
        ...

    async def place(
        self, actor: str, name: str, version: str, on: str, why: str = "", *, tenant: str | None = None
    ) -> StreamVersion:
        """It runs there from now on, with the state that it has there. Raises: NotFound; Conflict where it runs there
        already; ConfigError where it cannot; DataError."""
        ...

    async def roll_back(self, actor: str, name: str, why: str = "", *, tenant: str | None = None) -> StreamVersion:
        """The version before goes on from its own state. Raises: NotFound."""
        ...

    async def retire(
        self, actor: str, name: str, version: str, why: str = "", *, tenant: str | None = None
    ) -> StreamVersion:
        """It stops. Raises: NotFound."""
        ...

    async def difference(self, name: str, version: str, *, tenant: str | None = None) -> StreamDifference | None:
        """Of a shadow and the active version since both run; None where one of them does not. Raises: NotFound."""
        ...

    async def acts(self, *, tenant: str | None = None) -> Sequence[StreamAct]:
        """Oldest first, the last thousand."""
        ...
