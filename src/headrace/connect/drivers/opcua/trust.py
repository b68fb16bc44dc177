"""Certificates: our own, made once, and the fingerprint by which a person recognises a server's.

    state_dir/own/instance.pem      our key and certificate, sealed, readable by us alone
    state_dir/own/certificate.der   the certificate alone, to be put into a server's trust list

Source: OPC 10000-6 §6.2.2 (application instance certificate).
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from headrace.connect.drivers.opcua.config import normal_fingerprint
from headrace.model.errors import DataError, Garbled, Refused
from headrace.sdk.secret_files import PLAIN, SecretFiles

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

KEY_BITS: Final = 2048
VALID_DAYS: Final = 3650


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """Our application instance: `application_uri` is what the certificate says and what we must call ourselves."""

    certificate: x509.Certificate
    key: RSAPrivateKey
    application_uri: str
    path: Path


def fingerprint_of(certificate_der: bytes) -> str:
    """SHA-256, hex in pairs joined by colons."""
    return normal_fingerprint(hashlib.sha256(certificate_der).hexdigest())


def is_one_of(shown: str, *trusted: str | None) -> bool:
    """Whether the fingerprint that a server shows is a trusted one, in whatever spelling that was written down."""
    return any(_same(shown, one) for one in trusted if one is not None)


def _same(shown: str, trusted: str) -> bool:
    try:
        return normal_fingerprint(trusted) == shown
    except ValueError:
        return False


def first_certificate(chain_der: bytes) -> bytes:
    """A server may send its certificate with its issuers' behind it; the first is its own. Raises: Garbled."""
    if len(chain_der) > 4 and chain_der[0] == 0x30 and chain_der[1] == 0x82:
        length = 4 + int.from_bytes(chain_der[2:4], "big")
        if length <= len(chain_der):
            return chain_der[:length]
    raise Garbled("the server shows a certificate that is not X.509")


def own_certificate(state_dir: Path, now: datetime, files: SecretFiles = PLAIN) -> OwnCertificate:
    """Ours from `state_dir`, made there the first time or when it has expired. Blocks: about 0.1 s when it is made.

    Two connections that start together agree on one: the file appears whole, under its name, once.
    Raises: Refused where the directory cannot be written or holds something else.
    """
    path = state_dir / "own" / "instance.pem"
    try:
        if not path.exists() or _load(path, files).certificate.not_valid_after_utc <= now:
            _make(path, now, files)
        return _load(path, files)
    except (OSError, ValueError, DataError) as error:
        raise Refused(f"our own certificate in {path} cannot be used: {error}; mend or remove it") from None


def _load(path: Path, files: SecretFiles) -> OwnCertificate:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    content = files.read(path)
    certificate = x509.load_pem_x509_certificate(content)
    key = load_pem_private_key(content, None)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("it holds no RSA key")
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        application_uri = names.get_values_for_type(x509.UniformResourceIdentifier)[0]
    except (x509.ExtensionNotFound, IndexError):
        raise ValueError("it names no application URI") from None
    return OwnCertificate(certificate, key, application_uri, path.with_name("certificate.der"))


def _make(path: Path, now: datetime, files: SecretFiles) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    expired = path.exists()
    host = re.sub(r"[^A-Za-z0-9.\-]", "-", socket.gethostname())[:50] or "localhost"
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    public = key.public_key()
    names = {NameOID.COMMON_NAME: f"Headrace@{host}", NameOID.ORGANIZATION_NAME: "Headrace"}
    subject = x509.Name([x509.NameAttribute(oid, name) for oid, name in names.items()])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # plant clocks differ
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier(f"urn:{host}:headrace:{os.urandom(4).hex()}"), x509.DNSName(host)]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True,
                content_commitment=True,
                key_encipherment=True,
                data_encipherment=True,
                key_agreement=False,
                key_cert_sign=True,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    handle, temporary = tempfile.mkstemp(dir=path.parent)  # created readable by us alone
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(files.sealed(path, secret + certificate.public_bytes(Encoding.PEM)))
            file.flush()
            os.fsync(file.fileno())
        if expired:
            Path(temporary).replace(path)
        else:
            with suppress(FileExistsError):  # another connection was first, and its certificate is ours too
                os.link(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    path.with_name("certificate.der").write_bytes(_load(path, files).certificate.public_bytes(Encoding.DER))


def moment(now_ns: int) -> datetime:
    return datetime.fromtimestamp(now_ns / 1e9, UTC)
