"""Alarms for people: conditions become states, states become durable, and only then does anybody hear of them.

take(batches), tick(now) ─► engine ─► crossings ─► states ─► journal (one transaction) ─► current() and transitions()
tick(now) ─► shelves that ran out ─────────────────► states ─► journal ─► …
take(batches) ─► samples that came late ─► late() ─► backtests/afterwards.py ─► found() ─► journal ─► …
acknowledge, shelve … ─► right? ─► what the class asks ─► states ─► journal ─► … ─► audit
configure(rules) ─► engine; an alarm whose rule is gone clears

Where the journal cannot be written, crossings wait in memory and are written with the next take or tick.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from sqlalchemy import Engine

from headrace.compute.alarms.crossing import Crossing
from headrace.compute.alarms.engine import AlarmEngine
from headrace.compute.alarms.episodes import Episode, LateStretches, steps_of
from headrace.compute.alarms.feed import FeedList, TransitionFeed
from headrace.compute.alarms.happenings import crossed, ended, record_of, urgency
from headrace.compute.alarms.journal import AlarmJournal
from headrace.compute.alarms.kpis import EARLIER_NS, floods_of, measure
from headrace.compute.alarms.newest import newest
from headrace.compute.alarms.states import Held, Moved, Shelf, Step, traits_of
from headrace.compute.points.past import Past, warm
from headrace.model.alarm_kpis import AlarmKpis, Flood
from headrace.model.alarms import AlarmAction, AlarmRule, AlarmTransition
from headrace.model.areas import Area
from headrace.model.batch import Batch
from headrace.model.errors import AccessError, DataError, NotFound, Unavailable
from headrace.model.time import HOUR_NS, format_duration
from headrace.sdk.access import DEFAULT_TENANT, Action, AuditLog, Authorizer, Principal
from headrace.sdk.clock import Clock
from headrace.sdk.services import AlarmRecord, LiveValues, TransitionPage

log = logging.getLogger(__name__)

COMMENT_LENGTH_MAX: Final = 500
_FEED_CAPACITY: Final = 2_000
_WAITING_MAX: Final = 100_000
_TOLD_MAX: Final = 20_000
_TOLD_NS: Final = HOUR_NS
SHELF_OVER: Final = "the time was over"
#: What people do: its name in the audit trail, and the right that it takes.
_ACTS: Final = {
    AlarmAction.ACKNOWLEDGED: ("alarm.acknowledge", Action.ACKNOWLEDGE),
    AlarmAction.RESET: ("alarm.reset", Action.ACKNOWLEDGE),
    AlarmAction.SHELVED: ("alarm.shelve", Action.ACKNOWLEDGE),
    AlarmAction.UNSHELVED: ("alarm.unshelve", Action.ACKNOWLEDGE),
    AlarmAction.REMOVED: ("alarm.remove", Action.WRITE),
    AlarmAction.RETURNED: ("alarm.return", Action.WRITE),
}


class AlarmDesk:
    """Implements `sdk.services.AlarmDesk`. `start`, then `configure`, then `take` and `tick`.

    `live` lets new and changed rules judge the newest sample at once, for points that send only changes; `past` lets
    conditions that look back see what was before they began.
    """

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        authorizer: Authorizer,
        audit: AuditLog,
        live: LiveValues | None = None,
        tenant_of: Callable[[str], str] = lambda _: DEFAULT_TENANT,
        past: Past | None = None,
    ) -> None:
        self.lost = 0  # crossings given up because the journal failed for too long
        self._clock = clock
        self._authorizer = authorizer
        self._audit = audit
        self._live, self._past = live, past
        self._tenant_of = tenant_of
        self._journal = AlarmJournal(engine)
        self._engine = AlarmEngine()
        self._rules: dict[str, AlarmRule] = {}
        self._handles: dict[str, int] = {}
        self._held: dict[str, Held] | None = None
        self._shelved: dict[str, int] = {}  # until when, of all that are
        self._waiting: list[Crossing] = []
        self._failing = False
        self._late = LateStretches(clock)
        self._feeds = FeedList(_FEED_CAPACITY)
        self._told: deque[tuple[int, str]] = deque(maxlen=_TOLD_MAX)  # what was annunciated of late, and of which point
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
            await self._record(ended(held, rules, self._clock.now_ns()), self._points(held))
            active = {name for name, one in held.items() if one.active}
            suppressed = {name for name, one in held.items() if one.suppressed_ns is not None}
            changed = self._engine.configure(rules, handles, active, suppressed)
            self._rules, self._handles = dict(rules), dict(handles)
            await self._look_back()
            if self._live is not None and changed:
                await self._cross(self._engine.take(newest(self._live, self._watched(changed))))

    async def _look_back(self) -> None:
        expressed = self._engine.expressed
        if self._past is None or not expressed.calculator.fresh:
            return
        try:
            await warm(self._past, expressed.calculator, expressed.calculations, expressed.handles)
        except Unavailable as error:
            log.warning("conditions of alarms begin without their past: %s", error)

    async def take(self, batches: Sequence[Batch]) -> None:
        """Never raises for a journal that fails: that is logged once, and tried again."""
        async with self._one:
            crossings = self._engine.take(batches)
            self._late.note(self._engine.late())
            await self._cross(crossings)

    async def tick(self, now_ns: int) -> None:
        """Once a second or so, `now_ns` by our clock: delays run out, and so do shelves."""
        async with self._one:
            await self._cross(self._engine.tick(now_ns))
            made = await self._unshelve_over(now_ns)
        if made:
            try:
                await self._tell("alarm.unshelve", "", made)
            except Unavailable as error:
                log.error("%d shelves ran out, and the audit trail could not be told: %s", len(made), error)

    def late(self, quiet_s: float, longest_s: float) -> dict[str, tuple[int, int]]:
        """Stretches of the past, by rule, of which samples came late: each is told once, when none has come for
        `quiet_s`, or after `longest_s`."""
        return {name: one for name, one in self._late.due(quiet_s, longest_s).items() if name in self._rules}

    async def found(self, episodes: Sequence[Episode]) -> None:
        """What late samples show to have been, for the history. Nobody is told anew. Raises: Unavailable."""
        async with self._one:
            made = [step for one in episodes if one.rule in self._rules for step in steps_of(one)]
            if made:
                await self._journal.write(made, self._points(step.rule for step in made), {})
                self._feeds.put(made)

    def current(self) -> Sequence[AlarmRecord]:
        held = self._held or {}
        records = [record_of(self._rules[name], one) for name, one in held.items() if name in self._rules]
        return sorted(records, key=urgency)

    def needs_proof(self, rules: Sequence[str]) -> bool:
        """Whether one of them is acknowledged only by who proves anew who they are."""
        return any(name in self._rules and self._rules[name].handling.proof for name in rules)

    async def acknowledge(
        self, rules: Sequence[str], principal: Principal, comment: str, *, proven: bool = False
    ) -> Sequence[AlarmTransition]:
        """Raises: NotFound, AccessError, Unavailable; DataError for a comment that is too long or has to be given; all
        or none. `proven`: the person has just proved who they are."""

        def demand(rule: AlarmRule, text: str) -> None:
            if rule.handling.comment and not text:
                raise DataError(
                    f"to acknowledge '{rule.name}' takes a comment: class '{rule.handling.name}' asks for one"
                )
            if rule.handling.proof and not proven:
                raise AccessError(f"to acknowledge '{rule.name}' takes a fresh proof of who you are, by a person")

        return await self._act(AlarmAction.ACKNOWLEDGED, rules, principal, comment, demand)

    async def reset(self, rules: Sequence[str], principal: Principal, comment: str) -> Sequence[AlarmTransition]:
        return await self._act(AlarmAction.RESET, rules, principal, comment)

    async def shelve(
        self, rules: Sequence[str], principal: Principal, reason: str, *, duration_ns: int | None = None,
        once: bool = False,
    ) -> Sequence[AlarmTransition]:  # fmt: skip
        """Raises also: DataError without a reason, and for longer than a class allows."""

        def demand(rule: AlarmRule, text: str) -> None:
            longest_ns = rule.handling.shelve_longest_ns
            if not longest_ns:
                raise DataError(f"'{rule.name}' may not be shelved: class '{rule.handling.name}' says so")
            if not 0 < (longest_ns if duration_ns is None else duration_ns) <= longest_ns:
                raise DataError(f"'{rule.name}' may be shelved for at most {format_duration(longest_ns)}")
            _need_reason(rule, text)

        def shelf(rule: AlarmRule, now_ns: int, text: str) -> Shelf:
            until_ns = now_ns + (rule.handling.shelve_longest_ns if duration_ns is None else duration_ns)
            return Shelf(now_ns, until_ns, principal.name, text, once)

        return await self._act(AlarmAction.SHELVED, rules, principal, reason, demand, shelf)

    async def unshelve(self, rules: Sequence[str], principal: Principal, comment: str) -> Sequence[AlarmTransition]:
        return await self._act(AlarmAction.UNSHELVED, rules, principal, comment)

    async def remove_from_service(
        self, rules: Sequence[str], principal: Principal, reason: str
    ) -> Sequence[AlarmTransition]:
        """Raises also: DataError without a reason."""
        return await self._act(AlarmAction.REMOVED, rules, principal, reason, _need_reason)

    async def return_to_service(
        self, rules: Sequence[str], principal: Principal, comment: str
    ) -> Sequence[AlarmTransition]:
        return await self._act(AlarmAction.RETURNED, rules, principal, comment)

    async def history(
        self,
        start_ns: int | None = None,
        end_ns: int | None = None,
        *,
        point: str | None = None,
        limit: int = 500,
        cursor: str | None = None,
        within: Area | None = None,
    ) -> TransitionPage:
        return await self._journal.page(start_ns, end_ns, point, limit, cursor, within)

    async def kpis(
        self, start_ns: int, end_ns: int, *, operators: float = 1.0, within: Area | None = None
    ) -> AlarmKpis:
        """Raises: Unavailable, LimitReached."""
        steps = await self._journal.steps(start_ns - EARLIER_NS, end_ns, within)
        held = {
            name: one
            for name, one in (self._held or {}).items()
            if name in self._rules and (within is None or within.covers(self._rules[name].point))
        }
        return await asyncio.to_thread(measure, steps, dict(self._rules), held, start_ns, end_ns, operators)

    def flood(self, within: Area | None = None) -> Flood | None:
        """Raises nothing: it is what has been recorded since the start, and an hour before that."""
        now_ns = self._clock.now_ns()
        told = sorted(time_ns for time_ns, point in self._told if within is None or within.covers(point))
        floods = floods_of(np.array(told, np.int64), now_ns)
        return floods[-1] if floods and floods[-1].end_ns is None else None

    def transitions(self) -> TransitionFeed:
        return self._feeds.open()

    async def _load(self) -> dict[str, Held]:
        if self._held is None:
            now_ns = self._clock.now_ns()
            held, told = await self._journal.load(), await self._journal.told(now_ns - _TOLD_NS, now_ns)
            self._held = held
            self._told.extend(told)
            self._shelved = {name: one.shelf.until_ns for name, one in self._held.items() if one.shelf is not None}
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
            held = await self._load()
            moved = crossed(self._waiting, held, self._rules)
            await self._record(moved, {one.rule: self._rules[one.rule].point for one in moved.made})
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

    async def _act(
        self,
        action: AlarmAction,
        rules: Sequence[str],
        principal: Principal,
        comment: str,
        demand: Callable[[AlarmRule, str], None] = lambda *_: None,
        shelf: Callable[[AlarmRule, int, str], Shelf] | None = None,
    ) -> Sequence[AlarmTransition]:
        """What a person does to some alarms: all that it changes, or none. `demand` raises where one asks for more."""
        if len(comment) > COMMENT_LENGTH_MAX:
            raise DataError(f"the comment has {len(comment)} characters; at most {COMMENT_LENGTH_MAX} are kept")
        text, (audited, right) = comment.replace("\0", "").strip(), _ACTS[action]
        async with self._one:
            held = await self._load()
            names = list(dict.fromkeys(rules))
            for name in names:
                if name not in self._rules:
                    raise NotFound(f"there is no alarm rule '{name[:200]}'")
                self._authorizer.check(principal, right, self._rules[name].point)
            now_ns, moved = self._clock.now_ns(), Moved(held)
            for name in names:
                rule = self._rules[name]
                on = None if shelf is None else shelf(rule, now_ns, text)
                if moved.take(name, Step(action, now_ns, None, principal.name, text, on), traits_of(rule)):
                    demand(rule, text)
            await self._record(moved, {name: self._rules[name].point for name in names})
        await self._tell(audited, principal.name, moved.made)
        return moved.made

    async def _unshelve_over(self, now_ns: int) -> Sequence[AlarmTransition]:
        """Shelves whose time is over; where the journal fails they stand a tick longer."""
        moved = Moved(self._held or {})
        for name, until_ns in list(self._shelved.items()):
            if until_ns <= now_ns and name in self._rules:
                step = Step(AlarmAction.UNSHELVED, until_ns, comment=SHELF_OVER)
                moved.take(name, step, traits_of(self._rules[name]))
        try:
            await self._record(moved, {one.rule: self._rules[one.rule].point for one in moved.made})
        except Unavailable as error:
            log.warning("%d shelves that ran out are still to be recorded: %s", len(moved.made), error.message)
            return []
        return moved.made

    async def _record(self, moved: Moved, points: Mapping[str, str]) -> None:
        if not moved.made:
            return
        held = await self._load()
        await self._journal.write(moved.made, points, moved.become)
        for rule, one in moved.become.items():
            if one is None:
                held.pop(rule, None)
            else:
                held[rule] = one
            if one is None or one.shelf is None:
                self._shelved.pop(rule, None)
            else:
                self._shelved[rule] = one.shelf.until_ns
        self._told.extend((one.time_ns, points[one.rule]) for one in moved.made if one.annunciates)
        while self._told and self._told[0][0] < moved.made[-1].time_ns - _TOLD_NS:
            self._told.popleft()
        self._feeds.put(moved.made)

    async def _tell(self, action: str, actor: str, made: Sequence[AlarmTransition]) -> None:
        """The audit trail of whose the alarms are."""
        entries = (
            self._audit.record(
                actor, action, one.rule, one.state.value, {"comment": one.comment}, tenant=self._tenant_of(one.rule)
            )
            for one in made
        )
        await asyncio.gather(*entries)

    def _points(self, names: Iterable[str]) -> dict[str, str]:
        return {name: self._rules[name].point if name in self._rules else _point_of(name) for name in names}

    def _watched(self, names: Iterable[str]) -> list[int]:
        """Handles of the points of these rules."""
        rules = [self._rules[name] for name in names]
        points = {path for rule in rules for path in (*rule.watches, rule.suppressed_by)}
        return sorted(self._handles[point] for point in points if point is not None and point in self._handles)


def _need_reason(rule: AlarmRule, text: str) -> None:
    if not text:
        raise DataError(f"say why '{rule.name}' is to be quiet; the next shift has to know")


def _point_of(rule: str) -> str:
    """Of a rule that was removed while we were down: names begin with the point's path."""
    return rule.rpartition(":")[0][:512]
