"""Opening a package: nothing is believed before its signatures are, and nothing inflated before its digest is.

    file ──► entries (container.py) ──► META/signatures ──► manifest, still of a stranger      Package
                                                                │ publishers of this home judge
                                                                ▼
           entries = files of the manifest, in name, order and size                            Verified
                                                                │ for each: SHA-256 of the packed bytes,
                                                                ▼ then inflate, count, SHA-256 of the content
                                                             content

The form of the zip is fixed, and the manifest names the packed bytes too: one manifest and its signatures are one
file, byte for byte. Hence no byte can be altered unseen.
"""

from __future__ import annotations

import datetime
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from headrace.fleet.packages import container, keys, manifest
from headrace.fleet.packages.container import DEFLATED, Entry, Limits
from headrace.fleet.packages.manifest import Manifest, PackedFile
from headrace.model.errors import DataError

MANIFEST: Final = "manifest.toml"
SIGNATURES: Final = "META/signatures"
FILES: Final = "files/"
_PIECE: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Package:
    """A well-formed package of a stranger. `claims` is what it says of itself; `sha256` is of the manifest, hex."""

    claims: Manifest
    manifest: bytes
    signatures: dict[str, bytes]
    entries: tuple[Entry, ...]
    limits: Limits

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.manifest).hexdigest()

    @classmethod
    def open(cls, file: BinaryIO, limits: Limits | None = None) -> Package:
        """`file` stays the caller's, and seekable. Raises: DataError for whatever is not a package; OSError."""
        limits = limits or Limits()
        entries = container.read_entries(file, limits)
        if [entry.name for entry in entries[-2:]] != [MANIFEST, SIGNATURES]:
            raise DataError(f"a package ends with {MANIFEST} and {SIGNATURES}; this zip file does not")
        data = container.packed_bytes(file, entries[-2], limits.manifest_bytes)
        signatures = keys.decode_signatures(container.packed_bytes(file, entries[-1], keys.SIGNATURES_BYTES_MAX))
        claims = manifest.decode(data, limits)
        listed = [(FILES + each.path, each.size) for each in claims.files]
        if listed != [(entry.name, entry.bytes) for entry in entries[:-2]]:
            raise DataError("the files of the package are not those that its manifest lists, in name, order and size")
        return cls(claims, data, signatures, entries[:-2], limits)

    def verify(self, publishers: keys.Publishers, today: datetime.date) -> Verified:
        """Raises: DataError where too few publishers that count have signed, it is altered, or its time is over."""
        signers = publishers.judge(self.claims, self.manifest, self.signatures, today)
        if self.claims.expires is not None and today > self.claims.expires:
            raise DataError(
                f"{self.claims.name} {self.claims.version} was not to be installed after {self.claims.expires}; "
                "ask its publisher for a newer one"
            )
        return Verified(self, signers)


@dataclass(frozen=True, slots=True)
class Verified:
    """A package whose publishers this home trusts. Only this has contents."""

    package: Package
    signers: tuple[keys.Publisher, ...]

    @property
    def manifest(self) -> Manifest:
        return self.package.claims

    def check(self, file: BinaryIO) -> None:
        """Read all of it and keep nothing. Raises: DataError, OSError."""
        for _, pieces in self.contents(file):
            for _ in pieces:
                pass

    def contents(self, file: BinaryIO) -> Iterator[tuple[PackedFile, Iterator[bytes]]]:
        """Each file and its content in pieces of at most 256 KiB; the last comes before its digest was compared:
        whoever writes pieces somewhere uses none of them before the iterator ended. Raises: DataError, OSError."""
        for entry, listed in zip(self.package.entries, self.manifest.files, strict=True):
            yield listed, content(file, entry, listed)


def content(file: BinaryIO, entry: Entry, listed: PackedFile) -> Iterator[bytes]:
    """One file in pieces, judged twice: as it lies in the zip, and as it comes out. Raises: DataError, OSError."""
    packed = hashlib.sha256()
    for at, length in container.packed_blocks(entry):
        packed.update(container.block(file, at, length))
    if packed.hexdigest() != listed.packed:
        raise DataError(f"'{listed.path}' was altered in the package")
    digest, crc, count = hashlib.sha256(), 0, 0
    for piece in _inflated(file, entry):
        count += len(piece)
        if count > listed.size:
            raise DataError(f"'{listed.path}' is longer than the manifest says")
        digest.update(piece)
        crc = zlib.crc32(piece, crc)
        yield piece
    if count != listed.size or digest.hexdigest() != listed.sha256 or crc != entry.crc:
        raise DataError(f"'{listed.path}' is not what the manifest says")


def _inflated(file: BinaryIO, entry: Entry) -> Iterator[bytes]:
    blocks = (container.block(file, at, length) for at, length in container.packed_blocks(entry))
    if entry.method != DEFLATED:
        yield from blocks
        return
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for data in blocks:
            while data:
                piece = stream.decompress(data, _PIECE)
                data = stream.unconsumed_tail
                if stream.unused_data:
                    raise DataError(f"'{entry.name}' has bytes behind its end")
                if piece:
                    yield piece
        while not stream.eof:
            piece = stream.decompress(b"", _PIECE)
            if not piece:
                break
            yield piece
    except zlib.error:
        raise DataError(f"'{entry.name}' cannot be inflated") from None
    if not stream.eof:
        raise DataError(f"'{entry.name}' is cut off")
