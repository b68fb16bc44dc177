"""What the console's listener shows, and how it stays good while the platform runs.

    nothing given   WebAuthority ─► certificate of this machine's names ─┐
    --tls-cert      the files ───────────────────────────────────────────┴─► LiveContext ─► the listener
    every minute    names, days left; files written anew (certbot) ──────────► LiveContext, no connection is dropped

Given files that do not fit any more are told once, and what was good goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509

from headrace.access.web_authority import Held, Names, WebAuthority
from headrace.model.errors import ConfigError, Conflict, NotFound
from headrace.sdk import issuing
from headrace.sdk.access import AuditLog
from headrace.sdk.certificates import CertificateStatus, ServerIdentity
from headrace.sdk.clock import Clock
from headrace.sdk.notices import Notices
from headrace.sdk.secret_files import SecretFiles
from headrace.sdk.tls import LiveContext

log = logging.getLogger(__name__)

CHECK_EVERY_S: Final = 60.0
_STAMP = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Given:
    """PEM files that somebody else renews."""

    certificate: Path
    key: Path


class WebIdentity:
    """`live.context` is for the listener. `names` says under which names this machine is reached now."""

    def __init__(
        self, folder: Path, files: SecretFiles, names: Callable[[], Names], clock: Clock, audit: AuditLog,
        given: Given | None = None,
    ) -> None:  # fmt: skip
        self._authority = WebAuthority(folder, files)
        self._names, self._clock, self._audit, self._given = names, clock, audit, given
        self.live = LiveContext()
        self._notices = Notices()
        self._held: Held | None = None
        self._shown: tuple[ServerIdentity, x509.Certificate] | None = None
        self._stamps: tuple[_STAMP, ...] = ()
        self._said = ""
        self._ended = False

    async def start(self) -> None:
        """Raises: ConfigError."""
        await asyncio.to_thread(self._take_given if self._given is not None else self._take_own)

    @property
    def started(self) -> bool:
        return self._shown is not None

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._clock.sleep(CHECK_EVERY_S)
            await self.check()

    async def check(self) -> None:
        """What the clock, the disk or the network changed."""
        if not self.started:
            return
        try:
            if self._given is None:
                await asyncio.to_thread(self._take_own)
            elif self._stamp() != self._stamps:
                await asyncio.to_thread(self._take_given)
            else:
                self._tell_end()
            self._said = ""
        except ConfigError as error:
            if str(error) != self._said:
                log.error("the console goes on with the certificate it has: %s", error)
            self._said = str(error)

    def close(self) -> None:
        self._notices.close()

    # --- for listeners --------------------------------------------------------------------------------------------

    def server(self) -> ServerIdentity:
        """Raises: ConfigError before `start`."""
        if self._shown is None:
            raise ConfigError("this process has no certificate to show")
        return self._shown[0]

    def changes(self) -> AsyncIterator[str]:
        return self._notices.watch()

    # --- for people -----------------------------------------------------------------------------------------------

    def authority(self) -> bytes:
        if not self.started:
            raise NotFound("this process does no TLS, so nobody has to be trusted (--tls starts it with TLS)")
        if self._held is None:
            raise NotFound("the certificate of this server was not made here; ask whoever gave it whom to trust")
        return issuing.pem(self._held.authority)

    @property
    def fingerprint(self) -> str | None:
        """Of the authority, in pairs; None where it was not made here."""
        return None if self._held is None else issuing.in_pairs(issuing.fingerprint(self._held.authority))

    def status(self) -> Sequence[CertificateStatus]:
        found = []
        if self._shown is not None:
            found.append(_status("console", self._shown[1], self._held is not None))
        if self._held is not None:
            found.append(_status("authority", self._held.authority, True))
        return found

    async def renew(self, actor: str, *, authority: bool = False) -> Sequence[CertificateStatus]:
        if self._given is not None:
            raise Conflict("the console's certificate was given (--tls-cert): renew it where it comes from")
        if not self.started:
            raise Conflict("this process does no TLS (--tls starts it with TLS)")
        await asyncio.to_thread(self._take_own, renew=True, renew_authority=authority)
        assert self._held is not None
        what = {"sha256": issuing.fingerprint(self._held.server), "authority": authority}
        await self._audit.record(actor, "certificate.renew", "console", "done", what)
        return self.status()

    # --- within -----------------------------------------------------------------------------------------------------

    def _take_own(self, *, renew: bool = False, renew_authority: bool = False) -> None:
        now_ns = self._clock.now_ns()
        held = self._authority.held(self._names(), now_ns, renew=renew, renew_authority=renew_authority)
        if self._held is not None and held.server == self._held.server:
            return
        again = self._held is not None
        self._show(held.identity, held.server)
        self._held = held
        if again:
            log.info("the console shows a new certificate, for %s", ", ".join(held.names.texts))

    def _take_given(self) -> None:
        assert self._given is not None
        stamps = self._stamp()
        try:
            identity = ServerIdentity(self._given.certificate.read_bytes(), self._given.key.read_bytes())
            certificate = x509.load_pem_x509_certificate(identity.chain)
        except OSError as error:
            raise ConfigError(f"cannot read '{error.filename}' ({error.strerror})") from None
        except ValueError:
            raise ConfigError(f"'{self._given.certificate}' holds no certificate in PEM") from None
        again = self._shown is not None
        self._show(identity, certificate)
        self._stamps = stamps
        self._ended = False
        if not self._tell_end() and again:
            log.info("the console shows the certificate that was put into '%s'", self._given.certificate)

    def _tell_end(self) -> bool:
        """Whether the given certificate has ended; the log says so once."""
        assert self._given is not None and self._shown is not None
        ended = issuing.days_left(self._shown[1], self._clock.now_ns()) <= 0
        if ended and not self._ended:
            log.error("the certificate in '%s' has ended: browsers refuse it; renew it", self._given.certificate)
        self._ended = ended
        return ended

    def _show(self, identity: ServerIdentity, certificate: x509.Certificate) -> None:
        what = "the console's certificate" if self._given is None else f"the certificate '{self._given.certificate}'"
        self.live.become(identity.chain, identity.key, what)
        self._shown = (identity, certificate)
        self._notices.tell("server")

    def _stamp(self) -> tuple[_STAMP, ...]:
        assert self._given is not None
        found = []
        for path in (self._given.certificate, self._given.key):
            try:
                stat = path.stat()
                found.append((stat.st_mtime_ns, stat.st_ino, stat.st_size))
            except OSError:
                found.append((0, 0, 0))
        return tuple(found)


def _status(kind: str, certificate: x509.Certificate, own: bool) -> CertificateStatus:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        shown = [*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress))]
    except (x509.ExtensionNotFound, ValueError):
        shown = []
    subject = certificate.subject.rfc4514_string()
    return CertificateStatus(kind, subject, issuing.fingerprint(certificate), issuing.ends_ns(certificate), own, shown)
