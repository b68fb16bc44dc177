"""One outlet kept alive: gather what it publishes, open, send, pause, again.

    bus ──samples, events──► gather: its own points ──► Line (what waits) ──► send ──► taken: forgotten
                                                                               └──lost──► WAITING ──pause──► open …

Gathering never waits for sending: the bus is emptied whatever the other side does, so no outlet slows the field. What
does not fit into the line is dropped as declared, oldest first, and counted. An outlet that publishes only what is
(`newest_only`) begins each session with the newest sample of every point, and does so again after a drop.

An outage is two log lines and two events, however often the other side is tried in between.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from pydantic import BaseModel

from headrace.connect.outage import Outage
from headrace.connect.outbox import PublishEvents
from headrace.connect.outlets.waiting import Line, Portion
from headrace.connect.surroundings import SessionPolicy, pause_s
from headrace.model.batch import Batch
from headrace.model.errors import Garbled, HeadraceError, Unreachable
from headrace.model.events import Event
from headrace.model.outlets import Outlet as Declaration
from headrace.model.time import SECOND_NS, format_duration
from headrace.sdk.bus import Bus, Overflow
from headrace.sdk.field import LinkState
from headrace.sdk.outlet import (
    Ends,
    Mirrors,
    Outlet,
    OutletContext,
    OutletCounters,
    OutletStatus,
    OutletType,
    TakesEvents,
    View,
)

logger = logging.getLogger(__name__)

BUS_SAMPLES: Final = 200_000
BUS_EVENTS: Final = 10_000
FAREWELL_S: Final = 3.0
_ROUND_TRIP_WEIGHT: Final = 0.1


class OutletRunner:
    """`run` lives until `stop`. `counters` outlive the runner: the supervisor hands them to its successor."""

    def __init__(
        self,
        declared: Declaration,
        kind: OutletType,
        settings: BaseModel,
        view: View,
        line: Line,
        bus: Bus,
        context: OutletContext,
        counters: OutletCounters,
        publish_events: PublishEvents,
        policy: SessionPolicy,
        random: Any,
        owns: Callable[[Event], bool] = lambda _: True,
    ) -> None:
        """`owns` says of an event whether it is its tenant's; of samples `view` does."""
        self._owns = owns
        self.declared, self.kind, self.settings, self.view = declared, kind, settings, view
        self._line, self._bus, self._context, self._counters = line, bus, context, counters
        self._publish_events, self._policy, self._random = publish_events, policy, random
        self._clock = context.clock
        self._wanted = _mask(view)
        self._wake = asyncio.Event()
        self._stopping = self._view_changed = self._reopen = False
        self._state, self._since_ns = LinkState.CONNECTING, self._clock.now_ns()
        self._error = ""
        self._next_try_at_s: float | None = None
        self._attempt = 0
        self._up_at_s: float | None = None
        self._dropped_seen = counters.dropped
        self._outage = Outage(policy.stable_s)
        self._samples_queue: Any = None
        self._events_queue: Any = None
        name = f"outlet {declared.name}"
        if kind.samples(settings):
            self._samples_queue = bus.subscribe(name, capacity=BUS_SAMPLES, overflow=Overflow.DROP_OLDEST)
        if kind.events:
            self._events_queue = bus.subscribe_events(
                f"{name} events", capacity=BUS_EVENTS, overflow=Overflow.DROP_OLDEST
            )

    # --- what the supervisor does ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Never raises what the other side or the outlet did."""
        try:
            async with asyncio.TaskGroup() as group:
                gathering = [
                    group.create_task(work)
                    for queue, work in (
                        (self._samples_queue, self._gather()),
                        (self._events_queue, self._gather_events()),
                    )
                    if queue is not None or work.close()
                ]
                while not self._stopping:
                    await self._live_once()
                for queue in (self._samples_queue, self._events_queue):
                    if queue is not None:
                        await queue.close()
                await asyncio.gather(*gathering)
        finally:
            await self._line.close()

    def stop(self) -> None:
        """End after what is being sent now; a line on disk keeps what waits."""
        self._stopping = True
        self._wake.set()

    def set_view(self, view: View) -> None:
        self.view, self._wanted = view, _mask(view)
        self._view_changed = True
        self._wake.set()

    def status(self) -> OutletStatus:
        next_try_s = None
        if self._next_try_at_s is not None:
            next_try_s = max(self._next_try_at_s - self._clock.monotonic_s(), 0.0)
        return OutletStatus(
            self.declared.name,
            self.kind.name,
            self._state,
            self._since_ns,
            len(self.view.points),
            self._error,
            next_try_s,
            self._counters,
        )

    # --- gathering ------------------------------------------------------------------------------------------------

    async def _gather(self) -> None:
        missed = 0
        async for batches in self._samples_queue:
            self._line.put([own for batch in batches if len(own := self._own(batch))])
            dropped = self._samples_queue.counters.dropped
            self._counters.dropped += dropped - missed
            missed = dropped

    async def _gather_events(self) -> None:
        missed = 0
        async for events in self._events_queue:
            self._line.put_events([one for one in events if self._owns(one) and self.kind.wants(self.settings, one)])
            dropped = self._events_queue.counters.dropped
            self._counters.dropped_events += dropped - missed
            missed = dropped

    def _own(self, batch: Batch) -> Batch:
        wanted = self._wanted
        known = batch.handles < len(wanted)
        chosen = known if not len(wanted) else known & wanted[np.minimum(batch.handles, len(wanted) - 1)]
        return batch if chosen.all() else batch.take(chosen)

    # --- one life of the session ----------------------------------------------------------------------------------

    async def _live_once(self) -> None:
        self._set_state(LinkState.CONNECTING)
        self._up_at_s, self._view_changed = None, False
        outlet: Outlet | None = None
        error: Exception | None = None
        try:
            outlet = self.kind.open(self.settings, self._context)
            await self._bounded(outlet.open(self.view), self._policy.connect_timeout_s, "opening")
            await self._serve(outlet)
        except HeadraceError as known:
            error = known
        except Exception as fault:  # a bug in this outlet must not stop the others
            error = fault
        finally:
            if outlet is not None:
                await self._close(outlet)
        if error is not None and not self._stopping:
            await self._recover(error)

    async def _serve(self, outlet: Outlet) -> None:
        """Returns when stopped or when it must be opened anew; raises what ended the session."""
        self._counters.connects += 1
        if not self.kind.quiet_open:
            self._is_up()
        elif not self._error:
            self._set_state(LinkState.CONNECTED)
        watching = asyncio.ensure_future(outlet.ended()) if isinstance(outlet, Ends) else None
        try:
            if self.kind.newest_only:
                await self._send_newest(outlet)
            while not self._stopping:
                if self._view_changed:
                    self._view_changed = False
                    if not isinstance(outlet, Mirrors):
                        return
                    await self._bounded(outlet.change(self.view), self._policy.request_timeout_s, "changing")
                if watching is not None and watching.done():
                    watching.result()
                    raise Unreachable("the other side ended the session")
                portion = self._line.take()
                if portion is not None:
                    await self._send(outlet, portion)
                    continue
                await self._rest(watching)
            await self._say_goodbye(outlet)
        finally:
            if watching is not None:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)

    async def _send(self, outlet: Outlet, portion: Portion) -> None:
        """Forget it once it was taken. Raises: DeviceError, with the portion back in line."""
        counters = self._counters
        if self.kind.newest_only and counters.dropped > self._dropped_seen:
            self._dropped_seen = counters.dropped
            self._line.undo()
            await self._send_newest(outlet)
            return
        counters.sends += 1
        began_s = self._clock.monotonic_s()
        try:
            given_up = await self._hand_over(outlet, portion)
        except BaseException:
            counters.failures += 1
            self._line.undo()
            raise
        self._line.done()
        self._is_up()
        self._note_given_up(given_up)
        if portion.events:
            counters.events += len(portion.events) - given_up
        else:
            counters.samples += portion.samples - given_up
        counters.last_sent_ns = self._clock.now_ns()
        took_ms = (self._clock.monotonic_s() - began_s) * 1e3
        weight = _ROUND_TRIP_WEIGHT if counters.round_trip_ms else 1.0
        counters.round_trip_ms += (took_ms - counters.round_trip_ms) * weight

    async def _hand_over(self, outlet: Outlet, portion: Portion) -> int:
        timeout_s = self._policy.request_timeout_s
        if portion.batches:
            return int(await self._bounded(outlet.send(portion.batches), timeout_s, "sending"))
        if portion.events and isinstance(outlet, TakesEvents):
            return int(await self._bounded(outlet.send_events(portion.events), timeout_s, "sending"))
        return 0

    def _note_given_up(self, count: int) -> None:
        if count and not self._counters.given_up:
            logger.error("outlet %s: the other side refuses some for good; they are counted", self.declared.name)
        self._counters.given_up += count

    async def _send_newest(self, outlet: Outlet) -> None:
        """What is, in place of what waited."""
        self._line.clear()
        batches = self._context.newest(list(self.view.points))
        if batches:
            given_up = int(await self._bounded(outlet.send(batches), self._policy.request_timeout_s, "sending"))
            self._note_given_up(given_up)
            self._counters.sends += 1
            self._counters.samples += sum(map(len, batches)) - given_up
            self._counters.last_sent_ns = self._clock.now_ns()

    async def _say_goodbye(self, outlet: Outlet) -> None:
        """Send what still waits, for a little while."""
        try:
            async with asyncio.timeout(FAREWELL_S):
                while (portion := self._line.take()) is not None:
                    await self._send(outlet, portion)
        except (TimeoutError, HeadraceError):
            return

    async def _rest(self, watching: asyncio.Future[None] | None) -> None:
        """Until there is something to send, the session ends, or somebody wakes this runner."""
        self._wake.clear()
        waits: set[asyncio.Future[Any]] = {
            asyncio.ensure_future(self._line.something.wait()),
            asyncio.ensure_future(self._wake.wait()),
        }
        due_s = self._outage.back_due_s
        if due_s is not None:
            waits.add(asyncio.ensure_future(self._clock.sleep(max(due_s - self._clock.monotonic_s(), 0.0))))
        try:
            await asyncio.wait(waits | ({watching} if watching is not None else set()), return_when="FIRST_COMPLETED")
        finally:
            for one in waits:
                one.cancel()
        self._report_back()

    async def _bounded(self, work: Any, timeout_s: float, doing: str) -> Any:
        try:
            async with asyncio.timeout(timeout_s):
                return await work
        except TimeoutError:
            raise Unreachable(f"{self.declared.name}: {doing} took longer than {timeout_s:g} s") from None

    async def _close(self, outlet: Outlet) -> None:
        try:
            async with asyncio.timeout(self._policy.close_timeout_s):
                await outlet.close()
        except Exception as fault:  # `close` never raises: this is a bug, and the session is over anyway
            logger.error("outlet %s did not close", self.declared.name, exc_info=fault)

    # --- between two lives ----------------------------------------------------------------------------------------

    async def _recover(self, error: Exception) -> None:
        if self._up_at_s is not None:
            self._counters.losses += 1
            if self._clock.monotonic_s() - self._up_at_s >= self._policy.stable_s:
                self._attempt = 0
        fault = not isinstance(error, HeadraceError)
        self._error = f"it has a fault: {type(error).__name__}; see the log" if fault else str(error)
        self._report_lost(error, fault)
        if isinstance(error, (Unreachable, Garbled)):
            self._set_state(LinkState.WAITING)
            delay_s = pause_s(self._policy, self._attempt, self._random)
        else:  # refused, or a wrong setting: a person has to look
            self._set_state(LinkState.REFUSED)
            delay_s = self._policy.pause_s_max * self._random.uniform(0.5, 1.0)
        self._attempt += 1
        self._next_try_at_s = self._clock.monotonic_s() + delay_s
        while not self._stopping and (left_s := self._next_try_at_s - self._clock.monotonic_s()) > 0:
            self._wake.clear()
            waits: set[asyncio.Future[Any]] = {
                asyncio.ensure_future(self._clock.sleep(left_s)),
                asyncio.ensure_future(self._wake.wait()),
            }
            await asyncio.wait(waits, return_when="FIRST_COMPLETED")
            for one in waits:
                one.cancel()
        self._next_try_at_s = None

    # --- what is reported -----------------------------------------------------------------------------------------

    def _set_state(self, state: LinkState) -> None:
        if state is not self._state:
            self._state, self._since_ns = state, self._clock.now_ns()

    def _report_lost(self, error: Exception, fault: bool) -> None:
        if not self._outage.lost(self._clock.monotonic_s(), self._up_at_s):
            return
        name = self.declared.name
        if fault:
            logger.error("outlet %s has a fault", name, exc_info=error)
        else:
            logger.warning("outlet %s: %s: %s", name, "lost" if self._counters.connects else "not reached", error)
        self._event("outlet.lost", {"error": self._error})

    def _is_up(self) -> None:
        """The other side is there."""
        if self._up_at_s is not None:
            return
        self._up_at_s = self._clock.monotonic_s()
        self._error = ""
        self._set_state(LinkState.CONNECTED)
        if self._outage.answered(self._clock.monotonic_s()):
            logger.info("outlet %s: open", self.declared.name)
            self._event("outlet.up", {})
        self._report_back()

    def _report_back(self) -> None:
        outage_s = self._outage.back(self._clock.monotonic_s())
        if outage_s is not None:
            logger.info("outlet %s: back after %s", self.declared.name, format_duration(round(outage_s) * SECOND_NS))
            self._event("outlet.up", {"outage_s": round(outage_s, 3), "tries": self._attempt})

    def _event(self, kind: str, data: Mapping[str, Any]) -> None:
        now_ns = self._clock.now_ns()
        name = self.declared.name
        event = Event(f"{name}:{kind}:{now_ns}", "outlet", kind, name, now_ns, {"protocol": self.kind.name, **data})
        task = asyncio.ensure_future(self._publish_events([event]))
        task.add_done_callback(_forget)


def _forget(task: asyncio.Future[None]) -> None:
    """An event that the bus does not take any more, on the way down, is not worth an error."""
    if not task.cancelled():
        task.exception()


def _mask(view: View) -> Any:
    """Shape: (newest handle + 1,) bool."""
    mask = np.zeros(max(view.points, default=-1) + 1, np.bool_)
    mask[list(view.points)] = True
    return mask
