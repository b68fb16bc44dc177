"""Each point at its own topic, retained, so that whoever comes later knows what is.

    <root>/acme/press-3/oil.temperature   {"value": 62.4, "time": "2026-11-25T08:00:00Z", "quality": "Good", "unit": …}
    <root>/_headrace/<outlet>             {"online": true, "time": …}      the will says false; a clean end does, too

A change of value or quality is published; with an interval, the newest of a point when its time has come. A session
begins with the newest of all points. A point that is no longer declared is cleared (an empty retained message).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import orjson

from headrace.connect.mqtt.packets import Will
from headrace.connect.outlets.broker import BrokerSession
from headrace.connect.outlets.mqtt.config import Settings
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import HeadraceError, Unreachable
from headrace.model.points import Point
from headrace.model.time import SECOND_NS, format_time
from headrace.sdk.outlet import OutletContext, OutletType, View

STATUS: Final = "_headrace"  # no name of an asset begins like this
EXACT_INTEGER_MAX: Final = 2**53 - 1
_Sample = tuple[int, Any, int]  # source time, value, quality


class MqttOutlet:
    """`Mirrors`, `Ends`."""

    def __init__(self, settings: Settings, context: OutletContext) -> None:
        self._settings, self._context = settings, context
        self._session = BrokerSession(settings, context)
        self._view = View()
        self._told: dict[int, tuple[Any, int]] = {}  # value and quality as they were published last
        self._due: dict[int, _Sample] = {}  # what waits for its interval
        self._next_s: dict[int, float] = {}
        self._failed: asyncio.Future[None] | None = None
        self._ticking: asyncio.Task[None] | None = None

    async def open(self, view: View) -> None:
        self._view = view
        await self._session.open(Will(self._status_topic, self._status(False), qos=1, retain=True))
        await self._session.publish_all([(self._status_topic, self._status(True))], 1, True)
        if self._settings.interval_ns:
            self._ticking = asyncio.create_task(self._tick(), name=f"interval of {self._context.outlet}")

    async def send(self, batches: Sequence[Batch]) -> int:
        messages = []
        now_s = self._context.clock.monotonic_s()
        for batch in batches:
            for handle, source_ns, value, code in zip(
                batch.handles.tolist(), batch.source_ns.tolist(), batch.values.tolist(), batch.quality.tolist(),
                strict=True,
            ):  # fmt: skip
                point = self._view.points.get(handle)
                if point is None or (not self._settings.repeat and self._told.get(handle) == (value, code)):
                    continue
                if self._settings.interval_ns and now_s < self._next_s.get(handle, 0.0):
                    self._due[handle] = (source_ns, value, code)
                    continue
                messages.append(self._message(handle, point, (source_ns, value, code), now_s))
        await self._session.publish_all(messages, self._settings.qos, True)
        return 0

    async def change(self, view: View) -> None:
        gone = {point.path for point in self._view.points.values()} - {point.path for point in view.points.values()}
        self._view = view
        self._told.clear()
        await self._session.publish_all([(self._topic(path), b"") for path in sorted(gone)], 1, True)
        await self.send(self._context.newest(list(view.points)))

    async def ended(self) -> None:
        self._failed = asyncio.get_running_loop().create_future()
        hearing = asyncio.ensure_future(self._session.hear(None))
        try:
            await asyncio.wait({hearing, self._failed}, return_when="FIRST_COMPLETED")
            await (self._failed if self._failed.done() else hearing)
        finally:
            hearing.cancel()

    async def close(self) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
        try:
            async with asyncio.timeout(1.0):
                await self._session.publish_all([(self._status_topic, self._status(False))], 1, True)
        except (HeadraceError, TimeoutError, AssertionError):
            pass  # then the will says it
        await self._session.close()

    # --- inside ---------------------------------------------------------------------------------------------------

    async def _tick(self) -> None:
        interval_s = self._settings.interval_ns / SECOND_NS
        try:
            while True:
                await self._context.clock.sleep(min(interval_s / 4, 1.0))
                now_s = self._context.clock.monotonic_s()
                due = [handle for handle in self._due if now_s >= self._next_s.get(handle, 0.0)]
                messages = [
                    self._message(handle, self._view.points[handle], sample, now_s)
                    for handle in due
                    if (sample := self._due.pop(handle)) and handle in self._view.points
                ]
                await self._session.publish_all(messages, self._settings.qos, True)
        except Exception as error:
            if self._failed is not None and not self._failed.done():
                self._failed.set_exception(error if isinstance(error, HeadraceError) else Unreachable(str(error)))

    def _message(self, handle: int, point: Point, sample: _Sample, now_s: float) -> tuple[str, bytes]:
        source_ns, value, code = sample
        self._told[handle] = (value, code)
        self._next_s[handle] = now_s + self._settings.interval_ns / SECOND_NS
        said: dict[str, Any] = {"value": _plain(value), "time": format_time(source_ns), "quality": q.name_of(code)}
        if point.kind in (ValueKind.FLOAT64, ValueKind.INT64):
            said["unit"] = point.unit
        return self._topic(point.path), orjson.dumps(said)

    def _topic(self, path: str) -> str:
        return f"{self._settings.root}/{path}" if self._settings.root else path

    @property
    def _status_topic(self) -> str:
        return self._topic(f"{STATUS}/{self._context.outlet}")

    def _status(self, online: bool) -> bytes:
        return orjson.dumps({"online": online, "time": format_time(self._context.clock.now_ns())})


def _plain(value: Any) -> Any:
    """As JSON holds it: null for what is no number, text for integers that JavaScript would round."""
    if isinstance(value, float) and value - value != 0.0:
        return None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > EXACT_INTEGER_MAX:
        return str(value)
    return value


OUTLET: Final = OutletType(
    name="mqtt", title="MQTT unified namespace", settings=Settings, open=MqttOutlet, newest_only=True
)
