"""Certificates for devices: given, renewed and taken back; each act durable and audited.

    engineer: a request ───────────────┐
    device: its secret, a request ─────┼─► good request, key of nobody else ─► authority ─► waits ─┐
    device: its certificate, a request │    signed by the key of that certificate                   │
                                       └─ at once ─► in use, and nothing else is good               │
    the gateway sees it for the first time ◄────────────────────────────────────────────────────────┘
          └─► in use; the certificate or secret before it is good no more
    revoked ─► its connections end, whoever shows it is turned away and listed with the reason

Source: IEC 62443-3-3 SR 1.5, SR 1.8, SR 1.9; RFC 7030 §4.2 (enrolment over HTTPS).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from headrace.fleet.devices.authority import DeviceAuthority
from headrace.fleet.devices.credentials import check_certificate, recognises
from headrace.fleet.devices.papers import FORGOTTEN_AFTER_NS, Paper, Papers, PaperStore, Reason, revoked
from headrace.fleet.devices.patience import Patience
from headrace.fleet.devices.records import Device
from headrace.fleet.devices.roll import Roll
from headrace.fleet.requests import Request, good_key, key_digest_of, read_request
from headrace.model.errors import AccessError, Conflict, DataError, LimitReached, Unavailable
from headrace.model.events import Event
from headrace.model.time import DAY_NS
from headrace.sdk import issuing
from headrace.sdk.access import AuditLog
from headrace.sdk.certificates import CertificateStatus
from headrace.sdk.clock import Clock
from headrace.sdk.devices import Claim, DeviceState
from headrace.sdk.fleet import DeviceCertificate, IssuedCertificate
from headrace.sdk.notices import Notices

_log = logging.getLogger(__name__)

LIFE_DAYS: Final = 365.0
LIFE_DAYS_MAX: Final = 825.0
ENDS_SOON_NS: Final = 30 * DAY_NS
ISSUED_A_DAY_MAX: Final = 20
PEM_MARK: Final = "-----BEGIN"
CERTIFICATE_BYTES_MAX: Final = 32 * 1024

Put = Callable[[Device, Device], Awaitable[None]]
Publish = Callable[[Sequence[Event]], Awaitable[None]]


class DeviceCertificates:
    """Implements `sdk.fleet.DeviceCertificateDesk`. `put` makes a changed device durable and known; `changing` is held
    by whoever changes the roll; `notices` are told the login of a device that has to come again."""

    def __init__(
        self, roll: Roll, papers: Papers, store: PaperStore, authority: DeviceAuthority | None, clock: Clock,
        audit: AuditLog, changing: asyncio.Lock, put: Put, notices: Notices,
    ) -> None:  # fmt: skip
        self._roll, self._papers, self._store, self._authority = roll, papers, store, authority
        self._clock, self._audit, self._changing, self._put, self._notices = clock, audit, changing, put, notices
        self._patience = Patience(clock)
        self._told: set[str] = set()
        self._list: tuple[int, int, bytes] | None = None
        self.listeners = Notices()  # told when other certificates than before are good

    async def start(self) -> None:
        """Raises: Unavailable."""
        for paper in await self._store.load():
            self._papers.put(paper)

    # --- giving -----------------------------------------------------------------------------------------------------

    async def issue(
        self, actor: str, name: str, request: bytes, *, days: float | None = None, at_once: bool = False,
        tenant: str | None = None,
    ) -> IssuedCertificate:  # fmt: skip
        asked = await asyncio.to_thread(read_request, request)
        async with self._changing:
            issued = await self._issue(self._roll.get(name, tenant), asked, days, at_once=at_once)
        await self._record(actor, "device.certificate", issued, at_once=at_once)
        return issued

    async def enrol(self, login: str, secret: bytes, request: bytes, peer: str) -> IssuedCertificate:
        claim = Claim("enrolment", login, peer, login, secret)
        self._patience.check(claim, login)
        device = self._roll.of_login(login)
        kept = (device.secret, device.next_secret) if device is not None else (None, None)
        known = recognises(kept[0], secret) | recognises(kept[1], secret)
        if device is None or not known:
            raise self._patience.turned_away(claim, login)
        self._check_approved(device)
        asked = await asyncio.to_thread(read_request, request)
        async with self._changing:
            issued = await self._issue(self._roll.get(device.name), asked, None)
        await self._record(f"device:{device.name}", "device.certificate", issued, peer=peer)
        return issued

    async def renew(self, certificate: bytes, request: bytes, signature: bytes, peer: str) -> IssuedCertificate:
        shown = await asyncio.to_thread(_read_certificate, certificate)
        asked = await asyncio.to_thread(read_request, request)
        paper = self._papers.find(issuing.fingerprint(shown))
        login = paper.login if paper is not None else "?"
        claim = Claim("enrolment", login, peer, login)
        self._patience.check(claim, login)
        device = self._roll.of_login(login)
        good = paper is not None and paper.good(self._clock.now_ns()) and _signed(shown, asked.der, signature)
        if device is None or not good:
            raise self._patience.turned_away(claim, login)
        self._check_approved(device)
        async with self._changing:
            issued = await self._issue(self._roll.get(device.name), asked, None)
        await self._record(f"device:{device.name}", "device.certificate.renew", issued, peer=peer)
        return issued

    async def use(self, device: Device, paper: Paper) -> Device:
        """A certificate is shown for the first time: what was good before it is good no more."""
        now_ns = self._clock.now_ns()
        async with self._changing:
            current, held = self._roll.of_login(device.login), self._papers.find(paper.fingerprint)
            if current is None or held is None or not held.good(now_ns):
                raise AccessError("this certificate is good no more", authenticated=False)
            if current.certificate == held.fingerprint:
                return current
            await self._save(replace(held, used_ns=now_ns), *self._older(held, now_ns))
            changed = replace(current, certificate=held.fingerprint, secret=None, next_secret=None)
            await self._put(current, changed)
        told = {"sha256": held.fingerprint}
        await self._audit.record("register", "device.certificate.used", device.name, "done", told, tenant=device.tenant)
        return changed

    # --- taking back --------------------------------------------------------------------------------------------------

    async def revoke(
        self, actor: str, name: str, reason: str = Reason.UNSPECIFIED, *, tenant: str | None = None
    ) -> Sequence[DeviceCertificate]:
        """Raises: NotFound; Conflict where it has no certificate; DataError for a reason that is none."""
        try:
            why = Reason(reason)
        except ValueError:
            raise DataError(f"'{reason[:40]}' is no reason; use {', '.join(Reason)}") from None
        now_ns = self._clock.now_ns()
        async with self._changing:
            device = self._roll.get(name, tenant)
            ended = [revoked(one, why, now_ns) for one in self._papers.of(device.login) if one.good(now_ns)]
            pinned = device.certificate is not None and self._papers.find(device.certificate) is None
            if device.certificate is not None and pinned:
                taken = Paper(device.certificate, device.login, device.tenant, now_ns, ours=False)
                ended.append(revoked(taken, why, now_ns))
            if not ended:
                raise Conflict(f"device '{name}' has no certificate that is good")
            await self._save(*ended)
            if device.certificate is not None:
                await self._put(device, replace(device, certificate=None))
            self._notices.tell(device.login)
            self.listeners.tell("clients")
        told = {"reason": why.value, "sha256": [one.fingerprint for one in ended]}
        await self._audit.record(actor, "device.certificate.revoke", name, "done", told, tenant=device.tenant)
        return self.of(name)

    async def pin(self, device: Device, certificate: str | None) -> None:
        """Where the certificate itself was given, not only its SHA-256: listeners take it as it is, until it ends.
        Called with `changing` held."""
        if certificate is None or PEM_MARK not in certificate:
            return
        paper = pinned_paper(certificate, device.login, device.tenant, self._clock.now_ns())
        if self._papers.find(paper.fingerprint) is None:
            await self._save(new=paper)
            self.listeners.tell("clients")

    async def end(self, device: Device) -> None:
        """The device is removed, and whoever shows its certificates is told so. Called with `changing` held."""
        now_ns = self._clock.now_ns()
        await self._save(
            *(revoked(one, Reason.CESSATION, now_ns) for one in self._papers.of(device.login) if one.good(now_ns))
        )

    # --- looking ------------------------------------------------------------------------------------------------------

    def of(self, name: str, *, tenant: str | None = None) -> Sequence[DeviceCertificate]:
        device, now_ns = self._roll.get(name, tenant), self._clock.now_ns()
        return [_shown(paper, device, now_ns) for paper in self._papers.of(device.login)]

    def counts(self, *, tenant: str | None = None) -> Mapping[str, int]:
        now_ns = self._clock.now_ns()
        found = dict.fromkeys(("good", "ending", "ended", "revoked"), 0)
        for paper in self._papers:
            if tenant not in (None, paper.tenant):
                continue
            if paper.revoked_ns is not None:
                found["revoked"] += paper.reason != Reason.SUPERSEDED
            elif paper.ended(now_ns):
                found["ended"] += self._is_used(paper)
            else:
                found["good"] += 1
                found["ending"] += self._ends_soon(paper, now_ns)
        return found

    def ending(self, *, tenant: str | None = None) -> Sequence[DeviceCertificate]:
        now_ns = self._clock.now_ns()
        found = [
            _shown(paper, device, now_ns)
            for paper in self._papers
            if (paper.ended(now_ns) or self._ends_soon(paper, now_ns))
            and paper.revoked_ns is None
            and (device := self._roll.of_login(paper.login)) is not None
            and self._is_used(paper)
            and tenant in (None, device.tenant)
        ]
        return sorted(found, key=lambda one: one.ends_ns or 0)[:100]

    async def authority(self) -> bytes:
        return issuing.pem(await asyncio.to_thread(self._signs().certificate, self._clock.now_ns()))

    async def revocations(self) -> bytes:
        now_ns, version = self._clock.now_ns(), self._papers.version
        if self._list is None or self._list[0] != version or not 0 <= now_ns - self._list[1] < DAY_NS:
            papers = list(self._papers)
            self._list = version, now_ns, await asyncio.to_thread(self._signs().revocations, papers, now_ns)
        return self._list[2]

    async def clients(self) -> bytes:
        """Whose certificates listeners take, PEM."""
        now_ns = self._clock.now_ns()
        pinned = [paper.pem for paper in self._papers if paper.pem is not None and paper.good(now_ns)]
        own = b""
        with contextlib.suppress(Unavailable):  # no authority here, or the clock is years behind: told when there is
            own = await self.authority()
        return own + "".join(pinned).encode()

    def status(self) -> Sequence[CertificateStatus]:
        """Of the authority, where there is one. Blocks on the disk the first time."""
        if self._authority is None or not self._authority.made:
            return ()
        own = self._authority.certificate(self._clock.now_ns())
        subject, ends_ns = own.subject.rfc4514_string(), issuing.ends_ns(own)
        return (CertificateStatus("devices", subject, issuing.fingerprint(own), ends_ns, True),)

    def waiting(self, login: str) -> str | None:
        """Fingerprint of a certificate that was issued and not shown yet."""
        paper = self._papers.waiting(login, self._clock.now_ns())
        return None if paper is None else paper.fingerprint

    # --- by the clock -------------------------------------------------------------------------------------------------

    async def watch(self, publish: Publish | None) -> None:
        """Tell of those that end soon, each once; forget what ended long ago. Raises: Unavailable."""
        now_ns = self._clock.now_ns()
        news = [one for one in self.ending() if one.sha256 not in self._told]
        for one in news:
            _log.warning("the certificate of device '%s' ends on %s", one.device, issuing.moment(one.ends_ns or 0))
        self._told.update(one.sha256 for one in news)
        if publish is not None and news:
            await publish([_event(one, now_ns) for one in news])
        async with self._changing:
            old = [one for one in self._papers if one.ends_ns is not None and one.ends_ns + FORGOTTEN_AFTER_NS < now_ns]
            await self._store.forget(old)
            for paper in old:
                self._papers.drop(paper)

    # --- within -------------------------------------------------------------------------------------------------------

    async def _issue(
        self, device: Device, asked: Request, days: float | None, *, at_once: bool = False
    ) -> IssuedCertificate:
        now_ns, life = self._clock.now_ns(), LIFE_DAYS if days is None else days
        if not 0 < life <= LIFE_DAYS_MAX:
            raise DataError(f"a certificate of a device lasts up to {LIFE_DAYS_MAX:g} days, not {life:g}")
        self._check_key(device, asked)
        held = self._papers.of(device.login)
        if sum(one.issued_ns > now_ns - DAY_NS for one in held) >= ISSUED_A_DAY_MAX:
            raise LimitReached(f"device '{device.name}' got {ISSUED_A_DAY_MAX} certificates within a day; try tomorrow")
        first = not self._signs().made
        made = await asyncio.to_thread(self._signs().issue, device.login, asked, now_ns, life)
        alone = at_once or (device.secret is None and device.certificate is None)
        paper = Paper(
            made.fingerprint, device.login, device.tenant, now_ns, made.ends_ns, made.serial, asked.key_digest,
            used_ns=now_ns if alone else None,
        )  # fmt: skip
        before = [
            revoked(one, Reason.SUPERSEDED, now_ns)
            for one in held
            if one.good(now_ns) and (alone or (one.used_ns is None and one.ours))
        ]
        await self._save(*before, new=paper)
        if alone:
            await self._put(device, replace(device, certificate=made.fingerprint, secret=None, next_secret=None))
            self._notices.tell(device.login)
        if first:
            self.listeners.tell("clients")
        return IssuedCertificate(
            device.name, made.certificate, made.authority, made.fingerprint, made.ends_ns, device.tenant
        )

    def _check_key(self, device: Device, asked: Request) -> None:
        """A key belongs to one device, for as long as anybody remembers. Raises: Conflict, DataError."""
        for known in self._papers.of_key(asked.key_digest):
            if known.login != device.login:
                raise Conflict("this key is another device's; each device makes its own")
            if known.reason == Reason.KEY_COMPROMISE:
                raise DataError("this key was revoked because it got out; the device has to make a new one")

    def _older(self, paper: Paper, now_ns: int) -> Iterable[Paper]:
        return [
            revoked(one, Reason.SUPERSEDED, now_ns)
            for one in self._papers.of(paper.login)
            if one.good(now_ns) and one.fingerprint != paper.fingerprint and one.issued_ns <= paper.issued_ns
        ]

    async def _save(self, *changed: Paper, new: Paper | None = None) -> None:
        fresh = [one for one in changed if self._papers.find(one.fingerprint) is None]
        known = [one for one in changed if self._papers.find(one.fingerprint) is not None]
        await self._store.save([*fresh, *([new] if new is not None else [])], known)
        for one in (*changed, *([new] if new is not None else [])):
            self._papers.put(one)

    def _signs(self) -> DeviceAuthority:
        if self._authority is None:
            raise Unavailable("this process keeps no authority of devices")
        return self._authority

    def _is_used(self, paper: Paper) -> bool:
        device = self._roll.of_login(paper.login)
        return device is not None and device.certificate == paper.fingerprint

    def _ends_soon(self, paper: Paper, now_ns: int) -> bool:
        """In use, and nothing newer waits."""
        ends_ns = paper.ends_ns
        soon = ends_ns is not None and ends_ns - now_ns < ENDS_SOON_NS
        return soon and self._is_used(paper) and self._papers.waiting(paper.login, now_ns) is None

    @staticmethod
    def _check_approved(device: Device) -> None:
        if device.state is not DeviceState.APPROVED:
            raise AccessError(f"device '{device.name}' is {device.state.value}; an engineer has to approve it first")

    async def _record(self, actor: str, action: str, issued: IssuedCertificate, **more: object) -> None:
        told = {"sha256": issued.sha256, **more}
        await self._audit.record(actor, action, issued.device, "done", told, tenant=issued.tenant)


def pinned_paper(pem: str, login: str, tenant: str, now_ns: int) -> Paper:
    """Of a certificate that no authority here vouches for, taken as it is. Raises: DataError."""
    certificate = _read_certificate(pem.encode())
    return Paper(
        issuing.fingerprint(certificate), login, tenant, now_ns, issuing.ends_ns(certificate),
        f"{certificate.serial_number:x}", key_digest_of(good_key(certificate.public_key())), ours=False,
        pem=issuing.pem(certificate).decode(), used_ns=now_ns,
    )  # fmt: skip


def certificate_of(given: str) -> str:
    """SHA-256, hex, of a certificate in PEM, or as it was given. Raises: DataError."""
    return issuing.fingerprint(_read_certificate(given.encode())) if PEM_MARK in given else check_certificate(given)


def _read_certificate(data: bytes) -> x509.Certificate:
    """PEM. Raises: DataError."""
    if len(data) > CERTIFICATE_BYTES_MAX:
        raise DataError(f"the certificate has {len(data):,} bytes; at most {CERTIFICATE_BYTES_MAX:,} are read")
    try:
        found = x509.load_pem_x509_certificate(data)
        good_key(found.public_key())
    except (ValueError, TypeError, x509.InvalidVersion) as error:
        raise DataError("this is no certificate in PEM", detail=str(error)) from None
    return found


def _signed(certificate: x509.Certificate, data: bytes, signature: bytes) -> bool:
    """With the key of the certificate: ECDSA or RSA PKCS #1 with SHA-256, or Ed25519."""
    key = certificate.public_key()
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, data)
        elif isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        else:
            return False
    except (InvalidSignature, ValueError):
        return False
    return True


def _shown(paper: Paper, device: Device, now_ns: int) -> DeviceCertificate:
    if paper.revoked_ns is not None:
        state = "revoked"
    elif paper.ended(now_ns):
        state = "ended"
    else:
        state = "in use" if device.certificate == paper.fingerprint else "waiting"
    return DeviceCertificate(
        device.name, paper.fingerprint, paper.serial, state, paper.ours, paper.issued_ns, paper.ends_ns, paper.used_ns,
        paper.revoked_ns, paper.reason,
    )  # fmt: skip


def _event(one: DeviceCertificate, now_ns: int) -> Event:
    data = {"device": one.device, "sha256": one.sha256, "ends_ns": one.ends_ns}
    return Event(f"{one.sha256}:ending", "devices", "device.certificate.ending", one.device, now_ns, data)
