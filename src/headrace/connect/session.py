"""One session with one device, kept alive: connect, serve, mark bad, pause, again.

    CONNECTING ──ok──► CONNECTED ──lost──► WAITING ──pause──► CONNECTING
        └──refused, or the driver has a fault──► REFUSED ──long pause──┘

While connected one task owns the driver and does one thing at a time, in this order: a write that somebody asked for;
a browse step, at most one between two reads; the read that is most due; nothing, until one of these comes up.
Subscribed and acknowledging drivers take samples by themselves and leave that task to writes and browsing; writes to
an acknowledging driver, which stands for many devices, run beside each other.

An outage is two log lines and two events (lost, back), however often the device is tried in between. A device that
comes and goes within `stable_s` is said to be back only when it has stayed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from headrace.connect.errands import Errands, bounded
from headrace.connect.outage import Outage
from headrace.connect.outbox import Outbox
from headrace.connect.planner import Schedule, plan_reads
from headrace.connect.surroundings import Surroundings, pause_s
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import Garbled, HeadraceError, Unreachable
from headrace.model.events import Event
from headrace.model.time import SECOND_NS, SOURCE_AHEAD_MAX_NS, format_duration
from headrace.sdk.driver import (
    Acknowledging,
    Counting,
    Driver,
    DriverContext,
    DriverType,
    Lost,
    PointBinding,
    Polled,
    ReadRequest,
    Rebindable,
    Subscribed,
)
from headrace.sdk.field import LinkCounters, LinkState, LinkStatus

logger = logging.getLogger(__name__)

_ROUND_TRIP_WEIGHT: Final = 0.1


class Session:
    """`run` lives until `stop`. `counters` outlive the session: the supervisor hands them to its successor."""

    def __init__(
        self,
        name: str,
        driver_type: DriverType,
        settings: BaseModel,
        points: Sequence[PointBinding],
        around: Surroundings,
        counters: LinkCounters,
        trusted: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.name, self.driver_type, self.settings, self.points = name, driver_type, settings, tuple(points)
        self._around, self._counters, self._trusted = around, counters, trusted
        self._clock, self._policy = around.clock, around.policy
        self._wake = asyncio.Event()
        self._outbox = Outbox(
            self._clock,
            counters,
            around.publish,
            around.publish_events,
            self._wake.set,
            around.policy.outbox_samples,
            around.intake,
        )
        self.errands = Errands(name, driver_type.title, counters, self._wake.set, around.policy.request_timeout_s)
        self._group: asyncio.TaskGroup | None = None
        self._state, self._since_ns = LinkState.CONNECTING, self._clock.now_ns()
        self._error = ""
        self._next_try_at_s: float | None = None
        self._stopping = self._retry_now = self._points_changed = False
        self._ended: Exception | None = None
        self._life: object | None = None
        self._driver: Driver | None = None
        self._attempt = 0
        self._up_at_s: float | None = None
        self._marked_bad = False
        self._outage = Outage(self._policy.stable_s)
        self._fault_reported = False

    # --- what the supervisor does ---------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the session until `stop`; never raises what a device or a driver did."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._outbox.run(), name=f"publish {self.name}")
            try:
                while not self._stopping:
                    await self._live_once()
            finally:
                self._outbox.close()

    def stop(self) -> None:
        """End after what is being done now; buffered samples are still published."""
        self._stopping = True
        self._wake.set()

    def retry(self) -> None:
        """Try now instead of after the pause."""
        self._retry_now = True
        self._wake.set()

    def set_points(self, points: Sequence[PointBinding]) -> None:
        """Other points on the same session: polled and rebindable drivers take them, others reconnect."""
        self.points = tuple(points)
        self._points_changed = True
        self._wake.set()

    async def read_back(self, point: PointBinding) -> Batch:
        """The one sample that the device holds now, checked as any other. Raises: as `Errands.read_back`."""
        return self._outbox.screen.check(await self.errands.read_back(point), self._clock.now_ns())

    def status(self) -> LinkStatus:
        next_try_s = None
        if self._next_try_at_s is not None:
            next_try_s = max(self._next_try_at_s - self._clock.monotonic_s(), 0.0)
        driver = self._driver
        if driver is not None and isinstance(driver, Counting):
            self._counters.own = dict(driver.counts())
        return LinkStatus(
            self.name,
            self.driver_type.name,
            self._state,
            self._since_ns,
            len(self.points),
            self._error,
            next_try_s,
            self._counters,
        )

    # --- one life of the session ----------------------------------------------------------------------------------

    async def _live_once(self) -> None:
        """Open, serve until it ends, close, and pause before the caller comes again."""
        self._set_state(LinkState.CONNECTING)
        self._retry_now = self._points_changed = False
        self._ended = self._up_at_s = None
        self._life = object()
        driver: Driver | None = None
        error: Exception | None = None
        try:
            driver = self._driver = self._open()
            await self._serve(driver)
        except HeadraceError as known:
            error = known
        except Exception as fault:  # a bug in this driver must not stop the others
            error = fault
        finally:
            self._life = None
            self.errands.close(error)
            await self.errands.end_beside()
            if driver is not None:
                await self._close(driver)
            self._driver = None
        if error is not None and not self._stopping:
            await self._recover(error)

    def _open(self) -> Driver:
        around, reach = self._around, self._around.reach_of(self.name)
        context = DriverContext(
            self.name, self._clock, around.state_dir / self.driver_type.name, self._trusted(), around.devices,
            around.secrets, around.certificates, reach, around.references_of(self.name),
        )  # fmt: skip
        return self.driver_type.open(self.settings, context)

    async def _close(self, driver: Driver) -> None:
        try:
            async with asyncio.timeout(self._policy.close_timeout_s):
                await driver.close()
        except Exception as fault:  # `close` never raises: this is a bug, and the session is over anyway
            logger.error("%s: its driver did not close", self.name, exc_info=fault)

    async def _serve(self, driver: Driver) -> None:
        """Returns when stopped, or when subscribed points changed; raises what ended the session."""
        await bounded(self.name, self._policy.connect_timeout_s, "connecting", driver.connect())
        self._outbox.screen.set_points(self.points)
        if isinstance(driver, Acknowledging):
            await self._serve_peers(driver)
        elif isinstance(driver, Subscribed) and self.points:
            await self._subscribe(driver)
        self._counters.connects += 1
        self._error = ""
        self._up_at_s = self._clock.monotonic_s()
        self._set_state(LinkState.CONNECTED)
        self.errands.open()
        is_told = isinstance(driver, Subscribed | Acknowledging)
        await self._loop(driver, driver if isinstance(driver, Polled) and not is_told else None)

    async def _subscribe(self, driver: Subscribed) -> None:
        life = self._life

        def deliver(batches: Sequence[Batch]) -> None:
            if self._life is life:  # a closed driver may still have callbacks under way
                self._marked_bad = False
                self._outbox.put(batches, drop_oldest=True)

        await bounded(
            self.name,
            self._policy.request_timeout_s,
            "subscribing",
            driver.subscribe(self.points, deliver, self._loss()),
        )

    async def _serve_peers(self, driver: Acknowledging) -> None:
        async def stored(batches: Sequence[Batch]) -> None:  # also while the driver closes: its peers wait for it
            await self._outbox.store(batches)
            self._marked_bad = False

        await bounded(
            self.name, self._policy.request_timeout_s, "starting", driver.serve(self.points, stored, self._loss())
        )

    def _loss(self) -> Lost:
        """For this life of the session alone."""
        life = self._life

        def lost(error: Exception) -> None:
            if self._life is life:
                self._ended = error
                self._wake.set()

        return lost

    async def _rebind(self, driver: Rebindable) -> None:
        self._points_changed = False
        self._outbox.screen.set_points(self.points)
        await bounded(self.name, self._policy.request_timeout_s, "changing points", driver.rebind(self.points))

    async def _loop(self, driver: Driver, polled: Polled | None) -> None:
        schedule = self._plan(polled)
        after_step = False
        while not self._stopping:
            if self._ended is not None:
                raise self._ended if isinstance(self._ended, HeadraceError) else Unreachable(str(self._ended))
            if self._points_changed:
                if isinstance(driver, Rebindable):
                    await self._rebind(driver)
                    continue
                if polled is None:
                    return
                self._points_changed = False
                self._outbox.screen.set_points(self.points)
                schedule = self._plan(polled)
            if isinstance(driver, Acknowledging):
                self.errands.run_beside(driver, self._loss())
            if self.errands.urgent:
                await self.errands.run_urgent(driver)
                continue
            if self.errands.patient and not after_step:
                after_step = True
                await self.errands.run_patient(driver)
                continue
            after_step = False
            now_s = self._clock.monotonic_s()
            if self._outbox.full:
                self._counters.stalls += 1
                await self._wait(None)
                continue
            self._report_back(now_s)
            due = schedule.take(now_s)
            if due is not None and polled is not None:
                self._counters.overruns += due.overruns
                await self._read(polled, due.request)
            elif not self.errands.patient:
                await self._rest(schedule, now_s)

    def _plan(self, polled: Polled | None) -> Schedule:
        reads = plan_reads(polled, self.points) if polled is not None else []
        if not reads:
            self._report_up()
        return Schedule(reads, self._clock.monotonic_s())

    async def _read(self, driver: Polled, request: ReadRequest) -> None:
        counters = self._counters
        counters.requests += 1
        began_s = self._clock.monotonic_s()
        try:
            batches = await bounded(self.name, self._policy.request_timeout_s, "reading", driver.read(request))
        except Exception:
            counters.failures += 1
            raise
        took_ms = (self._clock.monotonic_s() - began_s) * 1e3
        counters.round_trip_ms += (took_ms - counters.round_trip_ms) * (
            _ROUND_TRIP_WEIGHT if counters.round_trip_ms else 1.0
        )
        self._marked_bad = False
        self._outbox.put(batches)
        self._report_up()

    async def _rest(self, schedule: Schedule, now_s: float) -> None:
        """Wait for the next read, for a caller, or for the moment when a flapping device counts as back."""
        moments = [at_s for at_s in (schedule.next_s(), self._outage.back_due_s) if at_s is not None]
        await self._wait(min(moments) - now_s if moments else None)

    async def _wait(self, delay_s: float | None) -> None:
        """Until somebody wakes this session or the delay is over."""
        assert self._group is not None
        if delay_s is not None and delay_s <= 0:
            return
        timer = None if delay_s is None else self._group.create_task(self._wake_after(delay_s))
        try:
            await self._wake.wait()
        finally:
            self._wake.clear()
            if timer is not None:
                timer.cancel()

    async def _wake_after(self, delay_s: float) -> None:
        await self._clock.sleep(delay_s)
        self._wake.set()

    # --- between two lives ----------------------------------------------------------------------------------------

    async def _recover(self, error: Exception) -> None:
        """Report, mark the points bad once, and pause."""
        if self._up_at_s is not None:
            self._counters.losses += 1
            if self._clock.monotonic_s() - self._up_at_s >= self._policy.stable_s:
                self._attempt = 0
        fault = not isinstance(error, HeadraceError)
        self._error = f"its driver has a fault: {type(error).__name__}; see the log" if fault else str(error)
        self._report_lost(error, fault)
        self._mark_bad()
        if isinstance(error, (Unreachable, Garbled)):
            self._set_state(LinkState.WAITING)
            delay_s = pause_s(self._policy, self._attempt, self._around.random)
        else:
            # Trying a refused password again and again locks accounts: always the long pause.
            self._set_state(LinkState.REFUSED)
            delay_s = self._policy.pause_s_max * self._around.random.uniform(0.5, 1.0)
        self._attempt += 1
        await self._pause(delay_s)

    async def _pause(self, delay_s: float) -> None:
        until_s = self._next_try_at_s = self._clock.monotonic_s() + delay_s
        while not self._stopping and not self._retry_now:
            left_s = until_s - self._clock.monotonic_s()
            if left_s <= 0:
                break
            await self._wait(left_s)
        self._next_try_at_s = None

    def _mark_bad(self) -> None:
        """One bad sample a point, dated after the newest good one so that nobody takes it for an older one."""
        if self._marked_bad:
            return
        self._marked_bad = True
        self._outbox.put(blank_batches(self.points, self._bad_time_ns(), q.BAD_NO_COMMUNICATION))

    def _bad_time_ns(self) -> int:
        now_ns, newest_ns = self._clock.now_ns(), self._outbox.screen.newest_ns
        jumped_back = newest_ns > now_ns + SOURCE_AHEAD_MAX_NS  # our own clock did: what was newest is not any more
        return now_ns if jumped_back else max(now_ns, newest_ns + 1)

    # --- what is reported -----------------------------------------------------------------------------------------

    def _set_state(self, state: LinkState) -> None:
        if state is not self._state:
            self._state, self._since_ns = state, self._clock.now_ns()

    def _report_lost(self, error: Exception, fault: bool) -> None:
        news = self._outage.lost(self._clock.monotonic_s(), self._up_at_s)
        if fault and not self._fault_reported:
            self._fault_reported = True
            logger.error("%s: its driver '%s' has a fault", self.name, self.driver_type.name, exc_info=error)
        elif news:
            logger.warning("%s: %s: %s", self.name, "lost" if self._counters.connects else "not reached", error)
        if news:
            self._event("connection.lost", {"error": self._error})

    def _report_up(self) -> None:
        """The device has answered."""
        now_s = self._clock.monotonic_s()
        if self._outage.answered(now_s):
            logger.info("%s: connected", self.name)
            self._event("connection.up", {})
        self._report_back(now_s)

    def _report_back(self, now_s: float) -> None:
        outage_s = self._outage.back(now_s)
        if outage_s is not None:
            self._fault_reported = False
            logger.info("%s: back after %s", self.name, format_duration(round(outage_s) * SECOND_NS))
            self._event("connection.up", {"outage_s": round(outage_s, 3), "tries": self._attempt})

    def _event(self, kind: str, data: Mapping[str, Any]) -> None:
        now_ns = self._clock.now_ns()
        ident = f"{self.name}:{kind}:{now_ns}"
        about = {"driver": self.driver_type.name, **data}
        self._outbox.put_event(Event(ident, "connect", kind, self.name, now_ns, about))


def blank_batches(points: Sequence[PointBinding], time_ns: int, quality: int) -> list[Batch]:
    """One bad sample for each point, a batch a kind."""
    handles: dict[ValueKind, list[int]] = defaultdict(list)
    for point in points:
        handles[point.kind].append(point.handle)
    return [Batch.bad(kind, column, time_ns, quality) for kind, column in handles.items()]
