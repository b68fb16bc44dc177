"""What late samples show to have been: alarms that nobody was told of, for the history.

late(), none for a while ─► history has them ─► rules over that stretch again, as in a back-test ─► episodes
                                                        what is known already ◄── journal ──┤
                                                                                            └─► found() ─► journal

An alarm that was raised is not taken back: somebody has answered it. One that should have been raised is not raised
now: it is over. It stands in the history at its own time, as found, and is nobody's load in the figures.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from headrace.compute.alarms.desk import AlarmDesk
from headrace.compute.alarms.episodes import Episode, unknown
from headrace.compute.backtests.run import backtest
from headrace.compute.points.past import Past
from headrace.model.alarms import AlarmRule, AlarmTransition
from headrace.model.errors import HeadraceError
from headrace.model.plant import PlantModel
from headrace.model.time import DAY_NS, SECOND_NS
from headrace.sdk.clock import Clock

log = logging.getLogger(__name__)

LOOK_S: Final = 5.0
QUIET_S: Final = 30.0
"""A backlog has come to its end when nothing late has come for so long."""
LONGEST_S: Final = 900.0
STRETCH_MAX_NS: Final = 31 * DAY_NS
"""Alarms of what lies further back are for a back-test to say."""
NEAR_NS: Final = SECOND_NS
_PAGE: Final = 5_000


class Afterwards:
    """`settled` waits until history has what was published; `handles` are those of all points that it knows."""

    def __init__(
        self,
        alarms: AlarmDesk,
        past: Past,
        plant: Callable[[], PlantModel],
        handles: Callable[[], Mapping[str, int]],
        settled: Callable[[], Awaitable[None]],
        clock: Clock,
        quiet_s: float = QUIET_S,
    ) -> None:
        self._alarms, self._past, self._plant, self._handles = alarms, past, plant, handles
        self._settled, self._clock, self._quiet_s = settled, clock, quiet_s
        self.found = 0
        self.failed = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self._clock.sleep(min(LOOK_S, self._quiet_s))
            await self.look()

    async def look(self) -> None:
        """Once. What cannot be read or recorded now is given up, said and counted: history still has the samples."""
        due = self._alarms.late(self._quiet_s, LONGEST_S)
        if not due:
            return
        await self._settled()
        model = self._plant()
        for rules, start_ns, end_ns in together(due):
            chosen = {name: model.alarms[name] for name in rules if name in model.alarms}
            if not chosen:
                continue
            try:
                await self._again(model, chosen, start_ns, end_ns)
            except HeadraceError as error:
                self.failed += len(chosen)
                log.warning("late samples are not judged for %d alarms: %s", len(chosen), error)

    async def _again(self, model: PlantModel, rules: Mapping[str, AlarmRule], start_ns: int, end_ns: int) -> None:
        """With what a delay to the end still needs, as far as it is past."""
        now_ns = self._clock.now_ns()
        end_ns = min(end_ns + max(rule.off_delay_ns for rule in rules.values()) + 1, now_ns)
        start_ns = max(start_ns, now_ns - STRETCH_MAX_NS)
        if start_ns >= end_ns:
            return
        episodes: list[Episode] = []
        async for outcome in backtest(self._past, model, rules, self._handles(), start_ns, end_ns):
            episodes = outcome.episodes
        stands = {one.rule.name for one in self._alarms.current() if one.active}
        missed = [
            replace(one, cleared_ns=end_ns) if one.cleared_ns is None else one
            for one in episodes
            if one.raised_ns >= start_ns and not (one.cleared_ns is None and one.rule in stands)
        ]
        if not missed:
            return
        missed = unknown(missed, await self._recorded(start_ns - NEAR_NS, end_ns + NEAR_NS), NEAR_NS)
        if missed:
            await self._alarms.found(missed)
            self.found += len(missed)
            log.info("samples that came late show %d alarms that nobody was told of", len(missed))

    async def _recorded(self, start_ns: int, end_ns: int) -> list[AlarmTransition]:
        """Oldest first."""
        steps: list[AlarmTransition] = []
        cursor: str | None = None
        while True:
            page = await self._alarms.history(start_ns, end_ns, limit=_PAGE, cursor=cursor)
            steps += page.transitions
            cursor = page.next_cursor
            if cursor is None:
                return steps[::-1]


def together(stretches: Mapping[str, tuple[int, int]]) -> Sequence[tuple[Sequence[str], int, int]]:
    """Rules whose stretches overlap are judged in one pass over history: (rules, from, to)."""
    found: list[tuple[list[str], int, int]] = []
    for rule, (first_ns, last_ns) in sorted(stretches.items(), key=lambda one: one[1]):
        if found and first_ns <= found[-1][2]:
            rules, start_ns, end_ns = found[-1]
            rules.append(rule)
            found[-1] = rules, start_ns, max(end_ns, last_ns)
        else:
            found.append(([rule], first_ns, last_ns))
    return found
