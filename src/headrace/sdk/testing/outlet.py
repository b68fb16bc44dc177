"""What every outlet must do, whatever it speaks. Inherit `OutletContract` and give it the other side.

class TestMyOutlet(OutletsHere, OutletContract):
    @asynccontextmanager
    async def taker(self, folder): yield MyTaker(…)       # a real program of somebody else's, where one can be had

The other side is asked what it has seen; how the outlet got there is its own affair.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest

from headrace.model import quality as q
from headrace.model.assets import Asset, Level
from headrace.model.batch import Batch, Value, ValueKind
from headrace.model.commands import Command
from headrace.model.errors import AccessError
from headrace.model.outlets import Outlet, Waiting
from headrace.model.plant import PlantModel
from headrace.model.points import Access, Point, Range
from headrace.model.time import SECOND_NS
from headrace.sdk.access import Principal
from headrace.sdk.bus import Bus, Overflow
from headrace.sdk.clock import SystemClock
from headrace.sdk.field import LinkState
from headrace.sdk.outlet import OutletContext, OutletStatus

T0 = 1_780_000_000 * SECOND_NS
POINTS = (
    Point("acme/p3/oil", ValueKind.FLOAT64, "Cel", Range(0, 120), title={"en": "Oil temperature"}),
    Point("acme/p3/strokes", ValueKind.INT64),
    Point("acme/p3/running", ValueKind.BOOL),
    Point("acme/p3/order", ValueKind.TEXT),
    Point("acme/p3/setpoint", ValueKind.FLOAT64, "bar", Range(0, 300), Access.READ_WRITE),
    Point("acme/other/load", ValueKind.FLOAT64),
)


class Taker(Protocol):
    """The other side. `start` after `stop` is the same address. `values` is all that it has seen, by path, in order."""

    settings: Mapping[str, Any]

    async def start(self) -> None: ...

    async def stop(self) -> None:
        """Be gone: connections break, nobody answers."""
        ...

    async def hang(self) -> None:
        """Be there, and take nothing until `stop`."""
        ...

    async def values(self) -> Mapping[str, Sequence[Value]]: ...


class Supervisor(Protocol):
    async def run(self) -> None: ...

    def stop(self) -> None: ...

    async def reconcile(self, plant: PlantModel, handles: Mapping[str, int]) -> None: ...

    def status(self) -> Sequence[OutletStatus]: ...


class Doors:
    """What an outlet may ask of the platform: the newest samples, who holds a token, a write."""

    def __init__(self) -> None:
        self.newest_of: dict[int, Batch] = {}
        self.writes: list[tuple[str, Value, str, str]] = []

    def see(self, batches: Sequence[Batch]) -> None:
        for batch in batches:
            for row in range(len(batch)):
                self.newest_of[int(batch.handles[row])] = batch.take(slice(row, row + 1))

    def newest(self, handles: Sequence[int]) -> Sequence[Batch]:
        found = [self.newest_of[handle] for handle in handles if handle in self.newest_of]
        kinds = {one.kind for one in found}
        return [Batch.concat([one for one in found if one.kind is kind]) for kind in kinds]

    def authenticate(self, token: str) -> Principal:
        role = {"token-viewer": "viewer", "token-operator": "operator", "token-source": "source"}.get(token)
        if role is None:
            raise AccessError("this token is not valid", authenticated=False)
        return Principal(f"token:{role}", role, "token")

    def may_view(self, principal: Principal) -> None:
        if principal.role == "source":
            raise AccessError(f"'{principal.name}' may not view")

    async def write(self, path: str, value: Value, principal: Principal, reason: str) -> Command:
        from headrace.model.commands import CommandState

        allowed = principal.role == "operator"
        if allowed:
            self.writes.append((path, value, principal.name, reason))
        state = CommandState.CONFIRMED if allowed else CommandState.REFUSED
        detail = "" if allowed else f"'{principal.name}' may not write"
        return Command("1", path, value, principal.name, reason, T0, T0, state, detail, value if allowed else None)

    def context(self, state_dir: Path) -> OutletContext:
        return OutletContext("", SystemClock(), state_dir, self.newest, self.authenticate, self.may_view, self.write)


def plant(outlet: Outlet, points: Sequence[Point] = POINTS) -> tuple[PlantModel, Mapping[str, int]]:
    assets = {
        path: Asset(path, level)
        for path, level in (("acme", Level.ENTERPRISE), ("acme/p3", Level.EQUIPMENT), ("acme/other", Level.EQUIPMENT))
    }
    model = PlantModel(1, points={one.path: one for one in points}, assets=assets, outlets={outlet.name: outlet})
    return model, {one.path: at for at, one in enumerate(points)}


def sample(path: str, value: Value, at_s: float = 0.0, quality: int = q.GOOD) -> Batch:
    handle = next(at for at, one in enumerate(POINTS) if one.path == path)
    kind = POINTS[handle].kind
    return Batch.of(kind, [handle], T0 + round(at_s * SECOND_NS), np.array([value], kind.dtype), quality)


class OutletContract:
    protocol = ""
    #: Whether the other side is told what is, and not all that was.
    newest_only = False
    #: Whether the outlet goes to the other side; else (a server) the other side comes.
    dials = True
    #: A longest wait, for a machine that is busy with other things. Nothing is asserted about time.
    patience_s = 60.0

    @asynccontextmanager
    async def taker(self, folder: Path) -> AsyncIterator[Taker]:
        """The other side, there until the block ends."""
        yield self.needed(folder)

    def make_bus(self) -> Bus:
        made: Bus = self.needed()
        return made

    def make_supervisor(self, bus: Bus, doors: Doors, state_dir: Path, dice: random.Random) -> Supervisor:
        made: Supervisor = self.needed(bus, doors, state_dir, dice)
        return made

    def needed(self, *_: object) -> Any:
        raise AssertionError("an outlet contract needs taker(), make_bus() and make_supervisor()")

    def declared(self, taker: Taker, **other: Any) -> Outlet:
        return Outlet("out", self.protocol, taker.settings, **other)

    # --- running one ----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def running(self, outlet: Outlet, folder: Path) -> AsyncIterator[Running]:
        bus, doors = self.make_bus(), Doors()
        supervisor = self.make_supervisor(bus, doors, folder, random.Random(1))
        task = asyncio.create_task(supervisor.run())
        await asyncio.sleep(0)
        await supervisor.reconcile(*plant(outlet))
        run = Running(bus, doors, supervisor)
        try:
            yield run
        finally:
            supervisor.stop()
            await task
            await bus.close()

    async def until(self, ask: Any, what: str) -> None:
        """Ask again and again; `ask` is a function of a test, perhaps asynchronous."""
        try:
            async with asyncio.timeout(self.patience_s):
                while True:
                    answer = ask()
                    if asyncio.iscoroutine(answer):
                        answer = await answer
                    if answer:
                        return
                    await asyncio.sleep(0.005)
        except TimeoutError:
            raise AssertionError(f"in {self.patience_s:g} s it did not come to this: {what}") from None

    async def until_seen(self, taker: Taker, path: str, value: Value) -> None:
        async def seen() -> bool:
            return value in (await taker.values()).get(path, ())

        await self.until(seen, f"'{path}' is {value!r} on the other side")

    async def until_state(self, run: Running, state: LinkState) -> None:
        await self.until(lambda: run.status.state is state, f"the outlet is {state}")

    # --- the contract ---------------------------------------------------------------------------------------------

    async def test_values_of_every_kind_arrive(self, tmp_path: Path) -> None:
        async with self.taker(tmp_path) as taker, self.running(self.declared(taker), tmp_path) as run:
            await self.until_state(run, LinkState.CONNECTED)
            said: Mapping[str, Value] = {
                "acme/p3/oil": 62.5,
                "acme/p3/strokes": 2**53 + 1,
                "acme/p3/running": True,
                "acme/p3/order": 'A7 "油"',
            }
            await run.publish([sample(path, value) for path, value in said.items()])
            for path, value in said.items():
                await self.until_seen(taker, path, value)
            await self.until(lambda: run.status.counters.samples >= 4, "four samples are counted")
            assert run.status.counters.dropped == run.status.counters.given_up == 0

    async def test_only_the_declared_part_of_the_plant_goes_out(self, tmp_path: Path) -> None:
        async with self.taker(tmp_path) as taker:
            outlet = self.declared(taker, points=("acme/p3",))
            async with self.running(outlet, tmp_path) as run:
                await self.until_state(run, LinkState.CONNECTED)
                await run.publish([sample("acme/other/load", 1.0)])
                await run.publish([sample("acme/p3/oil", 2.0)])
                await self.until_seen(taker, "acme/p3/oil", 2.0)
                assert not (await taker.values()).get("acme/other/load")
                assert run.status.points == 5

    async def test_an_outage_is_survived(self, tmp_path: Path) -> None:
        async with self.taker(tmp_path) as taker, self.running(self.declared(taker), tmp_path) as run:
            await self.until_state(run, LinkState.CONNECTED)
            await run.publish([sample("acme/p3/oil", 1.0)])
            await self.until_seen(taker, "acme/p3/oil", 1.0)
            await taker.stop()
            for value in range(2, 7):
                await run.publish([sample("acme/p3/oil", float(value), value)])
            if self.dials:
                await self.until(lambda: run.status.state is not LinkState.CONNECTED, "the outlet learns it")
                assert run.status.error
            await taker.start()
            await self.until_seen(taker, "acme/p3/oil", 6.0)
            if not self.newest_only:
                seen = [value for value in (await taker.values())["acme/p3/oil"] if value != 1.0]
                assert list(dict.fromkeys(seen)) == [2.0, 3.0, 4.0, 5.0, 6.0]
                assert run.status.counters.dropped == 0

    async def test_a_side_that_takes_nothing_slows_nobody_and_costs_counted_samples(self, tmp_path: Path) -> None:
        async with self.taker(tmp_path) as taker:
            outlet = self.declared(taker, wait_samples=100)
            async with self.running(outlet, tmp_path) as run:
                await self.until_state(run, LinkState.CONNECTED)
                await taker.hang()
                field = run.bus.subscribe("field", capacity=10_000, overflow=Overflow.BLOCK)
                for at in range(400):
                    await run.publish([sample("acme/p3/oil", float(at), at)])
                    await asyncio.sleep(0)
                got = 0
                while got < 400:
                    got += sum(map(len, await anext(field)))
                if self.dials:
                    await self.until(lambda: run.status.counters.dropped > 0, "drops are counted")
                await taker.stop()

    async def test_what_waits_on_disk_survives_a_restart(self, tmp_path: Path) -> None:
        if self.newest_only:
            pytest.skip("it publishes what is, not what was: nothing waits on disk")
        async with self.taker(tmp_path) as taker:
            outlet = self.declared(taker, waiting=Waiting.DISK)
            await taker.stop()
            async with self.running(outlet, tmp_path) as run:
                for value in range(5):
                    await run.publish([sample("acme/p3/strokes", value, value)])
                await self.until(lambda: run.status.counters.waiting == 5, "five samples wait")
            async with self.running(outlet, tmp_path) as run:
                assert run.status.counters.waiting == 5
                await run.publish([sample("acme/p3/strokes", 5, 5)])
                await taker.start()
                await self.until_seen(taker, "acme/p3/strokes", 5)
            assert list(dict.fromkeys((await taker.values())["acme/p3/strokes"])) == [0, 1, 2, 3, 4, 5]

    async def test_points_that_are_declared_later_go_out_too(self, tmp_path: Path) -> None:
        async with self.taker(tmp_path) as taker:
            outlet = self.declared(taker)
            async with self.running(outlet, tmp_path) as run:
                await run.supervisor.reconcile(*plant(outlet, POINTS[:3]))
                await self.until_state(run, LinkState.CONNECTED)
                await run.supervisor.reconcile(*plant(outlet))
                await self.until(
                    lambda: run.status.points == 6 and run.status.state is LinkState.CONNECTED, "six points"
                )
                await run.publish([sample("acme/p3/order", "B8")])
                await self.until_seen(taker, "acme/p3/order", "B8")

    async def test_an_outlet_that_is_switched_off_says_so(self, tmp_path: Path) -> None:
        async with (
            self.taker(tmp_path) as taker,
            self.running(self.declared(taker, enabled=False), tmp_path) as run,
        ):
            assert run.status.state is LinkState.DISABLED
            await run.supervisor.reconcile(*plant(self.declared(taker)))
            await self.until_state(run, LinkState.CONNECTED)


class Running:
    """One outlet under way."""

    def __init__(self, bus: Bus, doors: Doors, supervisor: Supervisor) -> None:
        self.bus, self.doors, self.supervisor = bus, doors, supervisor

    @property
    def status(self) -> OutletStatus:
        return self.supervisor.status()[0]

    async def publish(self, batches: Sequence[Batch]) -> None:
        """As the platform: the live table has them before the outlet can ask."""
        self.doors.see(batches)
        await self.bus.publish(batches)
