"""The key that signs checkpoints, archives and exports: outside the database, so that who owns that owns not all.

<home>/keys/audit.key   Ed25519, PKCS#8 PEM, mode 600; made at the first start
<home>/keys/audit.pub   its public half; give it to whoever checks the trail elsewhere

Source: RFC 8032 (Ed25519); IEC 62443-3-3 SR 3.9 (protection of audit information).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from headrace.model.errors import ConfigError, DataError

KEY_NAME: Final = "audit.key"
PUBLIC_NAME: Final = "audit.pub"
_PURPOSE: Final = b"headrace audit 1\n"  # what this key signs is nothing else than that


class PublicKey:
    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        self.raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the 32 bytes of the key, hex."""
        return hashlib.sha256(self.raw).hexdigest()

    def check(self, document: Mapping[str, Any]) -> None:
        """Raises: DataError where `signature` is not this key's over the rest of the document."""
        try:
            signature = base64.b64decode(str(document["signature"]), validate=True)
            self._key.verify(signature, _signed(document))
        except (KeyError, ValueError, InvalidSignature):
            raise DataError("the signature is not that of the key of this audit trail") from None

    @classmethod
    def read(cls, path: Path) -> PublicKey:
        """Raises: ConfigError."""
        try:
            key = load_pem_public_key(path.read_bytes())
        except OSError as error:
            raise ConfigError(f"cannot read the public key '{path}' ({error.strerror})") from None
        except ValueError:
            key = None
        if not isinstance(key, Ed25519PublicKey):
            raise ConfigError(f"'{path}' is no public key of an audit trail (Ed25519, PEM)")
        return cls(key)

    @classmethod
    def of_text(cls, text: str) -> PublicKey:
        """Raises: DataError."""
        try:
            return cls(Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True)))
        except ValueError:
            raise DataError("the key in this file is none") from None

    def text(self) -> str:
        return base64.b64encode(self.raw).decode()


class SigningKey:
    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key())

    def sign(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """The document with its `signature`."""
        signature = base64.b64encode(self._key.sign(_signed(document))).decode()
        return {**document, "signature": signature}

    @classmethod
    def load(cls, folder: Path) -> SigningKey | None:
        """None where there is none yet. Raises: ConfigError for one that cannot be used or others may read."""
        path = folder / KEY_NAME
        try:
            mode, text = path.stat().st_mode, path.read_bytes()
            key = load_pem_private_key(text, password=None)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise ConfigError(f"cannot read the key of the audit trail, '{path}' ({error.strerror})") from None
        except (ValueError, TypeError):
            key = None
        if not isinstance(key, Ed25519PrivateKey):
            raise ConfigError(f"'{path}' is no key of an audit trail (Ed25519, PEM); put it back from a backup")
        if mode & 0o077:
            raise ConfigError(f"other accounts may read the key of the audit trail: chmod 600 {path}")
        return cls(key)

    @classmethod
    def make(cls, folder: Path) -> SigningKey:
        """A new one, durable, with its public half beside it. Raises: OSError."""
        made = cls(Ed25519PrivateKey.generate())
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        private = made._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        public = made._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        _write(folder / PUBLIC_NAME, public, 0o644)
        _write(folder / KEY_NAME, private, 0o600)
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
        return made


def _signed(document: Mapping[str, Any]) -> bytes:
    rest = {name: value for name, value in document.items() if name != "signature"}
    return _PURPOSE + json.dumps(rest, sort_keys=True, separators=(",", ":")).encode()


def _write(path: Path, content: bytes, mode: int) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
