"""The door that gateways ask: one dictionary look-up and two HMACs a device, no query, no hash that takes its time.

    Claim ─► throttle(peer, login) ─► find by certificate, else login ─► recognised? ─┬► Admission
       │ certificate that was issued and is shown first ─► in use from now on           │   two places at once: told
       └ revoked, ended ─► noted with the reason ─► AccessError                         │
                                                                                      └► blocked: AccessError
      not recognised ─┬► unknown, and shows the gateway's enrolment key ─► quarantine ─► Admission
                      └► noted for the engineer, counted against its peer ─► AccessError, LimitReached

A gateway lets in the devices of its own tenant; to it, all others are unknown. Behind one address there may be a whole
plant, so a peer that fails too often is slowed only where it fails; one login from one peer is locked for a minute even
if it then shows the right secret.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from headrace.fleet.devices.credentials import keep, recognises, shows_key
from headrace.fleet.devices.doubles import Doubles
from headrace.fleet.devices.papers import Paper, Papers
from headrace.fleet.devices.patience import Patience
from headrace.fleet.devices.quarantine import Previews, Refusals
from headrace.fleet.devices.records import Device, Life
from headrace.fleet.devices.roll import Roll
from headrace.fleet.devices.store import DeviceStore
from headrace.fleet.devices.topics import check_name, default_filters
from headrace.model.errors import AccessError, Conflict, DataError, HeadraceError, LimitReached
from headrace.sdk.access import AuditLog, Tenants
from headrace.sdk.clock import Clock
from headrace.sdk.devices import Admission, Claim, DeviceState, Preview
from headrace.sdk.notices import Notices
from headrace.sdk.tenancy import ONE_TENANT, Ground, tenant_of_name

FirstUse = Callable[[Device, Paper], Awaitable[Device]]


class Door:
    """Implements `sdk.devices.DeviceDoor`."""

    def __init__(
        self, roll: Roll, store: DeviceStore, clock: Clock, audit: AuditLog, changing: asyncio.Lock,
        tenants: Tenants = ONE_TENANT,
    ) -> None:  # fmt: skip
        """`changing` is held by whoever changes the roll."""
        self._tenants = tenants
        self._roll, self._store, self._clock, self._audit, self._changing = roll, store, clock, audit, changing
        self._patience = Patience(clock)
        self.previews = Previews()
        self.refusals = Refusals()
        self.notices = Notices()
        self.doubles = Doubles()
        self.papers = Papers()
        self.first_use: FirstUse | None = None  # of a certificate that was issued; given by who issues them
        self.quarantine_doubles = False
        self.dirty: set[str] = set()  # logins whose life is ahead of the database

    async def admit(self, claim: Claim) -> Admission:
        login = claim.user or claim.client_id
        self._patience.check(claim, login)
        ground = Ground(self._tenants, tenant_of_name(self._tenants, claim.gateway))
        device, paper = self._shown(claim, login)
        if device is not None and device.tenant != ground.tenant:
            device = None
        by_certificate = device is not None and (
            paper is not None or (device.certificate is not None and device.certificate == claim.certificate)
        )
        secret, next_secret = (device.secret, device.next_secret) if device is not None else (None, None)
        by_secret, by_next = recognises(secret, claim.password), recognises(next_secret, claim.password)
        if device is None or not (by_certificate or by_secret or by_next):
            if device is None and self._enrols(claim):
                device = await self._enrol(claim, login, ground)
            else:
                why = self._why(claim, device, paper, ground.tenant)
                raise self._turned_away(claim, login, why, ground.tenant)
        elif by_next and not by_certificate:
            device = await self._use_next(device)
        elif paper is not None and device.certificate != paper.fingerprint and self.first_use is not None:
            device = await self.first_use(device, paper)
        if device.state is DeviceState.BLOCKED:
            self.refusals.note(login, claim.gateway, claim.peer, "blocked", self._clock.now_ns(), ground.tenant)
            raise AccessError(f"device '{device.name}' is blocked; an engineer has to approve it again")
        if device.state is DeviceState.APPROVED and not _keeps_to(ground, device):
            raise self._turned_away(claim, login, "topics of another tenant", ground.tenant)
        if self.doubles.came(device.login, claim.peer, device.life.online, self._clock.monotonic_s()):
            await self._double(device, claim, ground)
        device.life.gateway, device.life.peer = claim.gateway, claim.peer[:64]
        self.dirty.add(device.login)
        return device.admission

    def preview(self, device: str, preview: Preview) -> None:
        known = self._roll.of_login(device)
        if known is not None and known.state is DeviceState.QUARANTINED:
            self.previews.take(device, preview)

    def seen(self, device: str, now_ns: int, online: bool, *, messages: int = 0, refused: int = 0) -> None:
        known = self._roll.of_login(device)
        if known is None:
            return
        life = known.life
        life.online, life.last_seen_ns = online, now_ns
        if life.first_seen_ns is None:
            life.first_seen_ns = now_ns
        life.messages += messages
        life.refused += refused
        self.dirty.add(device)

    def changes(self) -> AsyncIterator[str]:
        return self.notices.watch()

    # --- within -------------------------------------------------------------------------------------------------

    def _shown(self, claim: Claim, login: str) -> tuple[Device | None, Paper | None]:
        """Who shows this, and the issued certificate by which it is known. One that is good no more names nobody, and
        keeps whoever shows it out, whatever else it shows."""
        paper = self.papers.find(claim.certificate)
        if paper is None:
            return self._roll.shown(claim.certificate, login), None
        if not paper.good(self._clock.now_ns()):
            return None, None
        return self._roll.of_login(paper.login), paper

    def _why(self, claim: Claim, device: Device | None, paper: Paper | None, tenant: str) -> str:
        """For the engineer, never for whoever was turned away; nothing of another tenant's device."""
        held = self.papers.find(claim.certificate)
        if held is not None and paper is None and held.tenant == tenant:
            ended = "has ended" if held.revoked_ns is None else f"was revoked ({held.reason})"
            return f"certificate of '{held.login}' that {ended}"
        if claim.certificate is not None and device is None:
            return f"certificate not known: {claim.certificate[:16]}…"
        return "unknown" if device is None else "wrong credential"

    async def _double(self, device: Device, claim: Claim, ground: Ground) -> None:
        """The same credential in two places. Raises: AccessError where such devices go to quarantine."""
        why = f"one credential in two places: {device.life.peer} and {claim.peer}"
        self.refusals.note(device.login, claim.gateway, claim.peer, why, self._clock.now_ns(), ground.tenant)
        told = {"peers": [device.life.peer, claim.peer], "gateway": claim.gateway}
        outcome = "quarantined" if self.quarantine_doubles else "told"
        await self._audit.record(
            f"gateway:{claim.gateway}", "device.double", device.name, outcome, told, tenant=device.tenant
        )
        if not self.quarantine_doubles:
            return
        async with self._changing:
            current = self._roll.find(device.name)
            if current is not None:
                held = replace(current, state=DeviceState.QUARANTINED)
                await self._store.change(current.name, held)
                self._roll.put(held, current)
                self.notices.tell(held.login)
        raise AccessError(f"device '{device.name}' is in two places at once; an engineer has to look at it")

    def _enrols(self, claim: Claim) -> bool:
        """Who shows a certificate that was revoked or has ended is no stranger, and does not become one."""
        if claim.enrolment is None or self.papers.find(claim.certificate) is not None:
            return False
        return shows_key(claim.password, claim.enrolment.key, claim.certificate is not None)

    async def _enrol(self, claim: Claim, login: str, ground: Ground) -> Device:
        """Take somebody unknown into quarantine; what it showed is its credential from now on."""
        assert claim.enrolment is not None and claim.password is not None
        waiting_max = claim.enrolment.waiting_max
        async with self._changing:
            if self._roll.waiting(ground.tenant) >= waiting_max:
                now_ns = self._clock.now_ns()
                self.refusals.note(login, claim.gateway, claim.peer, "quarantine full", now_ns, ground.tenant)
                raise LimitReached(f"{waiting_max} devices wait in quarantine; approve or remove some first")
            try:
                ground.check_name("device", check_name(login))
                self._roll.check_free(login, login, claim.certificate, tenant=ground.tenant)
            except (DataError, Conflict) as error:
                raise self._turned_away(claim, login, str(error), ground.tenant) from None
            pinned = None if claim.certificate is not None else keep(claim.password)
            device = Device(
                login,
                login,
                DeviceState.QUARANTINED,
                default_filters(ground.tenant),
                default_filters(ground.tenant),
                secret=pinned,
                certificate=claim.certificate,
                created_by=f"gateway:{claim.gateway}",
                created_ns=self._clock.now_ns(),
                tenant=ground.tenant,
                life=Life(claim.gateway, claim.peer[:64]),
            )
            await self._store.add([device])
            self._roll.put(device)
        told = {"peer": claim.peer}
        await self._audit.record(
            device.created_by, "device.quarantined", login, "done", told, tenant=ground.tenant
        )  # fmt: skip
        return device

    async def _use_next(self, device: Device) -> Device:
        """The new secret was shown for the first time: the old one is good no more."""
        async with self._changing:
            current = self._roll.find(device.name)
            if current is None or current.next_secret != device.next_secret:
                return current if current is not None else device
            changed = replace(current, secret=current.next_secret, next_secret=None)
            await self._store.change(current.name, changed)
            self._roll.put(changed, current)
        return changed

    def _turned_away(self, claim: Claim, login: str, reason: str, tenant: str) -> HeadraceError:
        """Noted and counted."""
        self.refusals.note(login, claim.gateway, claim.peer, reason, self._clock.now_ns(), tenant)
        return self._patience.turned_away(claim, login)


def _keeps_to(ground: Ground, device: Device) -> bool:
    admission = device.admission
    return all(ground.owns_topic(one) for one in (*admission.publish, *admission.subscribe))
