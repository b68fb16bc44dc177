"""Constructs every room, wires them, starts them in order and stops them in the other.

    start   database ► history ► bus ► pipeline ► registers ► reconcile (people, alarms, outlets, links) ► edges let in
    stop    apps ► edges ► links ► outlets ► bus drained ► pipeline ► people ► commands ► history ► database
            consumers start first, producers stop first

Nothing here decides anything: it only knows who needs whom.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from headrace.access.audit import AuditFolder, AuditKeeper, AuditTrail
from headrace.access.certificates import CertificateDesk
from headrace.access.desk import AccessDesk
from headrace.access.oidc import Providers, read_providers
from headrace.access.seal import Keyring, open_keyring
from headrace.access.web_identity import Given, WebIdentity
from headrace.compute.alarms.desk import AlarmDesk
from headrace.compute.backtests.afterwards import Afterwards
from headrace.compute.backtests.desk import BacktestDesk
from headrace.compute.live import LiveTable
from headrace.compute.notify.desk import NotifyDesk
from headrace.compute.points.desk import CalculationDesk
from headrace.compute.streams.desk import StreamDesk
from headrace.compute.streams.feeding import Feeder
from headrace.compute.streams.register import Register
from headrace.compute.streams.versions import StreamVersions
from headrace.connect import drivers as driver_folder
from headrace.connect import outlets as outlet_folder
from headrace.connect.ingest.desk import IngestDesk
from headrace.connect.messengers import all_messengers
from headrace.connect.outlets.supervisor import OutletSupervisor, OutletSurroundings
from headrace.connect.supervisor import Supervisor
from headrace.connect.surroundings import Surroundings
from headrace.connect.trust import TrustStore
from headrace.control.desk import ControlDesk
from headrace.exchange.link import EdgeHub
from headrace.exchange.numbering import Declared
from headrace.exchange.unix_server import BusServer
from headrace.fleet.devices import Devices
from headrace.fleet.devices.authority import DeviceAuthority
from headrace.fleet.edges import Edges
from headrace.history import open_history
from headrace.hosting.abilities import Abilities
from headrace.hosting.signing import KeyFile
from headrace.platform.app_hosting import Rooms, app_abilities, app_hosting
from headrace.platform.calculating import CalculatingBus
from headrace.platform.database import open_database
from headrace.platform.history_care import HistoryDesk
from headrace.platform.listening import GatewayCertificates
from headrace.platform.outward import message_context, outlet_context, tell_alarms
from headrace.platform.pipeline import Pipeline
from headrace.platform.reaching import FieldWriter, PlantReadings, persons
from headrace.platform.reconcile import Reconciler, ReconcilingRegistry
from headrace.platform.settings import Settings, make_home
from headrace.platform.stream_sharing import SharedStreams
from headrace.platform.this_machine import names_of
from headrace.registry import TenantRegistries
from headrace.sdk.app_desk import AppDesk
from headrace.sdk.clock import Clock, SystemClock
from headrace.sdk.reach import Reach, Reaches
from headrace.sdk.references import References
from headrace.sdk.secret_files import SecretFiles
from headrace.sdk.store import HistoryStore
from headrace.sdk.tenancy import tenant_of_name


@dataclass(frozen=True, slots=True)
class Platform:
    """The running rooms, for `api/` and `cli/` to use."""

    settings: Settings
    clock: Clock
    started_ns: int
    bus: CalculatingBus
    store: HistoryStore
    live: LiveTable
    access: AccessDesk
    trail: AuditTrail
    alarms: AlarmDesk
    calculations: CalculationDesk
    backtests: BacktestDesk
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
    reaches: Reaches
    sealer: Keyring
    web: WebIdentity
    certificates: CertificateDesk
    streams: StreamVersions
    notifications: NotifyDesk
    apps: AppDesk

    @property
    def tls_context(self) -> ssl.SSLContext | None:
        """For the console's listener."""
        return self.web.live.context if self.settings.secure else None


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
        ring = await asyncio.to_thread(open_keyring, settings.home, settings.seal_key)
        secrets = SecretFiles(ring, settings.home)
        bus = CalculatingBus()
        live = LiveTable()
        kept = await asyncio.to_thread(AuditFolder, settings.audit_dir, settings.keys_dir, settings.audit)
        trail = AuditTrail(engine, time, kept)
        keeper = AuditKeeper(trail, kept, bus.publish_events)
        await keeper.start()
        stack.push_async_callback(keeper.close)
        providers = () if settings.sign_in is None else read_providers(settings.sign_in)
        access = AccessDesk(engine, time, trail=trail, providers=Providers(providers, time), sealer=ring)
        care = HistoryDesk(
            store, time, access, backup_to=settings.backup_to, backup_every_s=settings.backup_every_s,
            keep=settings.backup_keep,
        )  # fmt: skip
        stack.push_async_callback(care.close)
        alarms = AlarmDesk(engine, time, access, access, live, access.memory.tenant_of, store)
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
        calculations = CalculationDesk(store, time, bus.publish_results, pipeline.settled, tick_s=settings.alarm_tick_s)
        bus.calculate = calculations.take

        def handles() -> Mapping[str, int]:
            return {path: at for at, path in store.paths().items()}

        backtests = BacktestDesk(store, alarms, handles, time)
        afterwards = Afterwards(alarms, store, lambda: reconciler.directory.model, handles, pipeline.settled, time)
        reaches = _reaches(settings)

        def reach_of(name: str) -> Reach:
            return reaches.of(tenant_of_name(access.memory, name))

        def references_of(name: str) -> References:
            return References.of(settings.home, settings.secrets, tenant_of_name(access.memory, name))

        devices = Devices(
            engine, time, access, lambda: registry, access.memory,
            authority=DeviceAuthority(settings.fleet_dir, secrets), publish_events=bus.publish_events,
        )  # fmt: skip
        web = await _web_identity(settings, secrets, time, access)
        stack.callback(web.close)
        shown = GatewayCertificates(web, devices.certificates)
        stack.callback(shown.close)
        around = Surroundings(
            time,
            bus.publish,
            bus.publish_events,
            settings.connections_dir,
            intake=pipeline,
            devices=devices.door,
            secrets=secrets,
            certificates=shown,
            reach_of=reach_of,
            references_of=references_of,
        )
        links = Supervisor(drivers, around, trust)
        commands = ControlDesk(
            lambda: reconciler.directory.points(),
            FieldWriter(lambda: reconciler.directory.model, links, lambda: hub),
            access, access, engine, time, emit=bus.publish_events,
            plant=PlantReadings(live, store, lambda: reconciler.directory.handles), person_of=persons(access),
            tenant_of=access.memory.tenant_of,
        )  # fmt: skip
        outlet_types = outlet_folder.load()
        context = outlet_context(live, access, commands, time, settings.outlets_dir, secrets)
        outlets = OutletSupervisor(
            outlet_types,
            OutletSurroundings(
                bus,
                context,
                bus.publish_events,
                settings.outlets_dir,
                tenants=access.memory,
                reach_of=reach_of,
                references_of=references_of,
            ),
        )
        messengers = all_messengers()
        notifications = NotifyDesk(
            engine, time, alarms, messengers, lambda name: message_context(name, time, reach_of, references_of), access,
            tenants=access.memory, link=settings.public_url,
        )  # fmt: skip
        reconciler = Reconciler(store, alarms, links, drivers, outlets, calculations, notifications)
        declared = TenantRegistries(
            engine, drivers, time, outlet_types, messengers, tenants=access.memory, on_hub=reaches.on_hub,
            functions=lambda tenant: streams.functions(tenant),
        )  # fmt: skip
        registry = ReconcilingRegistry(declared, reconciler, lambda model: edges.refresh(model))
        edges = Edges(
            engine, time, access, declared, settings.fleet_dir, provide=registry.provide,
            handles=lambda: reconciler.directory.handles, publish=bus.publish, guests=devices.guests,
            tenants=access.memory,
            secrets=secrets,
        )  # fmt: skip
        hub = None
        if settings.listen_edges is not None:
            hub = EdgeHub(store, pipeline, edges.door, edges.desk, bus.publish_events, time, tenants=access.memory)
        certificates = CertificateDesk(
            web, ring, settings.home, engine, access, reference=settings.seal_key, others=devices.certificates.status
        )
        functions = StreamDesk(Register(settings.streams_dir), bus, store, pipeline, time, tenants=access.memory)
        streams = StreamVersions(
            Register(settings.streams_dir), access, access.memory, time, functions,
            check=lambda function, tenant: declared.check_function(function, tenant=tenant),
            changed=registry.functions_changed,
        )  # fmt: skip
        key = await asyncio.to_thread(KeyFile, settings.keys_dir, secrets)

        def abilities_of(tenant: str) -> Abilities:
            return app_abilities(
                tenant, access.memory, Rooms(registry, live, store, bus, alarms, commands), reaches.of(tenant), key
            )

        hosting = await asyncio.to_thread(
            app_hosting, settings, time, abilities_of, access=access, tenants=access.memory, secrets=secrets,
            plants=registry,
        )  # fmt: skip
        platform = Platform(
            settings=settings,
            clock=time,
            started_ns=time.now_ns(),
            bus=bus,
            store=store,
            live=live,
            access=access,
            trail=trail,
            alarms=alarms,
            calculations=calculations,
            backtests=backtests,
            links=links,
            commands=commands,
            registry=registry,
            reconciler=reconciler,
            pipeline=pipeline,
            care=care,
            devices=devices,
            edges=edges,
            hub=hub,
            ingest=IngestDesk(lambda: reconciler.directory, pipeline, time, access.memory),
            outlets=outlets,
            sealer=ring,
            web=web,
            certificates=certificates,
            reaches=reaches,
            streams=streams,
            notifications=notifications,
            apps=hosting.desk,
        )

        async def in_the_way(name: str, roots: Sequence[str]) -> Sequence[str]:
            found = [*devices.in_the_way(name, roots), *edges.in_the_way(name, roots)]
            found += await asyncio.to_thread(streams.in_the_way, name)
            found += await asyncio.to_thread(hosting.desk.in_the_way, name)
            return [*await registry.in_the_way(name, roots), *found]

        access.watch_tenants(in_the_way, registry.tenants_changed)
        await access.tokens()  # from here on tokens are known without waiting
        await streams.start()
        await alarms.start()
        stack.push_async_callback(alarms.close)
        await notifications.start()
        stack.push_async_callback(notifications.close)
        await commands.start()
        stack.push_async_callback(commands.close)
        await devices.start()
        stack.push_async_callback(devices.close)
        stack.push_async_callback(edges.close)
        numbering = Declared(lambda: reconciler.directory.handles, store.paths)
        sharing = None
        if settings.stream_work is not None:
            feeder = Feeder(bus, store, pipeline.settled, time, settings.streams_dir / "work.marks")
            sharing = SharedStreams(settings.stream_work, feeder, functions, store, pipeline, numbering, time)
            await sharing.start()
        if settings.share_bus:
            await stack.enter_async_context(BusServer(bus, numbering, settings.run_dir / "bus.sock"))
        async with asyncio.TaskGroup() as tasks:
            flow = tasks.create_task(pipeline.run(), name="pipeline")
            field = tasks.create_task(links.run(), name="links")
            outward = tasks.create_task(outlets.run(), name="outlets")
            telling = tasks.create_task(notifications.run(), name="notifications")
            apps = tasks.create_task(hosting.keeper.run(), name="apps")
            if sharing is not None:
                tasks.create_task(sharing.run(), name="stream-sharing")  # until the bus is closed
            by_the_clock = [
                tasks.create_task(keeper.run(), name="audit"),
                tasks.create_task(care.run(), name="history-care"),
                tasks.create_task(devices.run(), name="devices"),
                tasks.create_task(edges.run(), name="edges"),
                tasks.create_task(web.run(), name="web-identity"),
                tasks.create_task(shown.run(), name="gateway-certificates"),
                tasks.create_task(commands.run(), name="commands"),
                tasks.create_task(calculations.run(), name="calculations"),
                tasks.create_task(backtests.run(), name="backtests"),
                tasks.create_task(afterwards.run(), name="alarms-afterwards"),
                tasks.create_task(functions.run(), name="streams"),
                tasks.create_task(tell_alarms(alarms, bus, lambda: reconciler.directory.model), name="tell-alarms"),
            ]
            try:
                await edges.start()
                await registry.start()
                async with _letting_in(hub, settings):
                    yield platform
            finally:
                apps.cancel()  # each in good order, with all rooms there yet
                await asyncio.gather(apps, return_exceptions=True)
                for task in by_the_clock:
                    task.cancel()
                links.stop()
                await field
                outlets.stop()
                await outward
                await bus.close()
                await flow
                notifications.stop()  # what the last samples raised is read at the next start
                await telling


async def _web_identity(settings: Settings, secrets: SecretFiles, clock: Clock, audit: AccessDesk) -> WebIdentity:
    given = None
    if settings.tls_certificate is not None and settings.tls_key is not None:
        given = Given(settings.tls_certificate, settings.tls_key)
    web = WebIdentity(settings.tls_dir, secrets, lambda: names_of(settings), clock, audit, given)
    if settings.secure:
        await web.start()
    return web


def _reaches(settings: Settings) -> Reaches:
    """Where declarations may connect to: never to what this platform itself listens on."""
    reaches = Reaches(settings.reach)
    for port in (settings.port, *(where[1] for where in (settings.listen_edges, settings.listen_edges_web) if where)):
        if port:
            reaches.occupy(port)
    return reaches


@asynccontextmanager
async def _letting_in(hub: EdgeHub | None, settings: Settings) -> AsyncIterator[None]:
    """Edges, as long as the block, where that was asked for."""
    if hub is None or settings.listen_edges is None:
        yield
        return
    async with hub.listening(*settings.listen_edges, settings.listen_edges_web):
        yield
