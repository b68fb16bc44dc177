"""Signatures of the platform for its apps: one Ed25519 key, in the home's `keys/apps.key`, made when first needed.

what is signed    ["headrace app signature 1", app, tenant, time in ns, SHA-256 of the bytes in hex]   JSON, no spaces

So a signature that one app got says nothing for another app, tenant or time, nor anywhere else where this platform
signs. Source: RFC 8032 §5.1 (Ed25519).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from headrace.hosting.abilities import PlatformKey
from headrace.model.errors import ConfigError
from headrace.sdk.apps import Signature
from headrace.sdk.secret_files import PLAIN, SecretFiles

FILE: Final = "apps.key"
_DOMAIN: Final = "headrace app signature 1"
_SEED_BYTES: Final = 32


class KeyFile:
    """Implements `PlatformKey` with a file of 32 bytes, sealed where the platform seals."""

    def __init__(self, folder: Path, files: SecretFiles = PLAIN) -> None:
        """Reads the file, or makes it. Blocks. Raises: OSError; DataError where it cannot be opened; ConfigError."""
        path = folder / FILE
        try:
            seed = files.read(path)
        except FileNotFoundError:
            seed = Ed25519PrivateKey.generate().private_bytes_raw()
            files.write(path, seed)
        if len(seed) != _SEED_BYTES:
            raise ConfigError(f"'{path}' holds no key; put the one of your backup back")
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = self._key.public_key().public_bytes_raw().hex()

    @property
    def public(self) -> str:
        return self._public

    def sign(self, data: bytes) -> bytes:
        return self._key.sign(data)


def sign(key: PlatformKey, app: str, tenant: str, data: bytes, time_ns: int) -> Signature:
    return Signature(key.public, key.sign(_signed(app, tenant, data, time_ns)).hex(), time_ns)


def verify(key: PlatformKey, app: str, tenant: str, data: bytes, signature: Signature) -> bool:
    """Whether it is of this platform, for this app and tenant, and of these bytes; also for one that is nonsense."""
    if signature.key != key.public:
        return False
    try:
        public = Ed25519PublicKey.from_public_bytes(bytes.fromhex(signature.key))
        public.verify(bytes.fromhex(signature.value), _signed(app, tenant, data, signature.time_ns))
    except (InvalidSignature, ValueError):
        return False
    return True


def _signed(app: str, tenant: str, data: bytes, time_ns: int) -> bytes:
    told = [_DOMAIN, app, tenant, time_ns, hashlib.sha256(data).hexdigest()]
    return json.dumps(told, separators=(",", ":")).encode()
