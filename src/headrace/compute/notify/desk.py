"""Who is to be told of alarms, told and written down: never in the way of an alarm, never lost, never told for fun.

the desk of alarms ─transitions─► its journal ─► follow ─► cases ─┐          one transaction each, before anything
      └─feed: only wakes us up          (from where we were)      │          is sent; then memory becomes it
                                                                  ▼
            clock ─► decide: fold, hush, gather ─► tellings ─► notices ─► by channel, one at a time ─► messenger
                                                                  ▲                                       │
            sent · again later · by the next alternative · failed: next step at once ◄────────────────────┘

Transitions are read from the journal of alarms by their number, so a restart goes on where it was and a slow reader
loses nothing. A notice that was sent and not yet written down is sent again under the same key: at least once, and
twice at most where the process dies between the two.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Final, cast

from sqlalchemy import Engine

from headrace.compute.alarms.grouping import Sign, group
from headrace.compute.notify.cases import Case, Followed
from headrace.compute.notify.courier import Courier
from headrace.compute.notify.deciding import Kind, World, decide
from headrace.compute.notify.journal import READ_MAX, Change, NotifyJournal
from headrace.compute.notify.ledger import Ledger
from headrace.compute.notify.making import Maker
from headrace.compute.notify.notices import Notice, State
from headrace.compute.notify.rosters import on_call
from headrace.compute.notify.sending import Channels
from headrace.model.areas import Area
from headrace.model.errors import (
    DataError,
    HeadraceError,
    LimitReached,
    NotFound,
    Unavailable,
)
from headrace.model.notifications import Notification
from headrace.model.plant import PlantModel
from headrace.sdk.access import DEFAULT_TENANT, AuditLog, Tenants
from headrace.sdk.clock import Clock
from headrace.sdk.messenger import MessengerContext, MessengerType
from headrace.sdk.notify import NoticePage, NoticeRecord, NotifyCounters, OnCallShift
from headrace.sdk.services import AlarmDesk
from headrace.sdk.tenancy import ONE_TENANT, tenant_of_name

log = logging.getLogger(__name__)

TICK_S: Final = 1.0
STOP_S: Final = 15.0
_PAGE_MAX: Final = 1_000


class NotifyDesk:
    """Implements `sdk.notify.NotificationDesk`. `start`, then `configure`, then `run` until `stop`; then `close`."""

    def __init__(
        self,
        engine: Engine,
        clock: Clock,
        alarms: AlarmDesk,
        types: Mapping[str, MessengerType],
        context_of: Callable[[str], MessengerContext],
        audit: AuditLog,
        *,
        tenants: Tenants = ONE_TENANT,
        link: str = "",
    ) -> None:
        self._clock, self._alarms, self._types, self._audit = clock, alarms, types, audit
        self._tenants, self._link = tenants, link
        self._journal = NotifyJournal(engine, self._owner)
        self._ledger = Ledger(self._journal)
        self._channels = Channels(types, context_of, clock)
        self._maker = Maker(PlantModel(), types, link)
        self._wake, self._stopping = asyncio.Event(), asyncio.Event()
        self._ready = False  # before the plant is known nothing of it may be followed, or it would be missed
        self._courier = Courier(self._ledger, self._channels, types, lambda: self._maker, clock, self._wake.set)
        self._by_owner: dict[str, list[Notification]] = {}

    @property
    def counters(self) -> NotifyCounters:
        return self._ledger.counters

    # --- life -------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up what was owed before the restart. Raises: Unavailable."""
        await self._ledger.load()

    async def configure(self, plant: PlantModel) -> None:
        """The plant as it is now. A notification that is gone tells nothing more; one that is new tells of what is
        annunciated from now on."""
        async with self._ledger.lock:
            named = {name: one for name, one in plant.notifications.items() if one.enabled}
            self._maker = Maker(plant, self._types, self._link)
            self._by_owner = {}
            for one in named.values():
                self._by_owner.setdefault(self._owner(one.name), []).append(one)
            self._channels.become(plant.channels)
            moved: dict[str, Case | None] = {}
            for key, case in self._ledger.cases.items():
                declared = named.get(case.notification)
                if declared is None:
                    moved[key] = None
                elif case.step >= len(declared.steps):
                    moved[key] = replace(case, step=len(declared.steps) - 1)
            try:
                await self._ledger.commit(Change(cases=moved))
            except Unavailable as error:
                self._ledger.note(error)  # rounds leave them out all the same
            self._ready = True
        self._wake.set()

    async def run(self) -> None:
        """Until `stop`: what is being sent then is finished."""
        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(self._watch(), name="notify-watch")
            sending: set[asyncio.Task[None]] = set()
            while not self._stopping.is_set():
                self._wake.clear()
                await self._round_whatever_comes()
                sending = {task for task in sending if not task.done()}
                due = self._courier.due() if self._ready else {}
                sending |= {tasks.create_task(self._courier.send_all(name, some)) for name, some in due.items()}
                await self._doze()
            watching.cancel()
            if sending:
                _, slow = await asyncio.wait(sending, timeout=STOP_S)
                for task in slow:  # sent again after the start, under the same key
                    task.cancel()

    def stop(self) -> None:
        self._stopping.set()
        self._wake.set()

    async def close(self) -> None:
        await self._channels.close()

    async def round(self) -> None:
        """Follow alarms, and decide what is to be told. What cannot be written down is tried again with the next."""
        async with self._ledger.lock:
            if not self._ready:
                return
            try:
                await self._ledger.flush()
                await self._follow()
                await self._decide()
            except Unavailable as error:
                self._ledger.note(error)
                return
            self._ledger.recovered()

    async def deliver(self) -> None:
        """One try of all that is due; returns when each channel is done."""
        await self._courier.deliver()

    async def _round_whatever_comes(self) -> None:
        """A fault of ours in here must not stop the alarms that this is about."""
        try:
            await self.round()
        except Exception:
            log.exception("notifications could not be decided; tried again with the next second")

    async def _watch(self) -> None:
        async with aclosing(cast(Any, self._alarms.transitions())) as feed:
            async for _ in feed:
                self._wake.set()

    async def _doze(self) -> None:
        waking, ticking = asyncio.ensure_future(self._wake.wait()), asyncio.ensure_future(self._clock.sleep(TICK_S))
        try:
            await asyncio.wait({waking, ticking}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()
            ticking.cancel()

    # --- following and deciding -------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            found = await self._journal.after(self._ledger.position)
            if not found:
                return
            plant, now_ns, followed = self._maker.plant, self._clock.now_ns(), Followed(self._ledger.cases)
            for one in found:
                rule = plant.alarms.get(one.step.rule)
                owner = self._tenants.tenant_of(one.step.rule if rule is None else rule.point)
                followed.take(one, plant.alarms, self._by_owner.get(owner, ()), now_ns)
            made = [
                notice
                for ending in followed.endings
                if (declared := plant.notifications.get(ending.case.notification)) is not None
                for notice in self._maker.ending(declared, ending, now_ns)
            ]
            await self._ledger.commit(Change(cases=followed.changed, added=made, position=found[-1].sequence))
            self.counters.lost += followed.lost
            if followed.lost:
                log.error(
                    "%d alarms are not told: more than %d wait for people", followed.lost, len(self._ledger.cases)
                )
            if len(found) < READ_MAX:
                return

    async def _decide(self) -> None:
        now_ns, plant = self._clock.now_ns(), self._maker.plant
        named = {one.name: one for some in self._by_owner.values() for one in some}
        cases = self._ledger.cases
        due = [one for one in cases.values() if one.due_ns is not None and one.due_ns <= now_ns and one.waits]
        if not due and not any(one.under for one in cases.values()):
            return
        first = {one.notification for one in due if one.first_told_ns is None}
        roots = await self._roots() if first else {}
        floods = frozenset(self._flooding(named, first))
        decided = decide(cases, named, World(now_ns, plant.alarms, roots, floods, self._ledger.floods))
        change = Change(cases={**decided.changed})
        for telling in decided.tellings:
            made = self._maker.telling(telling, now_ns)
            change.added += made
            if telling.kind is Kind.FLOOD:
                change.floods[telling.notification.name] = now_ns
            if not any(one.state is State.PENDING for one in made):
                self._ledger.forward(tuple(case.key for case in telling.cases), change, now_ns)
        await self._ledger.commit(change)

    async def _roots(self) -> Mapping[str, str]:
        """By alarm, the root of the group in which it is."""
        signs = [
            Sign(one.rule.name, one.rule.asset, None if one.state.quiet else one.raised_ns)
            for one in self._alarms.current()
        ]
        feeds = {path: asset.feeds for path, asset in self._maker.plant.assets.items() if asset.feeds}
        places = await asyncio.to_thread(group, signs, feeds)
        return {name: place.root for name, place in places.items()}

    def _flooding(self, named: Mapping[str, Notification], first: set[str]) -> list[str]:
        """Notifications whose owner has a flood of alarms."""
        owners = {self._owner(name) for name in first if name in named}
        flooded = {owner for owner in owners if self._alarms.flood(self._land(owner)) is not None}
        return [name for name in first if self._owner(name) in flooded]

    def _land(self, owner: str) -> Area | None:
        if owner != DEFAULT_TENANT:
            return Area(tuple(self._tenants.roots(owner)))
        others = [name for name in self._tenants.names() if name != DEFAULT_TENANT]
        return Area(("",), tuple(root for name in others for root in self._tenants.roots(name))) if others else None

    def _owner(self, name: str) -> str:
        return tenant_of_name(self._tenants, name)

    # --- for people -------------------------------------------------------------------------------------------------

    async def log(
        self, *, tenant: str = DEFAULT_TENANT, rule: str | None = None, within: Area | None = None, limit: int = 100,
        cursor: str | None = None,
    ) -> NoticePage:  # fmt: skip
        found, following = await self._journal.page(tenant, rule, within, min(max(limit, 1), _PAGE_MAX), cursor)
        return NoticePage([self._record(one) for one in found], following)

    def on_call(self, at_ns: int, *, tenant: str = DEFAULT_TENANT) -> Sequence[OnCallShift]:
        plant, found = self._maker.plant, list[OnCallShift]()
        for name, roster in sorted(plant.rosters.items()):
            if self._owner(name) != tenant:
                continue
            found += [
                OnCallShift(name, roster.title, roster.time_zone, one.shift, one.began, one.people)
                for one in on_call(roster, at_ns)
            ]
        return found

    async def test(self, channel: str, contact: str, actor: str, *, tenant: str = DEFAULT_TENANT) -> NoticeRecord:
        plant, now_ns = self._maker.plant, self._clock.now_ns()
        for noun, name, names in (("channel", channel, plant.channels), ("contact", contact, plant.contacts)):
            if name not in names or self._owner(name) != tenant:
                raise NotFound(f"there is no {noun} '{name[:200]}'")
        kind = self._types[plant.channels[channel].kind]
        if kind.address and not kind.group and kind.address not in plant.contacts[contact].addresses:
            raise DataError(f"'{contact}' has no address of kind '{kind.address}', which channel '{channel}' asks for")
        if not self._channels.has_pace(channel):
            raise LimitReached(f"channel '{channel}' has had its messages of this minute; try again in one")
        notice = self._maker.test(secrets.token_hex(16), channel, contact, actor, now_ns)
        try:
            unreached = await self._courier.send(notice)
            error = f"the channel says that it will never reach '{contact}' there" if unreached else ""
        except HeadraceError as failure:
            error = failure.message
        state = State.FAILED if error else State.SENT
        done = replace(notice, state=state, attempts=1, done_ns=self._clock.now_ns(), error=error)
        await self._journal.write(Change(added=[done]))
        data = {"contact": contact, "error": error}
        await self._audit.record(actor, "notification.test", channel, state.value, data, tenant=tenant)
        return self._record(done)

    def _record(self, one: Notice) -> NoticeRecord:
        return NoticeRecord(
            one.key, one.notification, one.kind, one.step, one.state.value, one.channel, one.contacts, one.told,
            one.message["title"], one.made_ns, one.done_ns, one.attempts,
            one.due_ns if one.state is State.PENDING else None, self._ledger.next_step_ns(one.cases), one.error,
            one.actor, one.message,
        )  # fmt: skip
