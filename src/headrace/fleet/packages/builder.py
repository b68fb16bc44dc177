"""A folder and keys become a package; a package and a key become one with a signature more.

    folder/package.toml   kind, name, version, title, needs, expires
    folder/**             files, in order; links refused; names that begin with a dot, __pycache__ and *.pyc left out
        │ each deflated, or stored where that is shorter
        ▼
    files/… manifest.toml META/signatures, directory        written beside, synced, renamed

The same folder, keys, day and zlib give the same bytes.
"""

from __future__ import annotations

import datetime
import difflib
import hashlib
import os
import tomllib
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

from headrace.fleet.packages import container, keys, manifest
from headrace.fleet.packages.container import ATTRIBUTES, CENTRAL, DEFLATED, DOS_DATE, END, LOCAL, STORED, Entry, Limits
from headrace.fleet.packages.manifest import Kind, Manifest, PackedFile
from headrace.fleet.packages.reading import FILES, MANIFEST, SIGNATURES, Package
from headrace.model.errors import ConfigError, DataError

DESCRIPTION: Final = "package.toml"
_KEYS: Final = ("kind", "name", "version", "title", "needs", "expires")
_BLOCK: Final = 1 << 18


def build(
    folder: Path, target: Path, signers: Sequence[keys.SigningKey], today: datetime.date, limits: Limits | None = None,
    *, described: Mapping[str, Any] | None = None,
) -> Manifest:  # fmt: skip
    """`described` is what a package.toml would say, for a folder without one. Raises: ConfigError for what an author
    mends; OSError from writing."""
    limits = limits or Limits()
    about = _about(described, folder) if described is not None else _described(folder / DESCRIPTION)
    try:
        with _Replacing(target) as file:
            entries, files = _packed(file, folder, _files(folder, limits))
            made = Manifest(**about, created=today, files=files)
            data = manifest.encode(made)
            _finish(file, entries, data, {signer.key_id: signer.sign(data) for signer in signers})
            Package.open(file, limits)  # what we write, we read
    except DataError as error:
        raise ConfigError(str(error), file=str(folder)) from None
    return made


def countersign(source: Path, target: Path, signer: keys.SigningKey, limits: Limits | None = None) -> Manifest:
    """Add, or renew, the signature of one key; `target` may be `source`. Raises: ConfigError, DataError, OSError."""
    with source.open("rb") as old:
        package = Package.open(old, limits)
        with _Replacing(target) as file:
            end = package.entries[-1].offset + package.entries[-1].packed_bytes
            for at in range(0, end, _BLOCK):
                file.write(container.block(old, at, min(_BLOCK, end - at)))
            signatures = {**package.signatures, signer.key_id: signer.sign(package.manifest)}
            if len(signatures) > keys.SIGNATURES_MAX:
                raise ConfigError(f"a package has at most {keys.SIGNATURES_MAX} signatures")
            _finish(file, list(package.entries), package.manifest, signatures)
    return package.claims


def _described(path: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read {path} ({error.strerror}); it names the package, see docs/packages.md"
        ) from None
    except ValueError as error:
        raise ConfigError(f"this is no TOML: {error}", file=str(path)) from None
    return _about(table, path)


def _about(table: Mapping[str, Any], path: Path) -> dict[str, Any]:
    for key in table:
        if key not in _KEYS:
            near = difflib.get_close_matches(key, _KEYS, 1)
            raise ConfigError(f"unknown key '{key}'{f'; did you mean {near[0]}?' if near else ''}", file=str(path))
    expires, title, needs = table.get("expires"), table.get("title", ""), table.get("needs", [])
    if expires is not None and type(expires) is not datetime.date:
        raise ConfigError("expires is a date without quotes, such as 2028-11-26", file=str(path))
    if not isinstance(title, str) or not isinstance(needs, list):
        raise ConfigError("title is a text, needs a list of texts", file=str(path))
    try:
        return {
            "kind": Kind(table.get("kind", "app")),
            "name": manifest.check_package_name(str(table.get("name", ""))),
            "version": manifest.check_version(str(table.get("version", ""))),
            "title": title,
            "needs": manifest.parse_needs([manifest.spelled(need) for need in needs]),
            "expires": expires,
        }
    except ValueError:
        raise ConfigError("kind is 'app' or 'update'", file=str(path)) from None
    except DataError as error:
        raise ConfigError(str(error), file=str(path)) from None


