"""Back-tests that people ask for: one after the other, each beside what alarms and operators really did.

start ─► queue ─► run.py ─► episodes ─┐
                     journal ─────────┴─► for each rule: would, did, acknowledged; for each episode: who did what
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from statistics import median
from typing import Final

from headrace.compute.alarms.episodes import Episode
from headrace.compute.backtests.run import backtest
from headrace.compute.points.past import Past
from headrace.model.alarms import AlarmAction, AlarmRule, AlarmTransition
from headrace.model.errors import Conflict, DataError, HeadraceError, NotFound
from headrace.model.plant import PlantModel
from headrace.model.time import SECOND_NS
from headrace.sdk.clock import Clock
from headrace.sdk.computing import BacktestEpisode, BacktestJob, BacktestRule
from headrace.sdk.services import AlarmDesk

log = logging.getLogger(__name__)

JOBS_KEPT: Final = 20
EPISODES_TOLD: Final = 2_000
SAME_NS: Final = 60 * SECOND_NS
"""A real alarm belongs to an episode if it was raised within it, or so shortly before or after."""
_PAGE: Final = 5_000
_TRANSITIONS_MAX: Final = 500_000


class BacktestDesk:
    """Implements `sdk.services.Backtests`. `handles` are those of all points that history knows, by path."""

    def __init__(self, past: Past, alarms: AlarmDesk, handles: Callable[[], Mapping[str, int]], clock: Clock) -> None:
        self._past, self._alarms, self._handles, self._clock = past, alarms, handles, clock
        self._jobs: deque[BacktestJob] = deque(maxlen=JOBS_KEPT)
        self._plans: dict[int, tuple[PlantModel, Mapping[str, AlarmRule]]] = {}
        self._waiting: asyncio.Queue[int] = asyncio.Queue()
        self._next = 1

    def start(
        self, model: PlantModel, rules: Sequence[str], start_ns: int, end_ns: int, actor: str, tenant: str
    ) -> BacktestJob:
        """Rules of `model` by name, all of them if none is named. Raises: NotFound, DataError, Conflict."""
        chosen = {name: model.alarms[name] for name in rules if name in model.alarms} if rules else dict(model.alarms)
        missing = [name for name in rules if name not in model.alarms]
        if missing:
            raise NotFound(f"there is no alarm '{missing[0][:200]}' in what is to be tested")
        if not chosen:
            raise DataError("there is no alarm rule to test")
        if end_ns <= start_ns:
            raise DataError("a back-test needs a stretch that ends after it begins")
        if len(self._plans) >= JOBS_KEPT:
            raise Conflict(f"{JOBS_KEPT} back-tests wait already; try again when some are done")
        job = BacktestJob(self._next, tenant, len(chosen), start_ns, end_ns, actor, self._clock.now_ns(), start_ns)
        self._next += 1
        self._jobs.append(job)
        self._plans[job.id] = (model, chosen)
        self._waiting.put_nowait(job.id)
        return job

    def job(self, id: int) -> BacktestJob:
        """Raises: NotFound."""
        for one in self._jobs:
            if one.id == id:
                return one
        raise NotFound(f"there is no back-test {id}; those of before a restart are forgotten")

    def jobs(self) -> Sequence[BacktestJob]:
        """Newest first."""
        return list(reversed(self._jobs))

    def cancel(self, id: int, actor: str) -> BacktestJob:
        """It ends now, also where it waits; one that has ended stays as it is. Raises: NotFound."""
        if self.job(id).finished_ns is None:
            self._set(id, error=f"cancelled by {actor}", finished_ns=self._clock.now_ns())
        return self.job(id)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            number = await self._waiting.get()
            model, rules = self._plans[number]
            try:
                if not self._ended(number):
                    await self._work(number, model, rules)
            except HeadraceError as error:
                self._set(number, error=str(error), finished_ns=self._clock.now_ns())
            except Exception as fault:
                log.exception("back-test %d failed", number)
                self._set(number, error=f"a fault of ours: {fault!r}", finished_ns=self._clock.now_ns())
            finally:
                self._plans.pop(number, None)

    async def _work(self, number: int, model: PlantModel, rules: Mapping[str, AlarmRule]) -> None:
        job = self.job(number)
        episodes: list[Episode] = []
        begun_s = self._clock.monotonic_s()
        async for outcome in backtest(self._past, model, rules, self._handles(), job.start_ns, job.end_ns):
            if self._ended(number):
                return
            episodes = outcome.episodes
            self._set(number, upto_ns=outcome.upto_ns, samples=outcome.samples, raised=len(episodes))
        elapsed_s = self._clock.monotonic_s() - begun_s
        really = await self._transitions(job.start_ns - SAME_NS, job.end_ns + SAME_NS)
        if self._ended(number):
            return
        told = beside(rules, episodes, really, job.start_ns, job.end_ns)
        self._set(
            number, rules=told[0], episodes=told[1][:EPISODES_TOLD], elapsed_s=elapsed_s,
            finished_ns=self._clock.now_ns(),
        )  # fmt: skip

    async def _transitions(self, start_ns: int, end_ns: int) -> list[AlarmTransition]:
        """What really happened, oldest first."""
        found: list[AlarmTransition] = []
        cursor: str | None = None
        while True:
            page = await self._alarms.history(start_ns, end_ns, limit=_PAGE, cursor=cursor)
            found += page.transitions
            cursor = page.next_cursor
            if cursor is None or len(found) >= _TRANSITIONS_MAX:
                return found[::-1]

    def _ended(self, number: int) -> bool:
        return self.job(number).finished_ns is not None

    def _set(self, number: int, **changes: object) -> None:
        for at, one in enumerate(self._jobs):
            if one.id == number:
                self._jobs[at] = replace(one, **changes)  # type: ignore[arg-type]


def beside(
    rules: Mapping[str, AlarmRule],
    episodes: Sequence[Episode],
    really: Sequence[AlarmTransition],
    start_ns: int,
    end_ns: int,
) -> tuple[list[BacktestRule], list[BacktestEpisode]]:
    """For each rule and each episode: what would have been, and what was. Episodes by time; rules by how often."""
    would: dict[str, list[Episode]] = {}
    for episode in episodes:
        would.setdefault(episode.rule, []).append(episode)
    did: dict[str, list[AlarmTransition]] = {}
    for step in really:
        if step.rule in rules:
            did.setdefault(step.rule, []).append(step)
    told = [
        _rule(rule, would.get(name, []), did.get(name, []), start_ns, end_ns) for name, rule in rules.items()
    ]  # fmt: skip
    told.sort(key=lambda one: (-one.raised, -one.really_raised, one.rule))
    shown = [
        _episode(one, did.get(one.rule, [])) for one in sorted(episodes, key=lambda one: (one.raised_ns, one.rule))
    ]
    return told, shown


def _rule(
    rule: AlarmRule, would: Sequence[Episode], did: Sequence[AlarmTransition], start_ns: int, end_ns: int
) -> BacktestRule:
    lengths = [(one.cleared_ns or end_ns) - max(one.raised_ns, start_ns) for one in would]
    inside = [step for step in did if start_ns <= step.time_ns < end_ns]
    waits, raised_ns = [], None
    for step in did:
        if step.action is AlarmAction.RAISED:
            raised_ns = step.time_ns
        elif step.action is AlarmAction.ACKNOWLEDGED and raised_ns is not None:
            waits.append((step.time_ns - raised_ns) / SECOND_NS)
            raised_ns = None
    return BacktestRule(
        rule.name,
        rule.priority.value,
        len(would),
        sum(lengths) / SECOND_NS,
        max(lengths, default=0) / SECOND_NS,
        sum(step.action is AlarmAction.RAISED for step in inside),
        sum(step.action is AlarmAction.ACKNOWLEDGED for step in inside),
        median(waits) if waits else None,
    )


def _episode(one: Episode, did: Sequence[AlarmTransition]) -> BacktestEpisode:
    last_ns = (one.cleared_ns or 1 << 62) + SAME_NS
    within = [step for step in did if one.raised_ns - SAME_NS <= step.time_ns <= last_ns]
    raised = next((step for step in within if step.action is AlarmAction.RAISED), None)
    after = [step for step in within if raised is None or step.time_ns >= raised.time_ns]
    acknowledged = next((step for step in after if step.action is AlarmAction.ACKNOWLEDGED), None)
    return BacktestEpisode(
        one.rule,
        one.raised_ns,
        one.cleared_ns,
        one.value,
        None if raised is None else raised.time_ns,
        None if acknowledged is None else acknowledged.time_ns,
        "" if acknowledged is None else acknowledged.actor,
        "" if acknowledged is None else acknowledged.comment,
    )
