"""Alarms for people: conditions become states, states become durable, and only then does anybody hear of them.

take(batches), tick(now) ─► engine ─► crossings ─► states ─► journal (one transaction) ─► current() and transitions()
acknowledge ─► right? ─► states ─► journal ─► …
configure(rules) ─► engine; an alarm whose rule is gone clears

Where the journal cannot be written, crossings wait in memory and are written with the next take or tick.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from sqlalchemy import Engine

from headrace.compute.alarms.crossing import Crossing
from headrace.compute.alarms.engine import AlarmEngine
from headrace.compute.alarms.feed import FeedList, TransitionFeed
from headrace.compute.alarms.journal import AlarmJournal
from headrace.compute.alarms.states import Held, after, next_state
from headrace.model.alarms import AlarmAction, AlarmRule, AlarmState, AlarmTransition, Priority
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError, NotFound, Unavailable
from headrace.sdk.access import Action, AuditLog, Authorizer, Principal
from headrace.sdk.clock import Clock
from headrace.sdk.services import AlarmRecord, LiveColumns, LiveValues, TransitionPage

log = logging.getLogger(__name__)

COMMENT_LENGTH_MAX: Final = 500
_RANK: Final = {priority: rank for rank, priority in enumerate(Priority)}
_FEED_CAPACITY: Final = 2_000
_WAITING_MAX: Final = 100_000


class AlarmDesk:
    """Implements `sdk.services.AlarmDesk`. `start`, then `configure`, then `take` and `tick`.

    `live` lets new and changed rules judge the newest sample at once, for points that send only changes.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        authorizer: Authorizer,
        audit: AuditLog,
        live: LiveValues | None = None,
    ) -> None:
        self.lost = 0  # crossings given up because the journal failed for too long
        self._clock = clock
        self._authorizer = authorizer
        self._audit = audit
        self._live = live
        self._journal = AlarmJournal(engine)
        self._engine = AlarmEngine()
        self._rules: dict[str, AlarmRule] = {}
        self._handles: dict[str, int] = {}
        self._held: dict[str, Held] | None = None
        self._waiting: list[Crossing] = []
        self._failing = False
        self._feeds = FeedList(_FEED_CAPACITY)
        self._one = asyncio.Lock()

    async def start(self) -> None:
        """Take up the alarms of before the restart. Raises: Unavailable."""
        async with self._one:
            await self._load()

    async def close(self) -> None:
        """Write what still waits; listeners end."""
        async with self._one:
            if self._waiting:
                await self._settle()
        self._feeds.close()

    async def configure(self, rules: Mapping[str, AlarmRule], handles: Mapping[str, int]) -> None:
        """These rules and no others; `handles` by point path. Rules that stay keep their alarms.

        Raises: Unavailable where the alarm of a removed rule cannot be cleared durably; nothing has changed then.
        """
        async with self._one:
            held = await self._load()
            if self._waiting and not await self._settle():
                raise Unavailable("alarms cannot be recorded now; try again")
            if rules == self._rules and handles == self._handles:
                return
            gone = [name for name in held if name not in rules]
            if gone:
                now_ns = self._clock.now_ns()
                made = [_removed(name, held[name], now_ns) for name in gone]
                points = {name: self._rules[name].point if name in self._rules else _point_of(name) for name in gone}
                await self._record(made, points)
            active = {name for name, one in held.items() if one.state.active}
            changed = self._engine.configure(rules, handles, active)
            self._rules, self._handles = dict(rules), dict(handles)
            if self._live is not None and changed:
                await self._cross(self._engine.take(_newest(self._live, self._watched(changed))))

    async def take(self, batches: Sequence[Batch]) -> None:
        """Never raises for a journal that fails: that is logged once, and tried again."""
        async with self._one:
            await self._cross(self._engine.take(batches))

    async def tick(self, now_ns: int) -> None:
        """Once a second or so, `now_ns` by our clock."""
        async with self._one:
            await self._cross(self._engine.tick(now_ns))

    def current(self) -> Sequence[AlarmRecord]:
        records = [
            AlarmRecord(
                self._rules[name],
                one.state,
                one.value,
                one.raised_ns,
                one.cleared_ns,
                one.acknowledged_ns,
                one.acknowledged_by,
                one.comment,
            )
            for name, one in (self._held or {}).items()
            if name in self._rules
        ]
        return sorted(records, key=lambda record: (_RANK[record.rule.priority], -record.raised_ns, record.rule.name))

    async def acknowledge(self, rules: Sequence[str], principal: Principal, comment: str) -> Sequence[AlarmTransition]:
        """Raises: NotFound, AccessError, DataError for a comment that is too long, Unavailable; all or none."""
        if len(comment) > COMMENT_LENGTH_MAX:
            raise DataError(f"the comment has {len(comment)} characters; at most {COMMENT_LENGTH_MAX} are kept")
        async with self._one:
            held = await self._load()
            names = list(dict.fromkeys(rules))
            for name in names:
                if name not in self._rules:
                    raise NotFound(f"there is no alarm rule '{name[:200]}'")
                self._authorizer.check(principal, Action.ACKNOWLEDGE, self._rules[name].point)
            now_ns, text = self._clock.now_ns(), comment.replace("\0", "").strip()
            made = []
            for name in names:
                one = held.get(name)
                state = None if one is None else next_state(one.state, AlarmAction.ACKNOWLEDGED)
                if one is not None and state is not None:
                    action = AlarmAction.ACKNOWLEDGED
                    made.append(AlarmTransition(name, action, state, now_ns, one.value, principal.name, text))
            if made:
                await self._record(made, {name: self._rules[name].point for name in names})
        entries = (
            self._audit.record(principal.name, "alarm.acknowledge", one.rule, one.state.value, {"comment": text})
            for one in made
        )
        await asyncio.gather(*entries)
        return made

    async def history(
        self,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        point: str | None = None,
        limit: int = 500,
        cursor: str | None = None,
    ) -> TransitionPage:
        return await self._journal.page(start_ns, end_ns, point, limit, cursor)

    def transitions(self) -> TransitionFeed:
        return self._feeds.open()

    async def _load(self) -> dict[str, Held]:
        if self._held is None:
            self._held = await self._journal.load()
        return self._held

    async def _cross(self, crossings: Sequence[Crossing]) -> None:
        if not crossings and not self._waiting:
            return
        self._waiting += crossings
        if len(self._waiting) > _WAITING_MAX:
            surplus = len(self._waiting) - _WAITING_MAX
            self.lost += surplus
            del self._waiting[:surplus]
        await self._settle()

    async def _settle(self) -> bool:
        """Crossings to transitions, durable and announced; false where they have to wait."""
        try:
            made = _transitions(self._waiting, await self._load())
            if made:
                await self._record(made, {one.rule: self._rules[one.rule].point for one in made})
        except Unavailable as error:
            if not self._failing:
                log.error("alarms wait in memory: %s (%s)", error.message, error.detail)
            self._failing = True
            return False
        if self._failing:
            log.warning("alarms are recorded again; %d crossings had waited", len(self._waiting))
        self._failing = False
        self._waiting.clear()
        return True

    async def _record(self, made: Sequence[AlarmTransition], points: Mapping[str, str]) -> None:
        held = await self._load()
        become: dict[str, Held | None] = {}
        for one in made:
            become[one.rule] = after(become.get(one.rule, held.get(one.rule)), one)
        await self._journal.write(made, points, become)
        for rule, one_held in become.items():
            if one_held is None:
                held.pop(rule, None)
            else:
                held[rule] = one_held
        self._feeds.put(made)

    def _watched(self, names: Iterable[str]) -> list[int]:
        """Handles of the points of these rules."""
        rules = [self._rules[name] for name in names]
        points = {rule.point for rule in rules} | {rule.reference for rule in rules if rule.reference is not None}
        return sorted(self._handles[point] for point in points if point in self._handles)