def _files(folder: Path, limits: Limits) -> list[str]:
    found: list[str] = []
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "__pycache__")
        here = Path(root)
        for name in [*folders, *names]:
            if (here / name).is_symlink():
                raise ConfigError(f"{here / name} is a link; a package holds files only")
        for name in names:
            path = (here / name).relative_to(folder).as_posix()
            if name.startswith(".") or name.endswith(".pyc") or path == DESCRIPTION:
                continue
            if not (here / name).is_file():
                raise ConfigError(f"{here / name} is no plain file; a package holds nothing else")
            container.check_name(path.encode("utf-8", "replace"), limits)
            found.append(path)
            if len(found) > limits.files:
                raise ConfigError(f"{folder} has more than {limits.files:,} files")
    if not found:
        raise ConfigError(f"{folder} has no files to pack")
    return sorted(found)


def _packed(file: BinaryIO, folder: Path, paths: Sequence[str]) -> tuple[list[Entry], tuple[PackedFile, ...]]:
    entries, listed = [], []
    for path in paths:
        start = file.tell()
        name = (FILES + path).encode()
        file.write(bytes(LOCAL.size) + name)
        with (folder / path).open("rb") as source:
            entry, content, packed = _stream(source, file, name.decode(), DEFLATED)
            if entry.packed_bytes >= entry.bytes:
                source.seek(0)
                file.seek(entry.offset)
                file.truncate()
                entry, content, packed = _stream(source, file, name.decode(), STORED)
        file.seek(start)
        file.write(_local(entry))
        file.seek(0, os.SEEK_END)
        entries.append(entry)
        listed.append(PackedFile(path, entry.bytes, content, packed))
    return entries, tuple(listed)


def _stream(source: BinaryIO, file: BinaryIO, name: str, method: int) -> tuple[Entry, str, str]:
    content, packed = hashlib.sha256(), hashlib.sha256()
    crc = size = 0
    offset = file.tell()
    press = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS) if method == DEFLATED else None
    while True:
        piece = source.read(_BLOCK)
        content.update(piece)
        crc = zlib.crc32(piece, crc)
        size += len(piece)
        out = piece if press is None else press.compress(piece) if piece else press.flush()
        packed.update(out)
        file.write(out)
        if not piece:
            break
    entry = Entry(name, method, crc, file.tell() - offset, size, offset)
    return entry, content.hexdigest(), packed.hexdigest()


def _finish(file: BinaryIO, entries: list[Entry], data: bytes, signatures: dict[str, bytes]) -> None:
    for name, content in ((MANIFEST, data), (SIGNATURES, keys.encode_signatures(signatures))):
        offset = file.tell() + LOCAL.size + len(name)
        entry = Entry(name, STORED, zlib.crc32(content), len(content), len(content), offset)
        file.write(_local(entry) + name.encode() + content)
        entries.append(entry)
    start = file.tell()
    for entry in entries:
        name_bytes = entry.name.encode()
        file.write(
            CENTRAL.pack(
                container.CENTRAL_MAGIC, container.VERSION_MADE_BY, container.VERSION_NEEDED, 0, entry.method, 0,
                DOS_DATE, entry.crc, entry.packed_bytes, entry.bytes, len(name_bytes), 0, 0, 0, 0, ATTRIBUTES,
                entry.offset - LOCAL.size - len(name_bytes),
            )
            + name_bytes
        )  # fmt: skip
    length = file.tell() - start
    file.write(END.pack(container.END_MAGIC, 0, 0, len(entries), len(entries), length, start, 0))


def _local(entry: Entry) -> bytes:
    return LOCAL.pack(
        container.LOCAL_MAGIC, container.VERSION_NEEDED, 0, entry.method, 0, DOS_DATE, entry.crc, entry.packed_bytes,
        entry.bytes, len(entry.name), 0,
    )  # fmt: skip


class _Replacing:
    """A file that takes the place of `target` when all of it is written, and leaves nothing when it is not."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._partial = target.with_name(target.name + ".partial")

    def __enter__(self) -> BinaryIO:
        self._partial.unlink(missing_ok=True)
        self._file: BinaryIO = self._partial.open("x+b")
        return self._file

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        try:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
                self._partial.replace(self._target)
        finally:
            self._file.close()
            self._partial.unlink(missing_ok=True)
