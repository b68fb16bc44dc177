"""Files that hold a secret of ours: sealed on their way to the disk, opened on their way back.

    write   secret ─► Sealer (context: where the file stands below home) ─► partial, fsync, rename ─► mode 600
    read    sealed ─► Sealer ─► secret;   PEM of a time before sealing is read as it is, and is sealed when next written

A library that wants the path of a private key gets one of `lent`: a file that lives as long as the block, and that
says nothing to whoever copies it, for its key is under a passphrase that is only in memory.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from headrace.model.errors import ConfigError, DataError
from headrace.sdk.seal import MAGIC, Sealer

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
_PEM: Final = b"-----BEGIN "


class SecretFiles:
    """Below `root`. Without a sealer files are kept as they are, their owner's alone. Every method blocks."""

    def __init__(self, sealer: Sealer | None = None, root: Path | None = None) -> None:
        self._sealer, self._root = sealer, root

    def context(self, path: Path) -> str:
        """`file:fleet/authority.key`: a file that was put in the place of another does not open there."""
        if self._root is not None:
            with contextlib.suppress(ValueError):
                return f"file:{path.absolute().relative_to(self._root.absolute()).as_posix()}"
        return f"file:{path.name}"

    def read(self, path: Path) -> bytes:
        """Raises: OSError; DataError for what was altered, moved or sealed with a key that is not here."""
        data = path.read_bytes()
        if not is_sealed(data):
            return data
        if self._sealer is None:
            raise DataError(f"'{path}' is sealed, and no key to open it was given")
        return self._sealer.open(data, self.context(path))

    def write(self, path: Path, secret: bytes) -> None:
        """As a whole, durable, and never readable by others, not even for a moment. Raises: OSError."""
        path.parent.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        put_private(path, self.sealed(path, secret))

    def sealed(self, path: Path, secret: bytes) -> bytes:
        """What `write` puts there, for one who writes it another way."""
        return secret if self._sealer is None else self._sealer.seal(secret, self.context(path))

    def reseal(self, path: Path) -> bool:
        """With the newest key; whether there was anything to do. Raises: as `read`."""
        data = path.read_bytes()
        if self._sealer is None or not (is_sealed(data) or data.startswith(_PEM)):
            return False
        self.write(path, self.read(path))
        return True


PLAIN: Final = SecretFiles()
"""For a room that was given no sealer."""


def is_sealed(data: bytes) -> bool:
    return data.startswith(MAGIC)


def put_private(path: Path, data: bytes, mode: int = FILE_MODE) -> None:
    """The whole file, durable, or what was there before. Raises: OSError."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """A name that was given or changed in it is durable on return."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def lent(chain: bytes, key: bytes) -> Iterator[tuple[Path, str]]:
    """A file with `chain` and `key` (PEM), and the passphrase of the key, for as long as the block.

    Raises: ValueError for a key that is none.
    """
    from cryptography.hazmat.primitives import serialization

    passphrase = secrets.token_urlsafe(24)
    private = serialization.load_pem_private_key(key, None)
    hidden = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase.encode()),
    )
    handle, name = tempfile.mkstemp(prefix="headrace-")  # mode 600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(chain + hidden)
        yield Path(name), passphrase
    finally:
        Path(name).unlink(missing_ok=True)


def load_own(context: ssl.SSLContext, chain: bytes, key: bytes, what: str) -> None:
    """Give a context what it shows. Raises: ConfigError that names `what`."""
    try:
        with lent(chain, key) as (path, passphrase):
            context.load_cert_chain(path, password=passphrase)
    except (OSError, ValueError, TypeError) as error:  # ssl.SSLError is an OSError
        raise ConfigError(f"{what} and its key cannot be used: {error}") from None
