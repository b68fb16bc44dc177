"""Publishers: which keys may sign what, until when, which no longer may, and how many must.

    <home>/keys/publishers/acme.pub        one trusted key (`headrace package new-key`), put here by a person
                           revoked         lines `<key id> <reason>`: no longer counted, whatever it signed, and when
                           policy.toml     `app = 1`, `update = 2`: how many different publishers must have signed

Nothing in a package can change this folder. A key is replaced by putting the new one beside it, signing with both for
as long as old installations are about (`package sign` adds a signature), and then taking the old one out, or, where it
was stolen, naming it in `revoked`.

Ed25519 over `headrace package 1`, a zero byte and the bytes of the manifest: a signature for anything else that the
same key signs is none of a package. Source: RFC 8032; NIST SP 800-57 for lifetimes.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import re
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from headrace.fleet.packages.manifest import Kind, Manifest, check_package_name
from headrace.model.errors import ConfigError, DataError

KEYS_MAX: Final = 256
SIGNATURES_MAX: Final = 16
SIGNATURES_BYTES_MAX: Final = 4096
_PURPOSE: Final = b"headrace package 1\0"
_HEAD: Final = "headrace package signatures 1"
_SIGNATURE: Final = re.compile(r"([0-9a-f]{32}) ([0-9a-f]{128})", re.ASCII)
_KEY: Final = re.compile(r"ed25519:([0-9a-f]{64})", re.ASCII)
_KEY_ID: Final = re.compile(r"[0-9a-f]{32}", re.ASCII)
_FILE_BYTES_MAX: Final = 64 << 10


@dataclass(frozen=True, slots=True)
class Publisher:
    """`names` are exact, or end in `.*`, or are `*`; the key counts up to and including `until`."""

    title: str
    key: bytes
    kinds: frozenset[Kind]
    names: tuple[str, ...]
    until: datetime.date

    @property
    def key_id(self) -> str:
        return key_id(self.key)

    def may_sign(self, manifest: Manifest) -> bool:
        return manifest.kind in self.kinds and any(_covers(name, manifest.name) for name in self.names)

    def text(self) -> str:
        """As a `.pub` file holds it."""
        kinds = ", ".join(f'"{kind.value}"' for kind in sorted(self.kinds))
        names = ", ".join(f'"{name}"' for name in self.names)
        return (
            f"# key id {self.key_id}\n"
            f'publisher = "{self.title}"\nkey = "ed25519:{self.key.hex()}"\n'
            f'kinds = [{kinds}]\nnames = [{names}]\nuntil = "{self.until.isoformat()}"\n'
        )


class SigningKey:
    """The private half. It signs manifests, and is never shown."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes_raw()

    @property
    def key_id(self) -> str:
        return key_id(self.public)

    def sign(self, manifest: bytes) -> bytes:
        """Shape: 64 bytes."""
        return self._key.sign(_PURPOSE + manifest)

    def pem(self, passphrase: bytes | None) -> bytes:
        form = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
        return self._key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, form)


@dataclass(frozen=True, slots=True)
class Publishers:
    """What a home trusts. `revoked` is key id → reason; `threshold` how many publishers must have signed."""

    trusted: tuple[Publisher, ...] = ()
    revoked: tuple[tuple[str, str], ...] = ()
    threshold: tuple[tuple[Kind, int], ...] = ()

    @classmethod
    def load(cls, folder: Path) -> Publishers:
        """An absent folder trusts nobody. Raises: ConfigError that names the file."""
        if not folder.is_dir():
            return cls()
        _owned(folder)
        files = sorted(folder.glob("*.pub"))
        if len(files) > KEYS_MAX:
            raise ConfigError(f"{folder} has more than {KEYS_MAX} keys; take out those that nobody uses")
        trusted = tuple(read_publisher(file) for file in files)
        if len({publisher.key for publisher in trusted}) != len(trusted):
            raise ConfigError(f"two files of {folder} hold the same key, so it would count twice; take one out")
        return cls(trusted, _revoked(folder / "revoked"), _threshold(folder / "policy.toml"))

    def judge(
        self, manifest: Manifest, data: bytes, signatures: dict[str, bytes], today: datetime.date
    ) -> tuple[Publisher, ...]:
        """Those whose signatures count. Raises: DataError that says why they are too few, or what was altered."""
        known = {publisher.key_id: publisher for publisher in self.trusted}
        revoked = dict(self.revoked)
        good: list[Publisher] = []
        others: list[str] = []
        for signer, signature in signatures.items():
            publisher = known.get(signer)
            if signer in revoked:
                others.append(f"{signer} is revoked ({revoked[signer]})")
            elif publisher is None:
                others.append(f"{signer} is not trusted here")
            elif not verifies(publisher.key, data, signature):
                raise DataError(
                    f"the signature of '{publisher.title}' is not of this manifest: the package was altered"
                )
            elif today > publisher.until:
                others.append(f"the key of '{publisher.title}' ended on {publisher.until}")
            elif not publisher.may_sign(manifest):
                others.append(f"'{publisher.title}' may not sign {manifest.kind.value} '{manifest.name}'")
            else:
                good.append(publisher)
        wanted = dict(self.threshold).get(manifest.kind, 1)
        count = len({publisher.title for publisher in good})
        if count < wanted:
            reasons = "; ".join(others) or "there is no signature"
            raise DataError(
                f"{manifest.name} {manifest.version} has the signatures of {count} of {wanted} publishers: {reasons}"
            )
        return tuple(good)


def new_key() -> SigningKey:
    return SigningKey(Ed25519PrivateKey.generate())


