"""Sealing with AES-256-GCM: what must be secret on disk and in the database, with a key that is in neither.

    seal   newest key ─► HRS1 │ key id (8) │ nonce (12) │ ciphertext and tag (16)     associated: header, context
    open   key id ─► that key ─► what was sealed, or DataError

    keys   <home>/keys/seal.key   a line a key, the newest last; or `env:NAME`, `file:PATH` (a vault, a credential of
           systemd) that hold the same lines
           <home>/seal.probe      a known text, sealed: tells a home whose key was lost from one that never had one

A nonce is random and a key seals few things (private keys, seeds of second factors): 2^32 would be too many, and is
never near. Several keys: the newest seals, all open. Source: NIST SP 800-38D §8.2.2, §8.3; IEC 62443-3-3 SR 4.1.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from headrace.model.errors import ConfigError, DataError
from headrace.sdk.seal import MAGIC
from headrace.sdk.secret_files import FILE_MODE, FOLDER_MODE, put_private, sync_folder

KEY_BYTES: Final = 32
KEYS_MAX: Final = 32
_ID_BYTES, _NONCE_BYTES, _TAG_BYTES = 8, 12, 16
_HEADER_BYTES: Final = len(MAGIC) + _ID_BYTES
_PROBE, _PROBE_CONTEXT = b"Headrace", "probe"
_ALTERED: Final = "it was altered, or sealed for another place"

Random = Callable[[int], bytes]


class Keyring:
    """Implements `sdk.seal.Sealer`. Keys in the order of their age, the newest last."""

    def __init__(self, keys: Sequence[bytes], randomness: Random = os.urandom) -> None:
        """Raises: ConfigError for a key that is none."""
        if not 0 < len(keys) <= KEYS_MAX or any(len(key) != KEY_BYTES for key in keys):
            raise ConfigError(f"sealing needs 1 to {KEYS_MAX} keys of {KEY_BYTES} bytes: headrace keys make")
        self.keys = tuple(dict.fromkeys(keys))
        self._by_id = {key_id(key): AESGCM(key) for key in self.keys}
        self._newest, self._random = key_id(self.keys[-1]), randomness

    def seal(self, secret: bytes, context: str) -> bytes:
        header, nonce = MAGIC + self._newest, self._random(_NONCE_BYTES)
        sealed = self._by_id[self._newest].encrypt(nonce, secret, header + context.encode())
        return header + nonce + sealed

    def open(self, sealed: bytes, context: str) -> bytes:
        header = sealed[:_HEADER_BYTES]
        if not sealed.startswith(MAGIC) or len(sealed) < _HEADER_BYTES + _NONCE_BYTES + _TAG_BYTES:
            raise DataError(f"what should be sealed for '{context}' is not: {_ALTERED}")
        cipher = self._by_id.get(header[len(MAGIC) :])
        if cipher is None:
            raise DataError(
                f"'{context}' was sealed with key {header[len(MAGIC) :].hex()}, which is not here; "
                "give that key too (--seal-key, or keys/seal.key from a backup)"
            )
        nonce, text = sealed[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES], sealed[_HEADER_BYTES + _NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, text, header + context.encode())
        except InvalidTag:
            raise DataError(f"what is sealed for '{context}' does not open: {_ALTERED}") from None

    def is_newest(self, sealed: bytes) -> bool:
        """Whether it was sealed with the newest key."""
        return sealed.startswith(MAGIC + self._newest)

    def become(self, keys: Sequence[bytes]) -> None:
        """Other keys, for all who hold this ring. Raises: ConfigError."""
        other = Keyring(keys, self._random)
        self.keys, self._by_id, self._newest = other.keys, other._by_id, other._newest

    @property
    def ids(self) -> Sequence[str]:
        """What the keys are called; nothing of them can be told from that."""
        return [key_id(key).hex() for key in self.keys]


def key_id(key: bytes) -> bytes:
    """Shape: 8 bytes."""
    return hashlib.sha256(b"headrace seal key" + key).digest()[:_ID_BYTES]


def new_key(randomness: Random = os.urandom) -> bytes:
    return randomness(KEY_BYTES)


def as_line(key: bytes) -> str:
    return base64.b64encode(key).decode()


def read_lines(text: str, where: str) -> list[bytes]:
    """Keys, a line each; what follows '#' is a remark. Raises: ConfigError, which repeats nothing of a key."""
    lines = [line.partition("#")[0].strip() for line in text.splitlines()]
    keys = []
    for number, line in enumerate(lines, 1):
        if not line:
            continue
        try:
            key = base64.b64decode(line, validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if len(key) != KEY_BYTES:
            raise ConfigError(
                f"line {number} of {where} is no key: {KEY_BYTES} bytes in base64, as `headrace keys make`"
            )
        keys.append(key)
    if not 0 < len(keys) <= KEYS_MAX:
        raise ConfigError(f"{where} holds {len(keys)} keys; sealing needs 1 to {KEYS_MAX}, a line each")
    return keys


def key_file(home: Path) -> Path:
    return home / "keys" / "seal.key"


def open_keyring(home: Path, reference: str = "", randomness: Random = os.urandom) -> Keyring:
    """The keys of a home; made at its first start, unless `reference` says where they are. Blocks.

    Raises: ConfigError where they are missing, damaged, or not those with which this home was sealed.
    """
    path, probe = key_file(home), home / "seal.probe"
    if reference:
        ring = Keyring(read_lines(*_referred(reference)), randomness)
    elif path.exists():
        ring = Keyring(read_lines(_text(path), f"'{path}'"), randomness)
    elif probe.exists():
        raise ConfigError(
            f"secrets in '{home}' are sealed, and the key is not there: restore '{path}' from its backup, or say with "
            "--seal-key where it is"
        )
    else:
        ring = Keyring([_make(path, randomness)], randomness)
    _check(ring, probe, reference or f"'{path}'")
    return ring


def save_keys(path: Path, keys: Sequence[bytes]) -> None:
    """Durable on return. Raises: ConfigError."""
    try:
        put_private(path, "".join(f"{as_line(key)}\n" for key in keys).encode())
    except OSError as error:
        raise ConfigError(f"cannot keep keys in '{path}' ({error.strerror})") from None


def prove(ring: Keyring, home: Path) -> None:
    """Seal the probe with the newest key."""
    put_private(home / "seal.probe", ring.seal(_PROBE, _PROBE_CONTEXT))


def _check(ring: Keyring, probe: Path, where: str) -> None:
    try:
        if not probe.exists():
            prove(ring, probe.parent)
        elif ring.open(probe.read_bytes(), _PROBE_CONTEXT) != _PROBE:
            raise DataError("the probe says something else")
    except DataError as error:
        raise ConfigError(f"the keys in {where} are not those that sealed '{probe.parent}': {error}") from None
    except OSError as error:
        raise ConfigError(f"'{probe}' cannot be used ({error.strerror})") from None


def _make(path: Path, randomness: Random) -> bytes:
    """A first key. Two that start at once agree on one, for it appears whole, under its name, once."""
    key = new_key(randomness)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(mode=FOLDER_MODE, exist_ok=True)
        path.parent.chmod(FOLDER_MODE)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        with os.fdopen(descriptor, "w") as file:
            file.write(as_line(key) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(partial, path)
        except FileExistsError:
            return read_lines(_text(path), f"'{path}'")[-1]
        finally:
            partial.unlink(missing_ok=True)
        for folder in (path.parent, path.parent.parent):
            sync_folder(folder)
    except OSError as error:
        raise ConfigError(f"cannot keep a key in '{path}' ({error.strerror})") from None
    return key


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except OSError as error:
        raise ConfigError(f"cannot read '{path}' ({error.strerror})") from None
    except ValueError:
        raise ConfigError(f"'{path}' is damaged; restore it from its backup") from None


def _referred(reference: str) -> tuple[str, str]:
    kind, _, name = reference.partition(":")
    if kind == "env" and name:
        text = os.environ.get(name)
        if text is None:
            raise ConfigError(f"--seal-key names the variable {name}, which is not set")
        return text, f"the variable {name}"
    if kind == "file" and name:
        return _text(Path(name).expanduser()), f"'{name}'"
    raise ConfigError("--seal-key is written env:NAME or file:PATH")
