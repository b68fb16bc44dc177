"""The hub's own certificate authority: it knows its edges, and its edges know it. Nobody else is asked.

    <folder>/authority.key  authority.pem     made at first need; keys are sealed, and their owner's alone (mode 600)
    <folder>/hub.key        hub.pem           what the listener shows: HUB_NAME, so that no address has to fit
    request of an edge ──► certificate        a year; client authentication only, so no edge can play the hub

EC P-256 throughout: TLS 1.2 and 1.3 of every library take it. Certificates begin in 2020, because the clock of an edge
that lost its battery may be years behind; what ends a certificate is the register, and its own end.
Source: RFC 5280 §4.2.
"""

from __future__ import annotations

import datetime
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from headrace.model.errors import ConfigError, DataError, Unavailable
from headrace.model.time import DAY_NS, SECOND_NS
from headrace.sdk.edges import HUB_NAME, HubIdentity
from headrace.sdk.secret_files import PLAIN, SecretFiles, put_private

AUTHORITY_DAYS: Final = 20 * 365
HUB_DAYS: Final = 5 * 365
EDGE_DAYS: Final = 365
_HUB_RENEWED_BEFORE_NS: Final = 365 * DAY_NS
_BEGIN: Final = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_CLOCK_BEFORE_NS: Final = 1_767_225_600 * SECOND_NS  # 2026-01-01: no clock of a hub that runs this is before it


@dataclass(frozen=True, slots=True)
class Issued:
    """`chain` is PEM, the edge's certificate first; `fingerprint` its SHA-256, hex."""

    chain: bytes
    fingerprint: str
    ends_ns: int


class Authority:
    """Every method reads or writes files: call it in a thread."""

    def __init__(self, folder: Path, files: SecretFiles = PLAIN) -> None:
        self._folder, self._files = folder, files
        self._key: ec.EllipticCurvePrivateKey | None = None
        self._certificate: x509.Certificate | None = None

    def digest(self, now_ns: int) -> bytes:
        """SHA-256 of the CA certificate, for enrolment tokens. Shape: 32 bytes. Raises: ConfigError, Unavailable."""
        _, certificate = self._opened(now_ns)
        return certificate.fingerprint(hashes.SHA256())

    def identity(self, now_ns: int) -> HubIdentity:
        """The listener's certificate and key, made anew a year before they end. Raises: ConfigError, Unavailable."""
        key, authority = self._opened(now_ns)
        chain, key_file = self._folder / "hub.pem", self._folder / "hub.key"
        if not self._serves(chain, key_file, authority, now_ns):
            own = ec.generate_private_key(ec.SECP256R1())
            made = _sign(
                own.public_key(), HUB_NAME, [x509.DNSName(HUB_NAME)], ExtendedKeyUsageOID.SERVER_AUTH,
                authority, key, now_ns + HUB_DAYS * DAY_NS,
            )  # fmt: skip
            self._files.write(key_file, _private(own))
            put_private(chain, _pem(made) + _pem(authority))
        return HubIdentity(_pem(authority), chain.read_bytes(), self._files.read(key_file))

    def issue(self, edge: str, public_key: CertificatePublicKeyTypes, now_ns: int) -> Issued:
        """A certificate for an edge. Raises: ConfigError, Unavailable."""
        key, authority = self._opened(now_ns)
        name = x509.UniformResourceIdentifier(f"urn:headrace:edge:{hashlib.sha256(edge.encode()).hexdigest()[:32]}")
        ends_ns = min(now_ns + EDGE_DAYS * DAY_NS, _ends_ns(authority))
        made = _sign(public_key, edge, [name], ExtendedKeyUsageOID.CLIENT_AUTH, authority, key, ends_ns)
        return Issued(_pem(made) + _pem(authority), made.fingerprint(hashes.SHA256()).hex(), _ends_ns(made))

    def _opened(self, now_ns: int) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        if self._key is None or self._certificate is None:
            key_file, file = self._folder / "authority.key", self._folder / "authority.pem"
            if not key_file.exists() and not file.exists():
                self._make(key_file, file, now_ns)
            self._key, self._certificate = self._load(key_file, file)
        return self._key, self._certificate

    def _make(self, key_file: Path, file: Path, now_ns: int) -> None:
        if now_ns < _CLOCK_BEFORE_NS:
            raise Unavailable("the clock of this machine is years behind; set it before edges enrol (timedatectl)")
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(f"Headrace hub {os.urandom(4).hex()}")
        builder = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(_BEGIN)
            .not_valid_after(_moment(now_ns + AUTHORITY_DAYS * DAY_NS))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self._files.write(key_file, _private(key))  # before the certificate: one without its key would be for ever
            put_private(file, _pem(builder.sign(key, hashes.SHA256())))
        except OSError as error:
            raise ConfigError(f"cannot keep the hub's authority in '{self._folder}' ({error.strerror})") from None

    def _serves(self, chain: Path, key_file: Path, authority: x509.Certificate, now_ns: int) -> bool:
        if not chain.exists() or not key_file.exists():
            return False
        _, made = self._load(key_file, chain)
        ours = made.issuer == authority.subject
        return ours and _ends_ns(made) - now_ns > min(_HUB_RENEWED_BEFORE_NS, (_ends_ns(authority) - now_ns) // 2)

    def _load(self, key_file: Path, file: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
        try:
            key = serialization.load_pem_private_key(self._files.read(key_file), None)
            certificate = x509.load_pem_x509_certificate(file.read_bytes())
        except OSError as error:
            raise ConfigError(f"cannot read '{error.filename}' ({error.strerror}); restore it from a backup") from None
        except DataError as error:
            raise ConfigError(f"'{key_file}' does not open: {error}") from None
        except (ValueError, TypeError) as error:
            raise ConfigError(
                f"'{file}' or its key is damaged; restore both from a backup", detail=str(error)
            ) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ConfigError(f"'{key_file}' is not the key of '{file}'; restore both from one backup")
        return key, certificate


def _sign(
    public_key: CertificatePublicKeyTypes, common_name: str, alternatives: list[x509.GeneralName],
    purpose: x509.ObjectIdentifier, authority: x509.Certificate, key: ec.EllipticCurvePrivateKey, ends_ns: int,
) -> x509.Certificate:  # fmt: skip
    authority_key = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        x509.CertificateBuilder(authority.subject, _name(common_name), public_key, x509.random_serial_number())
        .not_valid_before(_BEGIN)
        .not_valid_after(_moment(ends_ns))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_key), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _moment(time_ns: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(time_ns // SECOND_NS, datetime.UTC)


def _ends_ns(certificate: x509.Certificate) -> int:
    return int(certificate.not_valid_after_utc.timestamp()) * SECOND_NS


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
