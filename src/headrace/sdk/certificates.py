"""What listeners show, and what people are told of it; `access/` answers, `connect/`, `api/` and `cli/` ask."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """PEM: the chain, the server's own certificate first, and its private key."""

    chain: bytes
    key: bytes = field(repr=False)


class ListenerCertificates(Protocol):
    """For a listener that has no certificate of its own, or lets in devices by theirs."""

    async def server(self) -> ServerIdentity:
        """Raises: ConfigError where this process shows none."""
        ...

    async def clients(self) -> bytes:
        """Whose certificates devices may show (PEM, any number): the authority of devices, and pinned ones."""
        ...

    def changes(self) -> AsyncIterator[str]:
        """Something to ask for anew, until the platform stops."""
        ...


@dataclass(frozen=True, slots=True)
class CertificateStatus:
    """A certificate that somebody has to look after. `own`: made here, and renewed here.

    `kind` is `console`, `authority` (of the console's certificate) or `devices` (the authority of devices).
    """

    kind: str
    subject: str
    sha256: str
    ends_ns: int
    own: bool
    names: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Rekeyed:
    """What a new key for sealed secrets came to. `key` is the name of the newest; `keys` how many there are now."""

    key: str
    keys: int
    files: int
    rows: int


class Certificates(Protocol):
    """Each change is durable and in the audit trail on return; `actor` is who made it."""

    def authority(self) -> bytes:
        """Whom to trust to reach the console, PEM. Raises: NotFound where it was not made here."""
        ...

    def status(self) -> Sequence[CertificateStatus]: ...

    async def renew(self, actor: str, *, authority: bool = False) -> Sequence[CertificateStatus]:
        """A new certificate for the console now; with `authority` a new authority too, to be trusted anew by all.

        Raises: Conflict where it was not made here.
        """
        ...

    async def rotate_keys(self, actor: str, *, forget_old: bool = False) -> Rekeyed:
        """A new key, with which all that is sealed is sealed anew; with `forget_old` no other opens anything any more.

        Raises: ConfigError where something does not open: then no key was forgotten.
        """
        ...
