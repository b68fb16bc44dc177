"""One write to a device, and what the device holds afterwards.

send ─► device ─► read back until it holds the value, or the time is up ─► CONFIRMED, FAILED, or REFUSED by the device

What is on its way is known, so that a lock can wait until nothing is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from headrace.control.checks import confirms
from headrace.model import quality as q
from headrace.model.batch import Value
from headrace.model.commands import CommandState
from headrace.model.errors import DataError, DeviceError, HeadraceError, NotFound, Refused, Unavailable
from headrace.model.points import Point
from headrace.sdk.clock import Clock
from headrace.sdk.field import DeviceWriter


@dataclass(frozen=True, slots=True)
class SendSettings:
    write_timeout_s: float = 5.0
    confirm_timeout_s: float = 3.0
    poll_s: float = 0.2


class Sender:
    def __init__(self, writer: DeviceWriter, clock: Clock, settings: SendSettings) -> None:
        self._writer, self._clock, self._settings = writer, clock, settings
        self._on_the_way: dict[asyncio.Future[None], str] = {}

    async def send(self, point: Point, value: Value) -> tuple[CommandState, str, Value | None]:
        """How it ended, why, and what the device held. The device is called before anything is waited for."""
        trouble = ""
        arrived = asyncio.get_running_loop().create_future()
        self._on_the_way[arrived] = point.path
        try:
            async with asyncio.timeout(self._settings.write_timeout_s):
                await self._writer.write(point.path, value)
        except (Refused, DataError, NotFound, Unavailable) as error:
            return CommandState.REFUSED, error.message, None
        except DeviceError as error:  # perhaps it arrived, and only the answer was lost: ask the device
            trouble = error.message
        except TimeoutError:
            trouble = f"the device took longer than {self._settings.write_timeout_s:g} s to answer"
        finally:
            del self._on_the_way[arrived]
            arrived.set_result(None)
        return await self._confirm(point, value, trouble)

    async def drained(self, covers: Callable[[str], bool]) -> None:
        """Wait until no write to these points is on its way: for the write timeout at most."""
        waited = [future for future, path in self._on_the_way.items() if covers(path)]
        if waited:
            await asyncio.wait(waited)

    async def present(self, point: Point) -> tuple[float, str | None]:
        """What the device holds now, or why that is not known."""
        why = "the device gave no usable value"
        try:
            async with asyncio.timeout(self._settings.write_timeout_s):
                sample = await self._writer.read_back(point.path)
            if len(sample) == 1 and q.is_good(sample.quality).all():
                return float(sample.values.tolist()[0]), None
        except HeadraceError as error:
            why = error.message
        except TimeoutError:
            why = f"the device took longer than {self._settings.write_timeout_s:g} s to answer"
        return 0.0, f"the step cannot be judged without the present value of '{point.path}': {why}"

    async def _confirm(self, point: Point, value: Value, trouble: str) -> tuple[CommandState, str, Value | None]:
        deadline_s = self._clock.monotonic_s() + self._settings.confirm_timeout_s
        held: Value | None = None
        while True:
            try:
                async with asyncio.timeout(self._settings.write_timeout_s):
                    sample = await self._writer.read_back(point.path)
                if len(sample) == 1 and not q.is_bad(sample.quality).any():
                    held = sample.values.tolist()[0]
                    assert held is not None
                    if confirms(point, value, held):
                        return CommandState.CONFIRMED, "", held
                else:
                    trouble = trouble or "the device gave no usable value back"
            except (HeadraceError, TimeoutError) as error:
                trouble = trouble or str(error) or "the device did not answer the read-back"
            if self._clock.monotonic_s() >= deadline_s:
                break
            await self._clock.sleep(self._settings.poll_s)
        if held is not None:
            unit = "" if point.unit == "1" else f" {point.unit}"
            return CommandState.FAILED, f"device holds {held}{unit}" + (f"; {trouble}" if trouble else ""), held
        return CommandState.FAILED, f"outcome unknown: {trouble}", None