def _transitions(crossings: Sequence[Crossing], held: Mapping[str, Held]) -> list[AlarmTransition]:
    """The steps that these crossings make; those that change nothing are left out."""
    states: dict[str, AlarmState] = {}
    made = []
    for crossing in crossings:
        known = held.get(crossing.rule)
        before = states.get(crossing.rule, AlarmState.NORMAL if known is None else known.state)
        action = AlarmAction.RAISED if crossing.active else AlarmAction.CLEARED
        state = next_state(before, action)
        if state is not None:
            states[crossing.rule] = state
            made.append(AlarmTransition(crossing.rule, action, state, crossing.time_ns, crossing.value))
    return made


def _removed(rule: str, held: Held, now_ns: int) -> AlarmTransition:
    comment = "the rule was removed"
    return AlarmTransition(rule, AlarmAction.CLEARED, AlarmState.NORMAL, now_ns, held.value, comment=comment)


def _point_of(rule: str) -> str:
    """Of a rule that was removed while we were down: names begin with the point's path."""
    return rule.rpartition(":")[0][:512]


def _newest(live: LiveValues, handles: Sequence[int]) -> list[Batch]:
    """The newest samples as batches for the engine: one of numbers, one of text."""
    columns: LiveColumns = live.get(np.array(handles, np.uint32))
    text = np.array([isinstance(value, str) for value in columns.values], np.bool_)
    number = np.array([value is not None for value in columns.values], np.bool_) & ~text
    batches = []
    for chosen, kind in ((number, ValueKind.FLOAT64), (text, ValueKind.TEXT)):
        if chosen.any():
            values = columns.values[chosen].astype(kind.dtype)
            times = (columns.source_ns[chosen], columns.received_ns[chosen])
            batches.append(Batch.of(kind, columns.handles[chosen], times[0], values, columns.quality[chosen], times[1]))
    return batches
