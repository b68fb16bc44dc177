"""The authority of devices: what a gateway takes a certificate from, and the list of those that are good no more.

    <folder>/devices.key (sealed)  devices.pem     made at first need
    request ──► certificate     its subject is what the register calls the device, whatever the request said;
                                client authentication only: no device can play a gateway, a hub or the console
    revoked ──► list (CRL)      signed anew each day, and after each revocation

Source: RFC 5280 §4.2, §5; IEC 62443-4-2 CR 1.8, CR 1.9, CR 1.14.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from headrace.fleet.devices.papers import Paper, Reason
from headrace.fleet.requests import Request
from headrace.model.errors import ConfigError, DataError, Unavailable
from headrace.model.time import DAY_NS, SECOND_NS
from headrace.sdk import issuing
from headrace.sdk.secret_files import PLAIN, SecretFiles, put_private

AUTHORITY_DAYS: Final = 20 * 365
LIST_DAYS: Final = 7
_CLOCK_BEFORE_NS: Final = 1_767_225_600 * SECOND_NS  # 2026-01-01: no clock of a platform that runs this is before it


@dataclass(frozen=True, slots=True)
class Issued:
    """`certificate` and `authority` are PEM, `serial` hex, `fingerprint` SHA-256, hex."""

    certificate: bytes
    authority: bytes
    serial: str
    fingerprint: str
    ends_ns: int


class DeviceAuthority:
    """Every method but `made` reads or writes files: call it in a thread."""

    def __init__(self, folder: Path, files: SecretFiles = PLAIN) -> None:
        self._folder, self._files = folder, files
        self._held: issuing.Authority | None = None

    @property
    def made(self) -> bool:
        """Whether there is one: nobody needs it before the first certificate."""
        return self._held is not None or (self._folder / "devices.pem").exists()

    def certificate(self, now_ns: int) -> x509.Certificate:
        """Raises: ConfigError, Unavailable."""
        return self._opened(now_ns).certificate

    def issue(self, login: str, request: Request, now_ns: int, days: float) -> Issued:
        """Raises: ConfigError, Unavailable."""
        authority = self._opened(now_ns)
        made = issuing.issue(
            authority,
            request.public_key,
            login,
            [x509.UniformResourceIdentifier(f"urn:headrace:device:{login.encode().hex()}")],
            [ExtendedKeyUsageOID.CLIENT_AUTH],
            now_ns - DAY_NS,
            now_ns + int(days * DAY_NS),
        )
        return Issued(
            issuing.pem(made),
            issuing.pem(authority.certificate),
            f"{made.serial_number:x}",
            issuing.fingerprint(made),
            issuing.ends_ns(made),
        )

    def revocations(self, papers: Iterable[Paper], now_ns: int) -> bytes:
        """DER. Raises: ConfigError, Unavailable."""
        authority = self._opened(now_ns)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(authority.certificate.subject)
            .last_update(issuing.moment(now_ns))
            .next_update(issuing.moment(now_ns + LIST_DAYS * DAY_NS))
            .add_extension(x509.CRLNumber(now_ns // SECOND_NS), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
            )
        )
        for paper in papers:
            if paper.revoked_ns is not None and paper.ours and not paper.ended(now_ns):
                builder = builder.add_revoked_certificate(_entry(paper, paper.revoked_ns))
        return builder.sign(authority.key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def _opened(self, now_ns: int) -> issuing.Authority:
        if self._held is None:
            key_file, file = self._folder / "devices.key", self._folder / "devices.pem"
            self._held = self._load(key_file, file) if file.exists() else self._make(key_file, file, now_ns)
        return self._held

    def _make(self, key_file: Path, file: Path, now_ns: int) -> issuing.Authority:
        if now_ns < _CLOCK_BEFORE_NS:
            raise Unavailable("the clock of this machine is years behind; set it before devices get certificates")
        name, ends_ns = f"Headrace devices {os.urandom(4).hex()}", now_ns + AUTHORITY_DAYS * DAY_NS
        made = issuing.make_authority(issuing.new_key(), name, now_ns - 2 * DAY_NS, ends_ns)
        try:
            self._files.write(key_file, issuing.private_pem(made.key))
            put_private(file, issuing.pem(made.certificate))
        except OSError as error:
            raise ConfigError(f"cannot keep the authority of devices in '{self._folder}' ({error.strerror})") from None
        return made

    def _load(self, key_file: Path, file: Path) -> issuing.Authority:
        try:
            key = serialization.load_pem_private_key(self._files.read(key_file), None)
            certificate = x509.load_pem_x509_certificate(file.read_bytes())
        except OSError as error:
            raise ConfigError(f"cannot read '{error.filename}' ({error.strerror}); restore it from a backup") from None
        except (DataError, ValueError, TypeError) as error:
            raise ConfigError(
                f"'{file}' or its key is damaged; restore both from one backup", detail=str(error)
            ) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ConfigError(f"'{key_file}' is not the key of '{file}'; restore both from one backup")
        return issuing.Authority(key, certificate)


def _entry(paper: Paper, revoked_ns: int) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder(int(paper.serial, 16), issuing.moment(revoked_ns))
    if paper.reason != Reason.UNSPECIFIED:  # RFC 5280 §5.3.1: then the extension is left out
        builder = builder.add_extension(x509.CRLReason(x509.ReasonFlags(paper.reason)), critical=False)
    return builder.build()
