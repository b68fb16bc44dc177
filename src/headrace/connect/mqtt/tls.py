"""TLS contexts for clients and servers of MQTT: TLS 1.2 or newer, a peer that is not verified is never let in.

client   verifies the server by the system's authorities, or by `ca_file` alone; shows a certificate where it has one
server   shows its certificate; with `client_ca_file` asks clients for theirs
"""

from __future__ import annotations

import hashlib
import ssl
from pathlib import Path

from headrace.model.errors import ConfigError


def client_context(
    ca_file: Path | None = None, certificate_file: Path | None = None, key_file: Path | None = None
) -> ssl.SSLContext:
    """Raises: ConfigError for a file that cannot be read or does not fit."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH)
    if ca_file is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        _load(context, ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate_file is not None:
        _load_own(context, certificate_file, key_file)
    return context


def server_context(
    certificate_file: Path, key_file: Path, client_ca_file: Path | None = None, *, certificate_required: bool = False
) -> ssl.SSLContext:
    """Raises: as `client_context`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load_own(context, certificate_file, key_file)
    if client_ca_file is not None:
        _load(context, client_ca_file)
        context.verify_mode = ssl.CERT_REQUIRED if certificate_required else ssl.CERT_OPTIONAL
    return context


def fingerprint_of(certificate_der: bytes) -> str:
    """SHA-256, hex, as `sdk.devices.Claim.certificate` has it."""
    return hashlib.sha256(certificate_der).hexdigest()


def _load(context: ssl.SSLContext, ca_file: Path) -> None:
    try:
        context.load_verify_locations(ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"the certificates of authorities in '{ca_file}' cannot be used: {error}") from None


def _load_own(context: ssl.SSLContext, certificate_file: Path, key_file: Path | None) -> None:
    try:
        context.load_cert_chain(certificate_file, key_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"certificate '{certificate_file}' and key '{key_file or certificate_file}' cannot be used: {error}; "
            "give both as PEM files that belong together"
        ) from None