def read_signing_key(path: Path, passphrase: bytes | None = None) -> SigningKey:
    """Raises: ConfigError where it is not there, not Ed25519, open to others, or the passphrase is wrong."""
    _owned(path)
    data = _read(path)
    try:
        key = serialization.load_pem_private_key(data, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(f"{path} is no private key, or its passphrase is missing or wrong (--passphrase)") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path} is no Ed25519 key; make one with `headrace package new-key`")
    if path.stat().st_mode & 0o077:
        raise ConfigError(f"{path} can be read by others; chmod 600 it, and think about whether somebody did")
    return SigningKey(key)


def read_publisher(path: Path) -> Publisher:
    """One `.pub` file. Raises: ConfigError."""
    _owned(path)
    table = _toml(path)
    if table.keys() != {"publisher", "key", "kinds", "names", "until"}:
        raise ConfigError("a .pub file has publisher, key, kinds, names and until, and nothing else", file=str(path))
    title, key, kinds, names, until = (table[name] for name in ("publisher", "key", "kinds", "names", "until"))
    matched = _KEY.fullmatch(key) if isinstance(key, str) else None
    if matched is None:
        raise ConfigError("key is 'ed25519:' and 64 hex digits", file=str(path))
    check_title(title, str(path))
    if not isinstance(kinds, list) or not kinds or not set(map(str, kinds)) <= {kind.value for kind in Kind}:
        raise ConfigError("kinds is a list of 'app' and 'update'", file=str(path))
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ConfigError('names is a list such as ["acme.*"]', file=str(path))
    for name in names:
        check_pattern(name, str(path))
    try:
        end = datetime.date.fromisoformat(until) if isinstance(until, str) else until
    except ValueError:
        end = None
    if type(end) is not datetime.date:
        raise ConfigError("until is a date such as 2028-11-26", file=str(path))
    return Publisher(title, bytes.fromhex(matched[1]), frozenset(Kind(kind) for kind in kinds), tuple(names), end)


def check_title(title: object, file: str | None = None) -> str:
    """Raises: ConfigError."""
    if not isinstance(title, str) or not 1 <= len(title) <= 100 or not title.isprintable() or set(title) & set('"\\'):
        raise ConfigError("a publisher has a printable name of up to 100 characters, without quotes", file=file)
    return title


def check_pattern(name: str, file: str | None = None) -> str:
    """`oee`, `acme.*` or `*`. Raises: ConfigError."""
    try:
        if name != "*":
            check_package_name(name.removesuffix(".*"))
    except DataError as error:
        raise ConfigError(str(error), file=file) from None
    return name


def key_id(public: bytes) -> str:
    """32 hex digits of the SHA-256 of the raw public key."""
    return hashlib.sha256(public).hexdigest()[:32]


def verifies(public: bytes, manifest: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _PURPOSE + manifest)
    except (InvalidSignature, ValueError):
        return False
    return True


def encode_signatures(signatures: dict[str, bytes]) -> bytes:
    """In the order of key ids, so that the same signatures are the same bytes."""
    return "".join(
        f"{line}\n" for line in [_HEAD, *(f"{k} {signatures[k].hex()}" for k in sorted(signatures))]
    ).encode()


def decode_signatures(data: bytes) -> dict[str, bytes]:
    """Raises: DataError."""
    lines = data.decode("ascii", "replace").split("\n")
    if lines[0] != _HEAD or lines[-1] != "" or len(lines) > SIGNATURES_MAX + 2:
        raise DataError(f"META/signatures is not a list of at most {SIGNATURES_MAX} signatures")
    found: dict[str, bytes] = {}
    for line in lines[1:-1]:
        matched = _SIGNATURE.fullmatch(line)
        if matched is None:
            raise DataError("a line of META/signatures is not a key id and a signature")
        found[matched[1]] = bytes.fromhex(matched[2])
    if encode_signatures(found) != data:
        raise DataError("META/signatures names a key twice, or out of order")
    return found


def _covers(pattern: str, name: str) -> bool:
    return pattern in ("*", name) or (pattern.endswith(".*") and name.startswith(pattern[:-1]))


def _revoked(path: Path) -> tuple[tuple[str, str], ...]:
    if not path.exists():
        return ()
    _owned(path)
    found = []
    for number, line in enumerate(_read(path).decode("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        signer, _, reason = line.strip().partition(" ")
        if not _KEY_ID.fullmatch(signer):  # a typing error here would leave a stolen key in force
            raise ConfigError("each line is a key id of 32 hex digits, then a reason", file=str(path), line=number)
        found.append((signer, reason.strip() or "no reason given"))
    return tuple(found)


def _threshold(path: Path) -> tuple[tuple[Kind, int], ...]:
    if not path.exists():
        return ()
    _owned(path)
    found = []
    for kind, count in _toml(path).items():
        if kind not in {each.value for each in Kind} or type(count) is not int or not 1 <= count <= SIGNATURES_MAX:
            raise ConfigError(f"write `app = 1` or `update = 2` (1 to {SIGNATURES_MAX})", file=str(path))
        found.append((Kind(kind), count))
    return tuple(found)


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_read(path).decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ConfigError("this cannot be read as TOML", file=str(path), detail=str(error)) from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(_FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path} ({error.strerror})") from None
    if len(data) > _FILE_BYTES_MAX:
        raise ConfigError(f"{path} is larger than {_FILE_BYTES_MAX:,} bytes")
    return data


def _owned(path: Path) -> None:
    """What decides about trust must not be writable by everybody."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"cannot read {path} ({error.strerror})") from None
    if mode & (stat.S_IWGRP | stat.S_IWOTH) and os.name == "posix":
        raise ConfigError(f"{path} can be written by others, so its trust is theirs; chmod go-w it")
