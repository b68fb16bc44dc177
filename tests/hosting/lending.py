"""A platform as far as apps see one: a real historian and a real bus around a plant that is made up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from headrace.compute.live import LiveTable
from headrace.exchange.local import LocalBus
from headrace.history import open_store
from headrace.history.settings import HistorySettings
from headrace.hosting.abilities import Abilities
from headrace.hosting.runner import AppRunner
from headrace.hosting.signing import KeyFile
from headrace.model.alarms import AlarmTransition
from headrace.model.batch import Batch, Value
from headrace.model.commands import Command, CommandState
from headrace.model.events import Event
from headrace.model.plant import PlantModel
from headrace.sdk.access import Principal
from headrace.sdk.apps import AppManifest, Request, Samples, read_manifest
from headrace.sdk.apps.settings import check_settings
from headrace.sdk.bus import Overflow
from headrace.sdk.clock import Clock, SystemClock
from headrace.sdk.reach import Reach, Target
from headrace.sdk.services import AlarmRecord, TransitionPage
from headrace.sdk.store import HistoryStore
from headrace.sdk.testing.fake_plant import FakePlant

MANIFEST = """
name = "acme.probe"
version = "1.0.0"
sdk = "1.0"
title = { en = "Probe" }
"""
ANY = {"user": "anna", "language": "en"}


class Alarms:
    def __init__(self, plant: FakePlant) -> None:
        self._plant = plant

    def current(self) -> Sequence[AlarmRecord]:
        return self._plant.alarms

    async def history(
        self, start_ns: int | None = None, end_ns: int | None = None, *, point: str | None = None, limit: int = 500,
        cursor: str | None = None, within: Any = None,
    ) -> TransitionPage:  # fmt: skip
        """Newest first, three a page."""
        del point, limit, within
        assert start_ns is not None and end_ns is not None
        found: list[AlarmTransition] = sorted(
            (one for one in self._plant.transitions if start_ns <= one.time_ns < end_ns), key=lambda one: -one.time_ns
        )
        at = int(cursor or 0)
        return TransitionPage(found[at : at + 3], str(at + 3) if at + 3 < len(found) else None)


class Writer:
    def __init__(self, plant: FakePlant, clock: Clock) -> None:
        self._plant, self._clock = plant, clock
        self.principals: list[Principal] = []

    async def write(self, path: str, value: Value, principal: Principal, reason: str) -> Command:
        self.principals.append(principal)
        now = self._clock.now_ns()
        made = Command("1", path, value, principal.name, reason, now, now + 1)
        why = self._plant.write(path, value, reason, now)
        if why:
            return replace(made, state=CommandState.REFUSED, detail=why, finished_ns=now)
        return replace(made, state=CommandState.CONFIRMED, read_back=value, finished_ns=now)


class Plants:
    def __init__(self, plant: FakePlant) -> None:
        self._plant = plant

    async def model(self) -> PlantModel:
        return PlantModel(self._plant.revision, assets=dict(self._plant.assets), points=dict(self._plant.points))


class NoHost(Reach):
    """Names that are known and lead nowhere."""

    async def targets(self, host: str, port: int) -> Sequence[Target]:
        return await Reach(resolve=_nobody).targets(host, port)


async def _nobody(host: str, port: int) -> Sequence[Any]:
    raise OSError(f"{host}:{port} is nobody")


@dataclass
class Lent:
    """`heard` is every event that was published."""

    plant: FakePlant
    abilities: Abilities
    store: HistoryStore
    bus: LocalBus
    writer: Writer
    clock: Clock
    folder: Path
    heard: list[Event] = field(default_factory=list)

    async def publish(self, samples: Samples) -> None:
        """To history, the live table and the bus, as the platform does."""
        batches = await self.stored(samples)
        self.abilities.live.update(batches)
        await self.bus.publish(batches)

    async def stored(self, samples: Samples) -> list[Batch]:
        """To history alone."""
        if not samples.batches:
            return []
        names = list(samples.paths)
        handles = await self.store.register([samples.paths[name] for name in names])
        known = dict(zip(names, handles.tolist(), strict=True))
        batches = [
            Batch.of(
                one.kind, [known[handle] for handle in one.handles.tolist()], one.source_ns, one.values, one.quality,
                one.received_ns,
            )
            for one in samples.batches
        ]  # fmt: skip
        await self.store.append(batches)
        return batches


@asynccontextmanager
async def lent(folder: Path, plant: FakePlant, clock: Clock | None = None, **other: Any) -> AsyncIterator[Lent]:
    """`other` takes the place of an ability. What is in the plant's history is in the store's."""
    clock = clock or SystemClock()
    store = await open_store(folder / "history", HistorySettings(), SystemClock())
    bus, writer = LocalBus(), Writer(plant, clock)
    abilities = Abilities(
        **{
            "plants": Plants(plant), "live": LiveTable(), "history": store, "bus": bus, "alarms": Alarms(plant),
            "commands": writer, "reach": NoHost(), "key": KeyFile(folder / "keys"),
            "owns": lambda path: not path.startswith("beta"),
            "owns_event": lambda source, subject: not subject.startswith("beta"),
            "principal": lambda app: Principal(f"app:{app}", "operator", "app"),
            **other,
        }
    )  # fmt: skip
    made = Lent(plant, abilities, store, bus, writer, clock, folder / "kept")
    events = bus.subscribe_events("test", capacity=10_000, overflow=Overflow.DROP_OLDEST)

    async def listen() -> None:
        async for some in events:
            made.heard.extend(some)

    listening = asyncio.create_task(listen())
    try:
        await store.register(list(plant.points))
        for path in plant.points:
            await made.publish(plant.samples(plant.rows(path, 0, 2**62)))
        yield made
    finally:
        listening.cancel()
        await store.close()


def manifest_of(more: str = "") -> AppManifest:
    return read_manifest(MANIFEST + more)


def runner_of(
    lent: Lent, files: Mapping[str, str | bytes], manifest: AppManifest | None = None, **more: Any
) -> AppRunner:
    """`more` as `AppRunner` takes it."""
    manifest = manifest or manifest_of()
    sources = {name: text.encode() if isinstance(text, str) else text for name, text in files.items()}
    settings = check_settings(manifest.settings, more.pop("settings", {}))
    given = {"grants": manifest.permissions, "tenant": "default", "clock": lent.clock, "folder": lent.folder, **more}
    return AppRunner(manifest, sources, settings=settings, abilities=lent.abilities, **given)


@asynccontextmanager
async def running(runner: AppRunner, *, wait: bool = True) -> AsyncIterator[AppRunner]:
    """Until the block ends; then it is stopped."""
    life = asyncio.create_task(runner.run())
    try:
        if wait:
            async with asyncio.timeout(60):
                await runner.wait_until_running()
        yield runner
    finally:
        await runner.stop()
        await life


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(one.relative_to(folder)): one.read_bytes() for one in folder.rglob("*") if one.is_file()}


def asked(method: str, path: str, **more: Any) -> Request:
    return Request(method, path, **{**ANY, **more})


class Hasty(SystemClock):
    """Nobody waits long for it."""

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(min(delay_s, 0.05))
