"""What a machine asks to have signed: is it a request, by the holder of a good key?

Source: RFC 2986 (PKCS #10); IEC 62443-3-3 SR 1.8, SR 1.9 (proof of possession of the private key).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID

from headrace.model.errors import DataError

REQUEST_BYTES_MAX: Final = 16 * 1024
_CURVES: Final = (ec.SECP256R1, ec.SECP384R1)
_RSA_BITS: Final = range(2048, 8193)
_PEM: Final = b"-----BEGIN"


@dataclass(frozen=True, slots=True)
class Request:
    """`names` are the common names that it asks for; `der` the request itself; `key_digest`: SHA-256 of the public key
    (SubjectPublicKeyInfo, DER), hex."""

    public_key: CertificatePublicKeyTypes
    key_digest: str
    names: tuple[str, ...]
    der: bytes


def read_request(data: bytes) -> Request:
    """PEM, DER, or base64 of DER as EST has it (RFC 8951). Raises: DataError."""
    if len(data) > REQUEST_BYTES_MAX:
        raise DataError(f"the certificate request has {len(data):,} bytes; at most {REQUEST_BYTES_MAX:,} are read")
    try:
        request = _parsed(data)
        signed = request.is_signature_valid
        names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        key = request.public_key()
        der = request.public_bytes(serialization.Encoding.DER)
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion) as error:
        raise DataError("this is no certificate request (PKCS #10, PEM)", detail=str(error)) from None
    if not signed:
        raise DataError("the certificate request is not signed by its own key")
    good = good_key(key)
    return Request(good, key_digest_of(good), tuple(str(name.value) for name in names), der)


def good_key(key: object) -> ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey:
    """EC P-256 or P-384, Ed25519, RSA from 2048 bits. Raises: DataError."""
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return key
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA_BITS:
        return key
    raise DataError("the key of the certificate request is too weak or unusual; use EC P-256, Ed25519 or RSA 3072")


def key_digest_of(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey) -> str:
    """SHA-256 of SubjectPublicKeyInfo, hex."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()


def _parsed(data: bytes) -> x509.CertificateSigningRequest:
    if _PEM in data:
        return x509.load_pem_x509_csr(data)
    if data[:1] == b"\x30":
        return x509.load_der_x509_csr(data)
    try:
        return x509.load_der_x509_csr(base64.b64decode(b"".join(data.split()), validate=True))
    except binascii.Error as error:
        raise ValueError(str(error)) from None
