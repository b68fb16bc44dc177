"""Devices on an edge: which ones its gateways let in, and the door there, with or without a hub.

    hub    roll ──those approved whose asset is the edge's──► GuestList ──► Desired.devices, for that edge alone
    edge   Desired.devices ──► <home>/devices.json ──► GuestDoor ◄── its gateways

An edge learns salted HMACs of secrets and fingerprints of certificates, never a secret. Nobody enrols there: whoever
has no approved device on the hub is turned away. While a secret is being rotated both are good until the hub has seen
the new one, or an engineer ends it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from headrace.fleet.devices.credentials import check_certificate, recognises
from headrace.fleet.devices.papers import Papers
from headrace.fleet.devices.patience import Patience
from headrace.fleet.devices.records import Device
from headrace.fleet.devices.roll import Roll
from headrace.fleet.devices.sheet import check_rate
from headrace.fleet.devices.topics import check_filters, check_name
from headrace.model.errors import Conflict, DataError
from headrace.sdk.access import Tenants
from headrace.sdk.clock import Clock, SystemClock
from headrace.sdk.devices import Admission, Claim, DeviceState, Preview
from headrace.sdk.notices import Notices
from headrace.sdk.tenancy import ONE_TENANT

_log = logging.getLogger(__name__)
_KEPT: Final = re.compile(r"[0-9a-f]{32}:[0-9a-f]{64}")


class GuestList:
    """On the hub: implements `fleet.edges.desk.Guests`."""

    def __init__(
        self, roll: Roll, tenants: Tenants = ONE_TENANT, papers: Papers | None = None, clock: Clock | None = None
    ) -> None:
        """`papers` are the certificates that were issued to devices."""
        self._roll, self._tenants = roll, tenants
        self._papers, self._clock = papers or Papers(), clock or SystemClock()

    @property
    def version(self) -> int:
        return self._roll.version + self._papers.version

    def of(self, prefix: str) -> str:
        """Approved devices with an asset at or under `prefix`, and of its owner; the same text for the same devices."""
        now_ns = self._clock.now_ns()
        owner = self._tenants.tenant_of(prefix)
        chosen = [
            {
                "name": device.name,
                "login": device.login,
                "publish": device.publish,
                "subscribe": device.subscribe,
                "secrets": [secret for secret in (device.secret, device.next_secret) if secret is not None],
                "certificate": device.certificate,
                "next_certificate": self._waiting(device.login, now_ns),
                "messages_per_s": device.messages_per_s,
            }
            for device in sorted(self._roll, key=lambda device: device.login)
            if device.state is DeviceState.APPROVED
            and f"{device.asset}/".startswith(f"{prefix}/")
            and device.tenant == owner
        ]
        return json.dumps(chosen, ensure_ascii=False, separators=(",", ":"))

    def _waiting(self, login: str, now_ns: int) -> str | None:
        paper = self._papers.waiting(login, now_ns)
        return None if paper is None else paper.fingerprint


def read_guests(text: str) -> list[Device]:
    """Raises: DataError."""
    try:
        found = json.loads(text or "[]")
        roll = Roll()
        for one in found:
            device = _device(one)
            roll.check_free(device.name, device.login, device.certificate)
            roll.put(device)
    except (Conflict, DataError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(f"the list of devices that this edge lets in cannot be read: {error}") from None
    return list(roll)


def _device(one: dict[str, Any]) -> Device:
    secrets = one["secrets"]
    if len(secrets) > 2 or not all(_KEPT.fullmatch(secret) for secret in secrets):
        raise DataError(f"'{check_name(one['login'])}' has a secret of an unknown form")
    limit, certificate, following = one["messages_per_s"], one["certificate"], one.get("next_certificate")
    if not all(isinstance(one[name], list) for name in ("publish", "subscribe")):
        raise DataError("topic filters are a list")
    return Device(
        name=check_name(one["name"]),
        login=check_name(one["login"]),
        state=DeviceState.APPROVED,
        publish=check_filters(one["publish"]),
        subscribe=check_filters(one["subscribe"]),
        secret=secrets[0] if secrets else None,
        next_secret=secrets[1] if len(secrets) > 1 else None,
        certificate=None if certificate is None else check_certificate(certificate),
        next_certificate=None if following is None else check_certificate(following),
        messages_per_s=None if limit is None else check_rate(limit),
    )


@dataclass(slots=True)
class Counts:
    """What the hub is told of the devices here. `refused` are messages: topic not allowed, too fast, not understood."""

    known: int = 0
    online: set[str] = field(default_factory=set)
    turned_away: int = 0
    refused: int = 0

    def told(self) -> dict[str, int]:
        return {
            "known": self.known,
            "online": len(self.online),
            "turned_away": self.turned_away,
            "refused_messages": self.refused,
        }


class GuestDoor:
    """Implements `sdk.devices.DeviceDoor` for the gateways of an edge."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """`path` is where the devices are kept for a start without the hub."""
        self._path, self._roll = path, Roll()
        self._patience, self._notices = Patience(clock), Notices()
        self.counts = Counts()

    async def start(self) -> None:
        """What was told last. A file that is damaged lets nobody in, and says so, until the hub tells anew."""
        try:
            self._take(read_guests(await asyncio.to_thread(self._path.read_text)))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, DataError) as error:
            _log.error("devices are let in only once the hub has told which: %s: %s", self._path, error)

    async def become(self, text: str) -> None:
        """Let in these and no others; durable on return. Raises: DataError, OSError, and nothing has changed."""
        devices = read_guests(text)
        await asyncio.to_thread(_write, self._path, text)
        self._take(devices)

    def close(self) -> None:
        self._notices.close()

    async def admit(self, claim: Claim) -> Admission:
        login = claim.user or claim.client_id
        self._patience.check(claim, login)
        device = self._roll.shown(claim.certificate, login)
        good = {device.certificate, device.next_certificate} - {None} if device is not None else set()
        known = claim.certificate in good
        for secret in (device.secret, device.next_secret) if device is not None else (None, None):
            known |= recognises(secret, claim.password)
        if device is None or not known:
            self.counts.turned_away += 1
            raise self._patience.turned_away(claim, login)
        return device.admission

    def preview(self, device: str, preview: Preview) -> None:
        """Nobody waits in quarantine here."""

    def seen(self, device: str, now_ns: int, online: bool, *, messages: int = 0, refused: int = 0) -> None:
        del now_ns, messages  # samples tell that at the hub
        (self.counts.online.add if online else self.counts.online.discard)(device)
        self.counts.refused += refused

    def changes(self) -> AsyncIterator[str]:
        return self._notices.watch()

    def _take(self, devices: Iterable[Device]) -> None:
        before, self._roll = self._roll, Roll(devices)
        self.counts.known = len(self._roll)
        changed = [device.login for device in before if not _goes_on(device, self._roll.of_login(device.login))]
        self.counts.online.difference_update(changed)
        self._notices.tell(*changed)


def _goes_on(device: Device, now: Device | None) -> bool:
    """Whether a connection of `device` may stay: the same rights, and a credential that is still good."""
    if now is None or now.admission != device.admission:
        return False
    return bool(_credentials(device) & _credentials(now))


def _credentials(device: Device) -> set[str]:
    held = (device.secret, device.next_secret, device.certificate, device.next_certificate)
    return {one for one in held if one is not None}


def _write(path: Path, text: str) -> None:
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
