"""The door that gateways ask: one dictionary look-up and two HMACs a device, no query, no hash that takes its time.

    Claim ─► throttle(peer, login) ─► find by certificate, else login ─► recognised? ─┬► Admission
                                                                                      └► blocked: AccessError
      not recognised ─┬► unknown, and shows the gateway's enrolment key ─► quarantine ─► Admission
                      └► noted for the engineer, counted against its peer ─► AccessError, LimitReached

Behind one address there may be a whole plant, so a peer that fails too often is slowed only where it fails; one login
from one peer is locked for a minute even if it then shows the right secret.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final

from headrace.fleet.devices.credentials import keep, recognises, shows_key
from headrace.fleet.devices.quarantine import Previews, Refusals
from headrace.fleet.devices.records import Device, Life
from headrace.fleet.devices.roll import Roll
from headrace.fleet.devices.store import DeviceStore
from headrace.fleet.devices.topics import DEFAULT_FILTERS, check_name
from headrace.fleet.notices import Notices
from headrace.model.errors import AccessError, Conflict, DataError, HeadraceError, LimitReached
from headrace.sdk.access import AuditLog
from headrace.sdk.clock import Clock
from headrace.sdk.devices import Admission, Claim, DeviceState, Preview
from headrace.sdk.throttle import Throttle, ThrottleLimits

LOGIN_LIMITS: Final = ThrottleLimits(free=5, locked_after=20, delay_max_s=30.0, lock_s=60.0)
PEER_LIMITS: Final = ThrottleLimits(free=300, locked_after=1_000, delay_max_s=5.0, lock_s=60.0)
_UNKNOWN: Final = "this device or its credential is not known here; ask who looks after the register of devices"


class Patience:
    """With whoever shows something wrong: none for guessing at one login, a little for a peer."""

    def __init__(self, clock: Clock) -> None:
        self._by_login, self._by_peer = Throttle(LOGIN_LIMITS, clock), Throttle(PEER_LIMITS, clock)

    def check(self, claim: Claim, login: str) -> None:
        """Raises: LimitReached."""
        self._by_login.check(f"{claim.peer}|{login}")

    def turned_away(self, claim: Claim, login: str) -> AccessError | LimitReached:
        """The same words for a name that is unknown as for a secret that is wrong."""
        try:
            self._by_peer.check(claim.peer)
        except LimitReached as error:
            return error
        self._by_peer.begin(claim.peer)
        self._by_login.begin(f"{claim.peer}|{login}")
        return AccessError(_UNKNOWN, authenticated=False)


class Door:
    """Implements `sdk.devices.DeviceDoor`."""

    def __init__(self, roll: Roll, store: DeviceStore, clock: Clock, audit: AuditLog, changing: asyncio.Lock) -> None:
        """`changing` is held by whoever changes the roll."""
        self._roll, self._store, self._clock, self._audit, self._changing = roll, store, clock, audit, changing
        self._patience = Patience(clock)
        self.previews = Previews()
        self.refusals = Refusals()
        self.notices = Notices()
        self.dirty: set[str] = set()  # logins whose life is ahead of the database

    async def admit(self, claim: Claim) -> Admission:
        login = claim.user or claim.client_id
        self._patience.check(claim, login)
        device = self._roll.shown(claim.certificate, login)
        by_certificate = (
            device is not None and device.certificate is not None and device.certificate == claim.certificate
        )
        secret, next_secret = (device.secret, device.next_secret) if device is not None else (None, None)
        by_secret, by_next = recognises(secret, claim.password), recognises(next_secret, claim.password)
        if device is None or not (by_certificate or by_secret or by_next):
            if device is None and claim.enrolment is not None and self._enrols(claim):
                device = await self._enrol(claim, login)
            else:
                raise self._turned_away(claim, login, "unknown" if device is None else "wrong credential")
        elif by_next and not by_certificate:
            device = await self._use_next(device)
        if device.state is DeviceState.BLOCKED:
            self.refusals.note(login, claim.gateway, claim.peer, "blocked", self._clock.now_ns())
            raise AccessError(f"device '{device.name}' is blocked; an engineer has to approve it again")
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

    def _enrols(self, claim: Claim) -> bool:
        assert claim.enrolment is not None
        return shows_key(claim.password, claim.enrolment.key, claim.certificate is not None)

    async def _enrol(self, claim: Claim, login: str) -> Device:
        """Take somebody unknown into quarantine; what it showed is its credential from now on."""
        assert claim.enrolment is not None and claim.password is not None
        waiting_max = claim.enrolment.waiting_max
        async with self._changing:
            if self._roll.waiting() >= waiting_max:
                self.refusals.note(login, claim.gateway, claim.peer, "quarantine full", self._clock.now_ns())
                raise LimitReached(f"{waiting_max} devices wait in quarantine; approve or remove some first")
            try:
                check_name(login)
                self._roll.check_free(login, login, claim.certificate)
            except (DataError, Conflict) as error:
                raise self._turned_away(claim, login, str(error)) from None
            pinned = None if claim.certificate is not None else keep(claim.password)
            device = Device(
                login,
                login,
                DeviceState.QUARANTINED,
                DEFAULT_FILTERS,
                DEFAULT_FILTERS,
                secret=pinned,
                certificate=claim.certificate,
                created_by=f"gateway:{claim.gateway}",
                created_ns=self._clock.now_ns(),
                life=Life(claim.gateway, claim.peer[:64]),
            )
            await self._store.add([device])
            self._roll.put(device)
        await self._audit.record(device.created_by, "device.quarantined", login, "done", {"peer": claim.peer})
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

    def _turned_away(self, claim: Claim, login: str, reason: str) -> HeadraceError:
        """Noted and counted."""
        self.refusals.note(login, claim.gateway, claim.peer, reason, self._clock.now_ns())
        return self._patience.turned_away(claim, login)
