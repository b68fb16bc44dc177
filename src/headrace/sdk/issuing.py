"""How a certificate is made: EC P-256 and SHA-256, which every browser, library and small device takes.

    new_key ─► authority (signs others, path length 0) ─► issued (a server's, a device's) ─► PEM

Ed25519 would be smaller, and no browser takes it. Source: RFC 5280 §4.1, §4.2.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID

from headrace.model.time import DAY_NS, SECOND_NS

NAME_CHARACTERS_MAX: Final = 64  # RFC 5280, ub-common-name


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def make_authority(
    key: ec.EllipticCurvePrivateKey,
    name: str,
    begins_ns: int,
    ends_ns: int,
    constraints: x509.NameConstraints | None = None,
) -> Authority:
    """One that signs the certificates of others, and no further authority; with `constraints` for these names alone."""
    subject = common_name(name)
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(moment(begins_ns))
        .not_valid_after(moment(ends_ns))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if constraints is not None:
        builder = builder.add_extension(constraints, critical=True)
    return Authority(key, builder.sign(key, hashes.SHA256()))


def issue(
    authority: Authority,
    public_key: CertificatePublicKeyTypes,
    name: str,
    alternatives: Sequence[x509.GeneralName],
    purposes: Sequence[x509.ObjectIdentifier],
    begins_ns: int,
    ends_ns: int,
) -> x509.Certificate:
    """For the holder of `public_key`, never longer than the authority itself lasts."""
    identifier = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    issuer = authority.certificate.subject
    builder = (
        x509.CertificateBuilder(issuer, common_name(name), public_key, x509.random_serial_number())
        .not_valid_before(moment(begins_ns))
        .not_valid_after(min(moment(ends_ns), authority.certificate.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    return builder.sign(authority.key, hashes.SHA256())


def common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:NAME_CHARACTERS_MAX])])


def moment(time_ns: int) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(time_ns // SECOND_NS, datetime.UTC)


def begins_ns(certificate: x509.Certificate) -> int:
    return int(certificate.not_valid_before_utc.timestamp()) * SECOND_NS


def ends_ns(certificate: x509.Certificate) -> int:
    return int(certificate.not_valid_after_utc.timestamp()) * SECOND_NS


def days_left(certificate: x509.Certificate, now_ns: int) -> float:
    return (ends_ns(certificate) - now_ns) / DAY_NS


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256, hex."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def in_pairs(sha256: str) -> str:
    """`AB:CD:…`, as browsers and openssl show a fingerprint."""
    return ":".join(sha256[at : at + 2] for at in range(0, len(sha256), 2)).upper()


def pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs, key_cert_sign=signs, crl_sign=signs, content_commitment=False,
        key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
