"""The register of devices as people see it: add, approve, block, rename, rotate, import; each act durable and audited.

    engineer ──► checked ──► declarations (an asset) ──► database ──► roll ──► audit ──► notice to the gateways
    gateway  ──► Door (door.py) ──► roll                                └► the device comes again, with its new rights
    every few seconds: lives of devices ──► database;  devices that waited a week in vain are forgotten

One process owns the table. What is in memory is what counts: a change is durable before it is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import Engine

from headrace.fleet.devices import assets, sheet
from headrace.fleet.devices.authority import DeviceAuthority
from headrace.fleet.devices.certifying import DeviceCertificates, Publish, certificate_of
from headrace.fleet.devices.credentials import check_secret, keep, new_secret
from headrace.fleet.devices.door import Door
from headrace.fleet.devices.guests import GuestList
from headrace.fleet.devices.papers import PaperStore
from headrace.fleet.devices.records import Device
from headrace.fleet.devices.roll import Roll
from headrace.fleet.devices.store import DeviceStore
from headrace.fleet.devices.topics import check_filters, check_name, default_filters, filled, suggest
from headrace.model.errors import Conflict, DataError, LimitReached, Unavailable
from headrace.model.points import check_path
from headrace.model.time import DAY_NS
from headrace.sdk.access import DEFAULT_TENANT, AuditLog, Tenants
from headrace.sdk.clock import Clock
from headrace.sdk.devices import DeviceState, Preview
from headrace.sdk.fleet import (
    DeviceChange,
    DevicePage,
    DeviceRecord,
    ImportedDevices,
    NewAsset,
    NewDevice,
    Refusal,
    RowError,
)
from headrace.sdk.services import Registry
from headrace.sdk.tenancy import ONE_TENANT, Ground, topic_head

_log = logging.getLogger(__name__)

SAVE_EVERY_S: Final = 5.0
CERTIFICATES_EVERY_S: Final = 3_600.0
WAITS_AT_MOST_NS: Final = 7 * DAY_NS
PAGE_MAX: Final = 1_000
_PLANS_MAX: Final = 3
DEVICES_OF_TENANT_MAX: Final = 100_000


class Devices:
    """Implements `sdk.fleet.DeviceRegister`; `door` is what gateways are given. `run` saves what moves.

    `registry` is asked for when an asset is declared: gateways are made before it.
    """

    def __init__(
        self, engine: Engine, clock: Clock, audit: AuditLog, registry: Callable[[], Registry],
        tenants: Tenants = ONE_TENANT, *, authority: DeviceAuthority | None = None,
        publish_events: Publish | None = None,
    ) -> None:  # fmt: skip
        """`authority` signs certificates of devices; events say that one ends soon."""
        self._tenants, self._publish_events, self._watched_s = tenants, publish_events, -math.inf
        self._store, self._clock, self._audit, self._registry = DeviceStore(engine), clock, audit, registry
        self._roll = Roll()
        self._changing = asyncio.Lock()
        self._told = ""
        self.door = Door(self._roll, self._store, clock, audit, self._changing, tenants)
        self.guests = GuestList(self._roll, tenants, self.door.papers, clock)
        self.certificates = DeviceCertificates(
            self._roll, self.door.papers, PaperStore(engine), authority, clock, audit, self._changing,
            lambda old, new: self._put(old, new, tell=False), self.door.notices,
        )  # fmt: skip
        self.door.first_use = self.certificates.use

    async def start(self) -> None:
        """Raises: Unavailable."""
        for device in await self._store.load():
            self._roll.put(device)
        await self.certificates.start()

    async def run(self) -> None:
        """Until it is cancelled; then `close`."""
        while True:
            await self._clock.sleep(SAVE_EVERY_S)
            try:
                await self._save()
                await self._forget_the_waiting()
                await self._watch_certificates()
                self._told = ""
            except Unavailable as error:  # it is tried again in a few seconds, and nothing in memory is lost
                if str(error) != self._told:
                    _log.warning("when devices were seen is not saved for now, and kept in memory: %s", error)
                self._told = str(error)

    async def close(self) -> None:
        self.door.notices.close()
        self.certificates.listeners.close()
        with contextlib.suppress(Unavailable):  # only when they were last seen
            await self._save()

    # --- looking ------------------------------------------------------------------------------------------------

    def page(
        self, *, state: DeviceState | None = None, query: str = "", limit: int = 200, cursor: str | None = None,
        tenant: str | None = None,
    ) -> DevicePage:  # fmt: skip
        words = query[:200].casefold().split()
        return self._roll.page(state, words, min(max(limit, 1), PAGE_MAX), cursor, tenant)

    def get(self, name: str, *, tenant: str | None = None) -> DeviceRecord:
        return self._roll.get(name, tenant).record

    def previews(self, name: str, *, tenant: str | None = None) -> Sequence[Preview]:
        return self.door.previews.of(self._roll.get(name, tenant).login)

    def suggested(self, name: str, *, tenant: str | None = None) -> tuple[str, ...]:
        device = self._roll.get(name, tenant)
        topics = [preview.topic for preview in self.door.previews.of(device.login)]
        ground = Ground(self._tenants, device.tenant)
        return suggest([topic for topic in topics if ground.owns_topic(topic)], device.login)

    def refusals(self, *, tenant: str | None = None) -> Sequence[Refusal]:
        return self.door.refusals.list(tenant)

    def in_the_way(self, tenant: str, roots: Iterable[str]) -> Sequence[str]:
        """Devices of `default` that a new tenant would take a name, an asset or a topic from; empty is well."""
        wanted = frozenset(roots)
        return [
            f"device '{one.name}'"
            for one in self._roll
            if one.tenant == DEFAULT_TENANT
            and (
                any(word.startswith(f"{tenant}.") for word in (one.name, one.login))
                or one.asset.partition("/")[0] in wanted
                or any(topic_head(topic) in (tenant, "+", "#") for topic in _topics(one))
            )
        ][:20]

    # --- one device ---------------------------------------------------------------------------------------------

    async def add(
        self, actor: str, device: NewDevice, *, tenant: str = DEFAULT_TENANT
    ) -> tuple[DeviceRecord, str | None]:
        ground = Ground(self._tenants, tenant)
        async with self._changing:
            made, secret = self._made(actor, device, ground)
            self._roll.check_free(made.name, made.login, made.certificate, tenant=tenant)
            self._check_count(tenant, 1)
            await self._store.add([made])
            self._roll.put(made)
            await self.certificates.pin(made, device.certificate)
        self.door.refusals.forget(made.login, tenant)
        await self._audit.record(actor, "device.add", made.name, "done", _shown(made), tenant=tenant)
        return made.record, secret

    async def approve(
        self, actor: str, name: str, *, rename: str | None = None, change: DeviceChange, asset: NewAsset | None = None,
        tenant: str | None = None,
    ) -> DeviceRecord:  # fmt: skip
        async with self._changing:
            old = self._roll.get(name, tenant)
            if asset is not None:
                change = replace(change, asset=asset.path)
            new = replace(_changed(old, change), state=DeviceState.APPROVED, name=check_name(rename or name))
            self._check_own(new)
            self._roll.check_free(new.name, new.login, new.certificate, but=old, tenant=old.tenant)
            # Declared first: should the database fail after that, approving again finds the asset as wanted.
            declared = 0 if asset is None else await assets.declare(self._registry(), actor, [asset], old.tenant)
            await self._put(old, new)
        self.door.refusals.forget(new.login, new.tenant)
        told = {**_shown(new), "declared": declared}
        await self._audit.record(actor, "device.approve", new.name, "done", told, tenant=new.tenant)
        return new.record

    async def block(self, actor: str, name: str, *, tenant: str | None = None) -> DeviceRecord:
        async with self._changing:
            old = self._roll.get(name, tenant)
            new = replace(old, state=DeviceState.BLOCKED)
            await self._put(old, new)
        await self._audit.record(actor, "device.block", name, "done", tenant=old.tenant)
        return new.record

    async def change(
        self, actor: str, name: str, change: DeviceChange, *, tenant: str | None = None
    ) -> DeviceRecord:  # fmt: skip
        async with self._changing:
            old = self._roll.get(name, tenant)
            new = _changed(old, change)
            self._check_own(new)
            await self._put(old, new)
        await self._audit.record(actor, "device.change", name, "done", _shown(new), tenant=old.tenant)
        return new.record

    async def rename(self, actor: str, name: str, new: str, *, tenant: str | None = None) -> DeviceRecord:
        async with self._changing:
            old = self._roll.get(name, tenant)
            renamed = replace(old, name=check_name(new))
            self._check_own(renamed)
            self._roll.check_free(renamed.name, renamed.login, renamed.certificate, but=old, tenant=old.tenant)
            await self._put(old, renamed)
        await self._audit.record(actor, "device.rename", name, "done", {"new": new}, tenant=old.tenant)
        return renamed.record

    async def rotate(self, actor: str, name: str, *, at_once: bool = False, tenant: str | None = None) -> str:
        secret = new_secret()
        async with self._changing:
            old = self._roll.get(name, tenant)
            if old.certificate is not None:
                raise Conflict(f"device '{name}' shows a certificate, which is renewed where it was made")
            kept = keep(secret.encode())
            new = replace(old, secret=kept, next_secret=None) if at_once else replace(old, next_secret=kept)
            await self._put(old, new, tell=at_once)
        self.door.refusals.forget(new.login, new.tenant)
        await self._audit.record(actor, "device.rotate", name, "done", {"at_once": at_once}, tenant=new.tenant)
        return secret

    async def remove(self, actor: str, name: str, *, tenant: str | None = None) -> None:
        async with self._changing:
            device = self._roll.get(name, tenant)
            await self.certificates.end(device)
            await self._drop([device])
        await self._audit.record(actor, "device.remove", name, "done", {"login": device.login}, tenant=device.tenant)

    # --- many devices -------------------------------------------------------------------------------------------

    async def import_rows(
        self, actor: str, rows: Iterable[tuple[int, Sequence[Any]]], *, tenant: str = DEFAULT_TENANT
    ) -> ImportedDevices:
        ground = Ground(self._tenants, tenant)
        read = await asyncio.to_thread(sheet.read, rows)
        async with self._changing:
            fitting = [one for one in read.wanted if self._fits(one, read, ground)]
            fitting = await self._with_good_assets(fitting, read, tenant)
            self._check_count(tenant, len(fitting))
            made = await asyncio.to_thread(
                lambda: [self._made(actor, one.device, ground, one.asset) for one in fitting]
            )
            devices = [device for device, _ in made]
            wanted = [one.asset for one in fitting if one.asset is not None]
            declared = await assets.declare(self._registry(), actor, wanted, tenant) if wanted else 0
            if devices:
                await self._store.add(devices)
                for device in devices:
                    self._roll.put(device)
        names = [device.name for device in devices]
        for name in names:
            self.door.refusals.forget(name, tenant)
        told: dict[str, Any] = {"devices": len(names), "assets": declared, "wrong": len(read.errors) + read.more}
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
        told["sha256"] = digest
        await self._audit.record(actor, "device.import", f"{len(names)} devices", "done", told, tenant=tenant)
        if read.more:
            read.errors.append(RowError(read.errors[-1].row, f"and {read.more} more wrong rows; mend these first"))
        secrets = {device.name: secret for device, secret in made if secret is not None}
        return ImportedDevices(names, secrets, sorted(read.errors, key=lambda error: error.row), declared)

    def _fits(self, wanted: sheet.Wanted, read: sheet.Sheet, ground: Ground) -> bool:
        device = wanted.device
        try:
            ground.check_name("device", device.name)
            ground.check_topics(filled([*(device.publish or ()), *(device.subscribe or ())], device.name))
            self._roll.check_free(device.name, device.name, device.certificate, tenant=ground.tenant)
        except (Conflict, DataError) as error:
            read.wrong(wanted.row, error.message)
            return False
        return True

    async def _with_good_assets(
        self, wanted: list[sheet.Wanted], read: sheet.Sheet, tenant: str
    ) -> list[sheet.Wanted]:  # fmt: skip
        """Those whose assets can be declared, or that have none."""
        wrong: dict[int, str] = {}
        for _ in range(_PLANS_MAX):
            with_assets = [one for one in wanted if one.asset is not None]
            asked = [one.asset for one in with_assets if one.asset is not None]
            wrong = await assets.complaints(self._registry(), asked, tenant) if asked else {}
            if not wrong:
                return wanted
            for at, message in wrong.items():
                read.wrong(with_assets[at].row, message)
            bad = {with_assets[at].row for at in wrong}
            wanted = [one for one in wanted if one.row not in bad]
        first = min(read.errors, key=lambda error: error.row)
        raise DataError(f"many rows are wrong, so nothing was imported; the first is row {first.row}: {first.message}")

    # --- within -------------------------------------------------------------------------------------------------

    def _made(
        self, actor: str, new: NewDevice, ground: Ground, asset: NewAsset | None = None
    ) -> tuple[Device, str | None]:
        """The device and the secret that was made for it. Raises: DataError."""
        name = check_name(new.name)
        certificate = None if new.certificate is None else certificate_of(new.certificate)
        made = new_secret() if certificate is None and new.secret is None else None
        secret = made if new.secret is None else check_secret(new.secret)
        if certificate is not None and secret is not None:
            raise DataError("a device shows a secret or a certificate, not both")
        device = Device(
            name,
            name,
            DeviceState.APPROVED,
            check_filters(default_filters(ground.tenant) if new.publish is None else new.publish),
            check_filters(default_filters(ground.tenant) if new.subscribe is None else new.subscribe),
            secret=None if secret is None else keep(secret.encode()),
            certificate=certificate,
            messages_per_s=None if new.messages_per_s is None else sheet.check_rate(new.messages_per_s),
            asset=asset.path if asset is not None else check_path(new.asset) if new.asset else "",
            note=sheet.check_note(new.note),
            created_by=actor,
            created_ns=self._clock.now_ns(),
            tenant=ground.tenant,
        )
        self._check_own(device)
        return device, made

    def _check_own(self, device: Device) -> None:
        """Its name, its asset and its topics are its tenant's. Raises: DataError."""
        ground = Ground(self._tenants, device.tenant)
        ground.check_name("device", device.name)
        ground.check_topics(_topics(device))
        if device.asset:
            ground.check_path(device.asset)

    def _check_count(self, tenant: str, more: int) -> None:
        """Raises: LimitReached."""
        if tenant != DEFAULT_TENANT and self._roll.count(tenant) + more > DEVICES_OF_TENANT_MAX:
            raise LimitReached(f"a tenant has at most {DEVICES_OF_TENANT_MAX:,} devices; remove some first")

    async def _put(self, old: Device, new: Device, *, tell: bool = True) -> None:
        await self._store.change(old.name, new)
        self._roll.put(new, old)
        if new.state is not DeviceState.QUARANTINED:
            self.door.previews.forget(new.login)
        if tell and (old.admission != new.admission or old.secret != new.secret):
            self.door.notices.tell(new.login)

    async def _drop(self, devices: Sequence[Device]) -> None:
        await self._store.remove([device.name for device in devices])
        for device in devices:
            self._roll.drop(device)
            self.door.previews.forget(device.login)
            self.door.notices.tell(device.login)

    async def _save(self) -> None:
        logins, self.door.dirty = self.door.dirty, set()
        lives = [(login, device.life) for login in logins if (device := self._roll.of_login(login)) is not None]
        if not lives:
            return
        try:
            await self._store.touch(lives)
        except Unavailable:
            self.door.dirty |= logins
            raise

    async def _watch_certificates(self) -> None:
        if self._clock.monotonic_s() - self._watched_s >= CERTIFICATES_EVERY_S:
            self._watched_s = self._clock.monotonic_s()
            await self.certificates.watch(self._publish_events)

    async def _forget_the_waiting(self) -> None:
        """Devices that nobody approved and that have not come for a week; they may enrol again."""
        before_ns = self._clock.now_ns() - WAITS_AT_MOST_NS
        async with self._changing:
            stale = [
                device
                for device in self._roll
                if device.state is DeviceState.QUARANTINED
                and not device.life.online
                and (device.life.last_seen_ns or device.created_ns) < before_ns
            ]
            if stale:
                await self._drop(stale)
        for tenant in sorted({device.tenant for device in stale}):
            names = [device.name for device in stale if device.tenant == tenant]
            told = {"names": names}
            await self._audit.record(
                "register", "device.forgotten", f"{len(names)} devices", "done", told, tenant=tenant
            )  # fmt: skip


def _topics(device: Device) -> tuple[str, ...]:
    """As they will be, the login filled in."""
    return filled((*device.publish, *device.subscribe), device.login)


def _changed(old: Device, change: DeviceChange) -> Device:
    """Raises: DataError."""
    rate = old.messages_per_s if change.messages_per_s is None else sheet.check_rate(change.messages_per_s)
    return replace(
        old,
        publish=old.publish if change.publish is None else check_filters(change.publish),
        subscribe=old.subscribe if change.subscribe is None else check_filters(change.subscribe),
        messages_per_s=None if change.unlimited else rate,
        note=old.note if change.note is None else sheet.check_note(change.note),
        asset=old.asset if change.asset is None else check_path(change.asset) if change.asset else "",
    )


def _shown(device: Device) -> Mapping[str, Any]:
    """What the audit trail keeps of a device: all but its credential."""
    return {
        "login": device.login,
        "publish": list(device.publish),
        "subscribe": list(device.subscribe),
        "messages_per_s": device.messages_per_s,
        "asset": device.asset,
    }
