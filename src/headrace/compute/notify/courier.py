"""Notices out by their channels, one at a time in each, and what becomes of them.

due ─► still wanted? ─► the channel's pace ─► send ─┬─ taken ────────────► sent; whom it cannot reach: onward
                                                    ├─ not now ──────────► again later, then onward
                                                    └─ not by this channel ► onward: the next alternative,
                                                       else failed; where nobody was reached, the next step now
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from headrace.compute.notify.cases import told_also
from headrace.compute.notify.deciding import ASKING
from headrace.compute.notify.journal import Change
from headrace.compute.notify.ledger import Ledger
from headrace.compute.notify.making import Maker
from headrace.compute.notify.notices import Notice, State, after_s, from_json
from headrace.compute.notify.sending import Channels
from headrace.model.errors import HeadraceError, LimitReached, Unreachable
from headrace.sdk.clock import Clock
from headrace.sdk.messenger import MessengerType, Recipient

log = logging.getLogger(__name__)

_REACHED_MAX: Final = 10_000
_FAULT_S: Final = 60.0
#: How soon a notice whose alarm rests is looked at again.
_REST_S: Final = 10.0


class Courier:
    """`maker` is of the plant as it is now; `done` is called whenever a channel has had its turn."""

    def __init__(
        self,
        ledger: Ledger,
        channels: Channels,
        types: Mapping[str, MessengerType],
        maker: Callable[[], Maker],
        clock: Clock,
        done: Callable[[], None],
    ) -> None:
        self._ledger, self._channels, self._types = ledger, channels, types
        self._maker, self._clock, self._done = maker, clock, done
        self._reached: dict[str, None] = {}  # tellings that somebody got
        self._busy: set[str] = set()

    def due(self) -> dict[str, list[Notice]]:
        """By channel, oldest first, of channels that may send and are not at it."""
        if self._ledger.behind:
            return {}
        now_ns, found = self._clock.now_ns(), dict[str, list[Notice]]()
        for notice in self._ledger.pending.values():
            if notice.due_ns <= now_ns and notice.channel not in self._busy:
                found.setdefault(notice.channel, []).append(notice)
        return {name: waiting for name, waiting in found.items() if self._channels.has_pace(name)}

    async def deliver(self) -> None:
        """One try of all that is due; returns when each channel is done."""
        await asyncio.gather(*(self.send_all(name, due) for name, due in self.due().items()))

    async def send_all(self, channel: str, due: Sequence[Notice]) -> None:
        if channel in self._busy:
            return
        self._busy.add(channel)
        try:
            for at, notice in enumerate(due):
                if self._ledger.behind or not self._channels.has_pace(channel):
                    return
                if notice.kind in ASKING and not self._waits(notice):
                    await self._put_off(notice)
                    continue
                try:
                    await self._taken(notice, await self.send(notice))
                except (Unreachable, LimitReached) as error:  # it is the channel: all that waits there has had its try
                    await self._again(due[at:], error)
                    return
                except HeadraceError as error:
                    await self._onward(notice, error)
        except Exception:  # a fault of ours must stop neither the other channels nor the alarms
            log.exception("notices of channel '%s' wait for a minute", channel)
            later_ns = self._clock.now_ns() + after_s(_FAULT_S)
            for notice in due:
                if notice.key in self._ledger.pending:
                    self._ledger.pending[notice.key] = replace(notice, due_ns=later_ns)
        finally:
            self._busy.discard(channel)
            self._done()

    async def send(self, notice: Notice) -> Sequence[str]:
        """The contacts whom it did not reach, and will not by this channel."""
        plant = self._maker().plant
        channel = plant.channels.get(notice.channel)
        kind = None if channel is None else self._types.get(channel.kind)
        address = "" if kind is None else kind.address
        people = [plant.contacts[name] for name in notice.contacts if name in plant.contacts]
        to = {one.name: Recipient(one.called, one.addresses.get(address, "") if address else "") for one in people}
        message = from_json(notice.key, notice.message, self._clock.now_ns())
        unreached = set(await self._channels.send(notice.channel, message, list(to.values())))
        return [name for name, recipient in to.items() if recipient in unreached]

    def _waits(self, notice: Notice) -> bool:
        cases = self._ledger.cases
        return any(key in cases and cases[key].waits for key in notice.cases)

    async def _put_off(self, notice: Notice) -> None:
        """Nobody has to act now: withdrawn, or kept while one of its alarms may come again."""
        now_ns, cases = self._clock.now_ns(), self._ledger.cases
        if any(key in cases and not cases[key].acknowledged for key in notice.cases):
            after = replace(notice, due_ns=now_ns + after_s(_REST_S))
        else:
            after = replace(notice, state=State.WITHDRAWN, done_ns=now_ns)
        await self._record(Change(done=[after]))

    async def _taken(self, notice: Notice, unreached: Sequence[str]) -> None:
        now_ns = self._clock.now_ns()
        got = [name for name in notice.contacts if name not in unreached]
        if got:
            self._reached[notice.telling] = None
            while len(self._reached) > _REACHED_MAX:
                del self._reached[next(iter(self._reached))]
        sent = replace(notice, state=State.SENT, attempts=notice.attempts + 1, done_ns=now_ns, error="")
        async with self._ledger.lock:
            onward = self._maker().onward(notice, unreached, now_ns) if unreached else []
            change = Change(done=[sent], added=onward)
            for key in notice.cases if notice.kind in ASKING else ():
                case = self._ledger.cases.get(key)
                if case is not None:
                    change.cases[key] = replace(case, told=told_also(case, got, notice.channel))
            if not got and not onward:
                change.done = [
                    replace(sent, state=State.FAILED, error="the channel reaches none of them, and never will")
                ]
                self._forward_alone(notice, change, now_ns)
            await self._ledger.record(change)
        self._ledger.counters.sent += 1

    async def _again(self, tried: Sequence[Notice], error: HeadraceError) -> None:
        now_ns, later = self._clock.now_ns(), []
        for notice in tried:
            once_more = replace(notice, attempts=notice.attempts + 1, error=error.message)
            wait_s = once_more.backoff_s
            if wait_s is None:
                await self._onward(notice, error)
            else:
                later.append(replace(once_more, due_ns=now_ns + after_s(wait_s)))
        self._ledger.counters.retried += len(later)
        await self._record(Change(done=later))

    async def _onward(self, notice: Notice, error: HeadraceError) -> None:
        now_ns = self._clock.now_ns()
        async with self._ledger.lock:
            made = self._maker().onward(notice, notice.contacts, now_ns)
            state, tries = State.PASSED_ON if made else State.FAILED, notice.attempts + 1
            done = replace(notice, state=state, attempts=tries, done_ns=now_ns, error=error.message)
            change = Change(added=made, done=[done])
            if not made:
                self._forward_alone(notice, change, now_ns)
            await self._ledger.record(change)
        if not made:
            self._ledger.counters.failed += 1
            log.error("%s could not be told by '%s': %s", ", ".join(notice.contacts), notice.channel, error)

    def _forward_alone(self, notice: Notice, change: Change, now_ns: int) -> None:
        """Where this was the last hope that anybody hears of it."""
        others = any(
            one.telling == notice.telling and one.key != notice.key for one in self._ledger.pending.values()
        )  # fmt: skip
        if not others and notice.telling not in self._reached and notice.kind in ASKING:
            self._ledger.forward(notice.cases, change, now_ns)

    async def _record(self, change: Change) -> None:
        async with self._ledger.lock:
            await self._ledger.record(change)
