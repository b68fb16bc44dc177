"""Whom the command trusts when it speaks TLS, and what it says of a server that it does not know.

--ca FILE, HEADRACE_CA ─┐
run/server.json: its ca ├─► SSLContext ─► httpx          a server that none of these vouches for
the system's            ┘                                ─► AccessError with the SHA-256 that it shows
"""

from __future__ import annotations

import hashlib
import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from headrace.model.errors import AccessError, ConfigError, DataError, NotFound, Unavailable

VARIABLE: Final = "HEADRACE_CA"
_AUTHORITY_BYTES_MAX: Final = 64 * 1024
_TIMEOUT_S: Final = 15.0


def context_for(ca: Path | None = None) -> ssl.SSLContext:
    """The system's authorities, and those of `ca` or the file that HEADRACE_CA names. Raises: ConfigError."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    named = os.environ.get(VARIABLE)
    file = Path(named) if named else ca
    if file is not None:
        try:
            context.load_verify_locations(file)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"'{file}' holds no certificates in PEM that can be used: {error}") from None
    return context


def context_of(document: Mapping[str, Any]) -> ssl.SSLContext | None:
    """What `run/server.json` says of a platform on this machine: its authority, or exactly its certificate."""
    if "ca" in document:
        return context_for(Path(str(document["ca"])))
    if "certificate" not in document:
        return None
    exactly = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    exactly.check_hostname = False  # it is this one and no other, whatever it is called on this machine
    exactly.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    exactly.load_verify_locations(str(document["certificate"]))
    return exactly


def not_trusted(url: str, error: BaseException) -> AccessError | None:
    """What to say where the server's certificate is not good; None where something else went wrong."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, ssl.SSLCertVerificationError):
        found = found.__cause__ or found.__context__
    if found is None:
        return None
    if found.verify_code in (9, 10):  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
        return AccessError(f"the certificate of {url} is not valid now ({found.verify_message}); look at both clocks")
    if found.verify_code in (62, 64):  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
        return AccessError(
            f"{url} shows a certificate for other names ({found.verify_message}); call it by one of those, or start it "
            "with --allow-host"
        )
    try:
        shown = f"its authority has SHA-256\n    {in_pairs(fetch_authority(url)[1])}\n"
        what = f"headrace ca export --server {url} --fingerprint … -o headrace-ca.pem"
        then = f"Compare that with what it said when it started; then {what}, and give --ca headrace-ca.pem"
    except (NotFound, Unavailable, DataError):
        shown, then = "it shows no authority of its own. ", "give --ca with the certificate of who signed it"
    return AccessError(f"{url} is not trusted: {shown}{then} (or set {VARIABLE}).", detail=str(found))


def fetch_authority(url: str) -> tuple[bytes, str]:
    """The authority that a server names, and its SHA-256, hex; nothing that it says is believed yet.

    Raises: Unavailable; NotFound where it has none of its own; DataError.
    """
    base = urlsplit(url)
    unverified = ssl.create_default_context()
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    try:
        with httpx.Client(verify=unverified, timeout=_TIMEOUT_S, trust_env=False) as client:
            answer = client.get(f"{base.scheme}://{base.netloc}/api/v1/ca.pem")
    except httpx.HTTPError as error:
        raise Unavailable(f"nobody answers at {url}", detail=str(error)) from None
    if answer.status_code == 404:
        raise NotFound(f"the certificate of {url} was not made there; ask whoever gave it whom to trust")
    if answer.status_code != 200 or len(answer.content) > _AUTHORITY_BYTES_MAX:
        raise DataError(f"{url} does not show an authority")
    return answer.content, sha256_of(answer.content)


def sha256_of(pem: bytes) -> str:
    """Of the certificate. Raises: DataError."""
    try:
        der = ssl.PEM_cert_to_DER_cert(pem.decode("ascii").strip() + "\n")
    except ValueError:
        raise DataError("this is no certificate in PEM") from None
    return hashlib.sha256(der).hexdigest()


def in_pairs(sha256: str) -> str:
    return ":".join(sha256[at : at + 2] for at in range(0, len(sha256), 2)).upper()


def plain(fingerprint: str) -> str:
    """As it was typed, to 64 hex digits. Raises: ConfigError."""
    text = "".join(fingerprint.split()).replace(":", "").lower()
    if len(text) != 64 or set(text) - set("0123456789abcdef"):
        raise ConfigError("--fingerprint takes the SHA-256 that the platform says when it starts: 64 hex digits")
    return text
