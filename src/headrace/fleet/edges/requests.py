"""What an edge asks to have signed: is it a request, by the holder of a good key, for the name it may have?

Source: RFC 2986 (PKCS #10).
"""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class Request:
    """`key_digest`: SHA-256 of the public key (SubjectPublicKeyInfo, DER), hex."""

    public_key: CertificatePublicKeyTypes
    key_digest: str


def check_request(data: bytes, edge: str) -> Request:
    """`data` is PEM; its common name has to be the edge's. Raises: DataError."""
    if len(data) > REQUEST_BYTES_MAX:
        raise DataError(f"the certificate request has {len(data):,} bytes; at most {REQUEST_BYTES_MAX:,} are read")
    try:
        request = x509.load_pem_x509_csr(data)
        signed = request.is_signature_valid
        names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        key = request.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion) as error:
        raise DataError("this is no certificate request (PKCS #10, PEM)", detail=str(error)) from None
    if not signed:
        raise DataError("the certificate request is not signed by its own key")
    if [name.value for name in names] != [edge]:
        raise DataError(f"the certificate request must be for '{edge}', and for nothing else")
    good = _good_key(key)
    der = good.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return Request(good, hashlib.sha256(der).hexdigest())


def _good_key(key: object) -> ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey:
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return key
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size in _RSA_BITS:
        return key
    raise DataError("the key of the certificate request is too weak or unusual; use EC P-256, Ed25519 or RSA 3072")
