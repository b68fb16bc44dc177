"""What a gateway shows and whom it believes, now and later: certificates change while devices stay connected.

tls: certificate, key ──────────┐
or the platform's own ──────────┴─► chain and key ──┐
client_ca ──────────┐                               ├─► Material ─► LiveContext, here or in each worker process
the platform's      ├─► whose certificates are good ┘
devices, pinned     ┘
told of a change, and each minute ─► gathered anew ─► another Material ─► handshakes from now on
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from headrace.model.errors import ConfigError, Refused
from headrace.sdk.certificates import ListenerCertificates
from headrace.sdk.clock import Clock
from headrace.sdk.tls import LiveContext

log = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Files:
    """As declared; without `certificate` and `key` the platform's own are shown."""

    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    client_certificate: bool = False


@dataclass(frozen=True, slots=True)
class Material:
    """PEM. `asks`: devices are asked for a certificate; `requires`: they must have one. Plain: it goes to workers."""

    chain: bytes
    key: bytes = field(repr=False)
    authorities: bytes = b""
    asks: bool = False
    requires: bool = False

    def listener(self, name: str) -> LiveContext:
        """Raises: ConfigError."""
        wanted = ssl.CERT_REQUIRED if self.requires else ssl.CERT_OPTIONAL if self.asks else ssl.CERT_NONE
        live = LiveContext(clients=wanted)
        self.give(live, name)
        return live

    def give(self, live: LiveContext, name: str) -> None:
        """Raises: ConfigError, and nothing has changed."""
        live.become(self.chain, self.key, f"the certificate of gateway '{name}'", self.authorities)


async def gather(name: str, files: Files, platform: ListenerCertificates | None) -> Material:
    """What is good now. Raises: ConfigError for a file; Refused where nothing says what to show or whom to believe."""
    if files.client_certificate and files.client_ca is None and platform is None:
        raise Refused(f"'{name}' wants certificates of devices, and nothing says whose: give 'client_ca'")
    if files.certificate is not None and files.key is not None:
        chain, key = await _read(files.certificate), await _read(files.key)
    elif platform is not None:
        own = await platform.server()
        chain, key = own.chain, own.key
    else:
        raise Refused(f"'{name}' has no certificate to show here: give 'certificate' and 'key'")
    authorities = await _read(files.client_ca) if files.client_ca is not None else b""
    if platform is not None:
        authorities = authorities.rstrip(b"\n") + b"\n" + await platform.clients()
    asks = files.client_ca is not None or platform is not None
    return Material(chain, key, authorities.strip(), asks, files.client_certificate)


class Following:
    """Gives `take` another material whenever there is one; a file that is wrong for now changes nothing."""

    def __init__(
        self, name: str, files: Files, platform: ListenerCertificates | None, clock: Clock,
        first: Material, take: Callable[[Material], None],
    ) -> None:  # fmt: skip
        self._name, self._files, self._platform, self._clock = name, files, platform, clock
        self._newest, self._take, self._said = first, take, ""

    async def run(self) -> None:
        """Until it is cancelled."""
        changed = asyncio.Event()
        changed.set()  # something may have changed since the first was gathered
        async with asyncio.TaskGroup() as tasks:
            if self._platform is not None:
                tasks.create_task(self._listen(self._platform, changed))
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await changed.wait()
                changed.clear()
                await self.look()

    async def look(self) -> None:
        try:
            found = await gather(self._name, self._files, self._platform)
            if found != self._newest:
                self._take(found)
                self._newest = found
            self._said = ""
        except (ConfigError, Refused) as error:
            if str(error) != self._said:
                log.error("gateway '%s' goes on with the certificates that it has: %s", self._name, error)
            self._said = str(error)

    @staticmethod
    async def _listen(platform: ListenerCertificates, changed: asyncio.Event) -> None:
        async for _ in platform.changes():
            changed.set()


async def _read(path: Path) -> bytes:
    """Raises: ConfigError."""
    try:
        return await asyncio.to_thread(path.read_bytes)
    except OSError as error:
        raise ConfigError(f"cannot read '{path}' ({error.strerror})") from None
