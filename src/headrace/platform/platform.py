"""Constructs every room, wires them, starts them in order and stops them in the other.

    start   database ► history ► bus ► pipeline ► registers ► reconcile (alarms, outlets, links) ► edges let in
    stop    edges ► links ► outlets ► bus drained ► pipeline ► commands ► history ► database
            consumers start first, producers stop first

Nothing here decides anything: it only knows who needs whom.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from headrace.access.desk import AccessDesk
from headrace.compute.alarms.desk import AlarmDesk
from headrace.compute.live import LiveTable
from headrace.connect import drivers as driver_folder
from headrace.connect import outlets as outlet_folder
from headrace.connect.ingest.desk import IngestDesk
from headrace.connect.outlets.supervisor import OutletSupervisor, OutletSurroundings
from headrace.connect.supervisor import Supervisor
from headrace.connect.surroundings import Surroundings
from headrace.connect.trust import TrustStore
from headrace.control.desk import ControlDesk
from headrace.exchange.link import EdgeHub
from headrace.exchange.local import LocalBus
from headrace.exchange.numbering import Declared
from headrace.exchange.unix_server import BusServer
from headrace.fleet.devices import Devices
from headrace.fleet.edges import Edges
from headrace.history import open_history
from headrace.platform.database import open_database
from headrace.platform.history_care import HistoryDesk
from headrace.platform.outward import outlet_context, tell_alarms
from headrace.platform.pipeline import Pipeline
from headrace.platform.reaching import FieldWriter
from headrace.platform.reconcile import Reconciler, ReconcilingRegistry
from headrace.platform.settings import Settings, make_home
from headrace.registry import DeclarationRegistry
from headrace.sdk.clock import Clock, SystemClock
from headrace.sdk.store import HistoryStore


@dataclass(frozen=True, slots=True)
class Platform:
    """The running rooms, for `api/` and `cli/` to use."""

    settings: Settings
    clock: Clock
    started_ns: int
    bus: LocalBus
    store: HistoryStore
    live: LiveTable
    access: AccessDesk
    alarms: AlarmDesk
    links: Supervisor
    commands: ControlDesk
    registry: ReconcilingRegistry
    reconciler: Reconciler
    pipeline: Pipeline
    care: HistoryDesk
    devices: Devices
    edges: Edges
    hub: EdgeHub | None
    ingest: IngestDesk
    outlets: OutletSupervisor


@asynccontextmanager
async def running(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Platform]:
    """A platform that runs as long as the block. Raises: ConfigError, Unavailable before anything has started."""
    make_home(settings.home)
    time = clock or SystemClock()
    async with AsyncExitStack() as stack:
        engine = await asyncio.to_thread(open_database, settings.database)
        stack.callback(engine.dispose)
        # With a backup target the logs are kept for a restore to any moment, until the target has them.
        keeping = replace(
            settings.history, archive_logs=settings.history.archive_logs or settings.backup_to is not None
        )
        store = await open_history(settings.history_url or settings.history_dir, keeping, time)
        stack.push_async_callback(store.close)
        bus = LocalBus()
        live = LiveTable()
        access = AccessDesk(engine, time)
        care = HistoryDesk(
            store, time, access, backup_to=settings.backup_to, backup_every_s=settings.backup_every_s,
            keep=settings.backup_keep,
        )  # fmt: skip
        stack.push_async_callback(care.close)
        alarms = AlarmDesk(engine, time, access, access, live)
        trust = TrustStore(settings.connections_dir / "trusted.json")
        drivers = driver_folder.load()
        pipeline = Pipeline(
            bus,
            store,
            live,
            alarms,
            time,
            capacity=settings.bus_capacity,
            commit_interval_s=settings.commit_interval_s,
            tick_s=settings.alarm_tick_s,
        )
        devices = Devices(engine, time, access, lambda: registry)
        around = Surroundings(
            time, bus.publish, bus.publish_events, settings.connections_dir, intake=pipeline, devices=devices.door
        )
        links = Supervisor(drivers, around, trust)
        commands = ControlDesk(
            lambda: reconciler.directory.points(),
            FieldWriter(lambda: reconciler.directory.model, links, lambda: hub),
            access, access, engine, time, emit=bus.publish_events,
        )  # fmt: skip
        outlet_types = outlet_folder.load()
        context = outlet_context(live, access, commands, time, settings.outlets_dir)
        outlets = OutletSupervisor(
            outlet_types, OutletSurroundings(bus, context, bus.publish_events, settings.outlets_dir)
        )
        reconciler = Reconciler(store, alarms, links, drivers, outlets)
        declared = DeclarationRegistry(engine, drivers, time, outlet_types)
        registry = ReconcilingRegistry(declared, reconciler, lambda model: edges.refresh(model))
        edges = Edges(
            engine, time, access, declared, settings.fleet_dir, provide=registry.provide,
            handles=lambda: reconciler.directory.handles, publish=bus.publish, guests=devices.guests,
        )  # fmt: skip
        hub = None
        if settings.listen_edges is not None:
            hub = EdgeHub(store, pipeline, edges.door, edges.desk, bus.publish_events, time)
        platform = Platform(
            settings=settings,
            clock=time,
            started_ns=time.now_ns(),
            bus=bus,
            store=store,
            live=live,
            access=access,
            alarms=alarms,
            links=links,
            commands=commands,
            registry=registry,
            reconciler=reconciler,
            pipeline=pipeline,
            care=care,
            devices=devices,
            edges=edges,
            hub=hub,
            ingest=IngestDesk(lambda: reconciler.directory, pipeline, time),
            outlets=outlets,
        )
        await access.tokens()  # from here on tokens are known without waiting
        await alarms.start()
        stack.push_async_callback(alarms.close)
        await commands.start()
        stack.push_async_callback(commands.close)
        await devices.start()
        stack.push_async_callback(devices.close)
        stack.push_async_callback(edges.close)
        if settings.share_bus:
            numbering = Declared(lambda: reconciler.directory.handles, store.paths)
            await stack.enter_async_context(BusServer(bus, numbering, settings.run_dir / "bus.sock"))
        async with asyncio.TaskGroup() as tasks:
            flow = tasks.create_task(pipeline.run(), name="pipeline")
            field = tasks.create_task(links.run(), name="links")
            outward = tasks.create_task(outlets.run(), name="outlets")
            by_the_clock = [
                tasks.create_task(care.run(), name="history-care"),
                tasks.create_task(devices.run(), name="devices"),
                tasks.create_task(edges.run(), name="edges"),
                tasks.create_task(tell_alarms(alarms, bus, lambda: reconciler.directory.model), name="tell-alarms"),
            ]
            try:
                await edges.start()
                await registry.start()
                async with _letting_in(hub, settings):
                    yield platform
            finally:
                for task in by_the_clock:
                    task.cancel()
                links.stop()
                await field
                outlets.stop()
                await outward
                await bus.close()
                await flow


@asynccontextmanager
async def _letting_in(hub: EdgeHub | None, settings: Settings) -> AsyncIterator[None]:
    """Edges, as long as the block, where that was asked for."""
    if hub is None or settings.listen_edges is None:
        yield
        return
    async with hub.listening(*settings.listen_edges, settings.listen_edges_web):
        yield
