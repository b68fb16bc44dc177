"""An edge: the same drivers, live table, alarms and flow as a hub's, with a spool where the historian stands.

    start   database ► spool ► bus ► pipeline ► what was declared last (alarms, links) ► link to the hub
    stop    link ► links ► bus drained ► pipeline ► spool ► database

It listens to nobody: everything goes over the connection that it makes to its hub.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from headrace.access.desk import AccessDesk
from headrace.access.seal import open_keyring
from headrace.compute.alarms.desk import AlarmDesk
from headrace.compute.live import LiveTable
from headrace.connect import drivers as driver_folder
from headrace.connect.supervisor import Supervisor
from headrace.connect.surroundings import Surroundings
from headrace.connect.trust import TrustStore
from headrace.exchange.link import EdgeLink, LinkSettings
from headrace.exchange.link.dial import Address, Proxy
from headrace.exchange.link.enrol import Identity, enrol
from headrace.exchange.local import LocalBus
from headrace.exchange.spool import Spool, SpoolSettings, open_spool
from headrace.fleet.devices import GuestDoor
from headrace.model.errors import ConfigError, Unavailable, Unreachable
from headrace.model.events import Event
from headrace.platform.database import open_database
from headrace.platform.edge_role import EdgePlant
from headrace.platform.pipeline import Pipeline
from headrace.platform.reconcile import Reconciler
from headrace.platform.settings import make_home
from headrace.registry import DeclarationRegistry
from headrace.sdk.access import DEFAULT_TENANT
from headrace.sdk.bus import Overflow
from headrace.sdk.clock import Clock, SystemClock
from headrace.sdk.edges import EdgeToken
from headrace.sdk.reach import Reaches
from headrace.sdk.references import References
from headrace.sdk.secret_files import SecretFiles

log = logging.getLogger(__name__)
_EVENTS: Final = 10_000
_ENROL_PAUSE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class EdgeSettings:
    """`commit_interval_s` is how long samples are gathered before they are made durable, and sent, together."""

    home: Path
    hub: Address
    token: EdgeToken | None = None
    proxy: Proxy | None = None
    spool: SpoolSettings = field(default_factory=SpoolSettings)
    link: LinkSettings = field(default_factory=LinkSettings)
    commit_interval_s: float = 0.1
    alarm_tick_s: float = 1.0
    bus_capacity: int = 400_000
    seal_key: str = ""
    reach: tuple[str, ...] = ()
    secrets: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class EdgeNode:
    """The running rooms, for `cli/`."""

    name: str
    settings: EdgeSettings
    bus: LocalBus
    spool: Spool
    link: EdgeLink
    links: Supervisor
    plant: EdgePlant
    pipeline: Pipeline


@asynccontextmanager
async def running_edge(settings: EdgeSettings, clock: Clock | None = None) -> AsyncIterator[EdgeNode]:
    """An edge that runs as long as the block, connected or not. At the first start it waits until its hub has let it
    in. Raises: ConfigError without a token then; AccessError for a token that is no good; Unavailable."""
    make_home(settings.home)
    time = clock or SystemClock()
    ring = await asyncio.to_thread(open_keyring, settings.home, settings.seal_key)
    secrets = SecretFiles(ring, settings.home)
    identity = await _enrolled(settings, time)
    async with AsyncExitStack() as stack:
        engine = await asyncio.to_thread(open_database, f"sqlite:///{settings.home / 'database.db'}")
        stack.callback(engine.dispose)
        spool = await open_spool(settings.home / "spool", settings.spool, time)
        stack.push_async_callback(spool.close)
        bus, live = LocalBus(), LiveTable()
        access = AccessDesk(engine, time)
        alarms = AlarmDesk(engine, time, access, access, live)
        connections = settings.home / "connections"
        drivers = driver_folder.load()
        pipeline = Pipeline(
            bus, spool, live, alarms, time,
            capacity=settings.bus_capacity, commit_interval_s=settings.commit_interval_s, tick_s=settings.alarm_tick_s,
        )  # fmt: skip
        door = GuestDoor(settings.home / "devices.json", time)
        stack.callback(door.close)
        reach = Reaches(settings.reach).of(DEFAULT_TENANT)
        references = References.of(settings.home, settings.secrets)
        around = Surroundings(
            time, bus.publish, bus.publish_events, connections, intake=pipeline, devices=door, secrets=secrets,
            reach_of=lambda _connection: reach, references_of=lambda _connection: references,
        )  # fmt: skip
        links = Supervisor(drivers, around, TrustStore(connections / "trusted.json"))
        reconciler = Reconciler(spool, alarms, links, drivers)
        plant = EdgePlant(settings.home, DeclarationRegistry(engine, drivers, time), reconciler, links, door)
        link = EdgeLink(settings.hub, identity, spool, plant, time, settings.link, proxy=settings.proxy)
        await alarms.start()
        stack.push_async_callback(alarms.close)
        async with asyncio.TaskGroup() as tasks:
            flows = [
                tasks.create_task(pipeline.run(), name="pipeline"),
                tasks.create_task(_send_events(bus, spool), name="events"),
            ]
            telling = tasks.create_task(_tell_alarms(alarms, bus), name="alarm-events")
            field_side = tasks.create_task(links.run(), name="links")
            try:
                await plant.start()
                to_hub = tasks.create_task(link.run(), name="link")
                yield EdgeNode(identity.name, settings, bus, spool, link, links, plant, pipeline)
                link.stop()
                await to_hub
            finally:
                link.stop()
                telling.cancel()
                links.stop()
                await field_side
                await bus.close()
                await asyncio.gather(*flows)


async def _enrolled(settings: EdgeSettings, clock: Clock) -> Identity:
    """The identity of this edge; asks its hub for one where it has none."""
    identity = Identity(settings.home / "identity")
    if identity.enrolled:
        return identity
    if settings.token is None:
        raise ConfigError(
            f"the edge in {settings.home} is not known to any hub yet; make a token there and start with --token hre_…"
        )
    said = ""
    while True:
        try:
            await enrol(identity, settings.token, settings.hub, settings.link, settings.proxy)
            log.info("enrolled as '%s'", identity.name)
            return identity
        except Unreachable as error:
            if error.message != said:
                log.warning("waiting for the hub: %s", error)
            said = error.message
            await clock.sleep(_ENROL_PAUSE_S)


async def _send_events(bus: LocalBus, spool: Spool) -> None:
    """What happens here is told at the hub. Where the disk takes nothing, the newest of it waits in the queue."""
    async for events in bus.subscribe_events("uplink", capacity=_EVENTS, overflow=Overflow.DROP_OLDEST):
        try:
            await spool.append_events(events)
        except Unavailable as error:
            log.error("%d events are lost: %s", len(events), error)


async def _tell_alarms(alarms: AlarmDesk, bus: LocalBus) -> None:
    async for transitions in alarms.transitions():
        await bus.publish_events(
            [
                Event(
                    str(uuid.uuid4()), "alarms", each.event, each.rule.rpartition(":")[0],
                    each.time_ns, {k: v for k, v in asdict(each).items() if k != "time_ns"},
                )
                for each in transitions
            ]
        )  # fmt: skip
