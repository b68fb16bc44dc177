"""What each edge should run, what it says it runs, and how its link is.

    registry ──refresh──► share of each edge ─┬─► Desired; its revision grows when it says something else
    register of devices ──those under it──────┘
    edge ──reported──► Actual          hub's end of the link ──measured──► LinkQuality ──run──► bus, once a second

What an edge says of itself is saved every few seconds, and asked again after a restart.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

import orjson

from headrace.fleet.edges.link import LinkRecorder
from headrace.fleet.edges.roll import EdgeRoll
from headrace.fleet.edges.store import EdgeStore
from headrace.model.batch import Batch
from headrace.model.errors import Unavailable
from headrace.sdk.clock import Clock
from headrace.sdk.devices import GATEWAY
from headrace.sdk.edges import Actual, Declarations, Desired, LinkQuality, Share
from headrace.sdk.notices import Notices

_log = logging.getLogger(__name__)

TICK_S: Final = 1.0
SAVE_EVERY_TICKS: Final = 10
FACTS_BYTES_MAX: Final = 16 * 1024
ERROR_CHARACTERS_MAX: Final = 4_000

Publish = Callable[[Sequence[Batch]], Awaitable[None]]


class Guests(Protocol):
    """Which devices the gateways of an edge let in."""

    @property
    def version(self) -> int:
        """Another one after every change."""
        ...

    def of(self, prefix: str) -> str:
        """What they know them by, for the part of the plant that is the edge's."""
        ...


class Desk:
    """Implements `sdk.edges.EdgeDesk`."""

    def __init__(
        self, roll: EdgeRoll, store: EdgeStore, clock: Clock, declarations: Declarations, changing: asyncio.Lock,
        *, handles: Callable[[], Mapping[str, int]], publish: Publish, guests: Guests,
    ) -> None:  # fmt: skip
        self._guests, self._guests_version = guests, 0
        self._roll, self._store, self._clock, self._changing = roll, store, clock, changing
        self._declarations, self._publish = declarations, publish
        self._shares: Mapping[str, Share] = {}
        self._devices: Mapping[str, str] = {}
        self._dirty: set[str] = set()
        self._told = ""
        self.links = LinkRecorder(handles)
        self.notices = Notices()

    async def run(self) -> None:
        """Until it is cancelled."""
        ticks = 0
        while True:
            await self._clock.sleep(TICK_S)
            ticks += 1
            batches = self.links.drain(self._roll.enrolled(), self._clock.now_ns(), self._clock.monotonic_s())
            if batches:
                await self._publish(batches)
            if self._guests.version != self._guests_version:
                await self._follow_devices()
            if ticks % SAVE_EVERY_TICKS == 0:
                await self.save()

    def desired(self, edge: str) -> Desired | None:
        held = self._roll.find(edge)
        if held is None or held.life.desired_revision == 0 or edge not in self._shares:
            return None
        return Desired(held.life.desired_revision, self._shares[edge].files, self._devices.get(edge, ""))

    def share(self, edge: str) -> Share:
        return self._shares.get(edge, Share())

    def reported(self, edge: str, actual: Actual) -> None:
        held = self._roll.find(edge)
        if held is None:
            return
        life = held.life
        error, version = _clean(actual.error[:ERROR_CHARACTERS_MAX]), _clean(actual.version[:100])
        life.actual = replace(actual, error=error, version=version, facts=_facts(actual.facts))
        if life.desired_revision and actual.revision > life.desired_revision:
            life.desired_revision = actual.revision + 1  # this hub was restored from a backup, and forgot some
            self.notices.tell(edge)
        self._dirty.add(edge)

    def measured(self, edge: str, quality: LinkQuality) -> None:
        held = self._roll.find(edge)
        if held is None:
            return
        self.links.take(edge, quality, self._clock.monotonic_s())
        if quality.connected:
            held.life.last_contact_ns = quality.last_contact_ns
            self._dirty.add(edge)

    def quality(self, edge: str) -> LinkQuality | None:
        """None while nobody measures."""
        return self.links.newest(edge, self._clock.monotonic_s())

    def changes(self) -> AsyncIterator[str]:
        return self.notices.watch()

    async def refresh(self) -> None:
        """Under the lock: the share of each edge anew, saved before it is told. Raises: Unavailable."""
        await self._take(await self._declarations.shares({edge.name: edge.prefix for edge in self._roll}))

    async def _follow_devices(self) -> None:
        """Only the register of devices changed; what could not be saved is tried again at the next tick."""
        try:
            async with self._changing:
                await self._take(self._shares)
        except Unavailable as error:
            if str(error) != self._told:
                _log.warning("edges are not told yet which devices to let in: %s", error)
            self._told = str(error)

    async def _take(self, shares: Mapping[str, Share]) -> None:
        version = self._guests.version
        known = [edge for edge in self._roll if edge.name in shares]
        devices = {edge.name: self._guests.of(edge.prefix) for edge in known if GATEWAY in shares[edge.name].drivers}
        changed = {}
        for edge in known:
            digest, life = _digest(shares[edge.name], devices.get(edge.name, "")), edge.life
            if digest != life.desired_digest and (shares[edge.name].files or life.desired_revision):
                revision = life.desired_revision + 1
                saved = replace(edge, life=replace(life, desired_revision=revision, desired_digest=digest))
                changed[edge.name] = saved
        if changed:
            await self._store.change(*changed.values())
        self._shares, self._devices, self._guests_version = shares, devices, version
        for name, saved in changed.items():
            life = self._roll.get(name).life  # it may have reported meanwhile
            life.desired_revision = max(life.desired_revision, saved.life.desired_revision)
            life.desired_digest = saved.life.desired_digest
        self.notices.tell(*changed)

    async def save(self) -> None:
        names, self._dirty = self._dirty, set()
        try:
            async with self._changing:
                edges = [edge for name in names if (edge := self._roll.find(name)) is not None]
                if edges:
                    await self._store.change(*edges)
            self._told = ""
        except Unavailable as error:
            self._dirty |= names
            if str(error) != self._told:
                _log.warning("what edges say of themselves is not saved for now, and kept in memory: %s", error)
            self._told = str(error)


def _digest(share: Share, devices: str) -> str:
    return hashlib.sha256(json.dumps(sorted(share.files.items())).encode() + devices.encode()).hexdigest()


def _facts(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """As JSON keeps them; none where they are too many or cannot be kept."""
    try:
        text = orjson.dumps(dict(facts))
    except TypeError:  # orjson.JSONEncodeError is one
        return {}
    kept: dict[str, Any] = orjson.loads(text) if len(text) <= FACTS_BYTES_MAX else {}
    return kept


def _clean(text: str) -> str:
    """What every database takes: no NUL, no lone surrogate."""
    return text.replace("\0", "�").encode("utf-8", "replace").decode("utf-8")
