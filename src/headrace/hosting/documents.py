"""The files of one app and tenant: each in one file below the app's folder, whole or not at all.

    documents/<SHA-256 of its name>    magic · length u32 · head, JSON: name, media type, size, SHA-256, time · bytes

So no name of an app is ever one of the system, and a copy of the folder says all. A new file is written beside, synced
and renamed over the old one: after `kill -9` there is the one or the other.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

from headrace.model.errors import AccessError, DataError, LimitReached, NotFound, Unavailable
from headrace.sdk.apps import Document
from headrace.sdk.disk import Disk

FOLDER: Final = "documents"
MAGIC: Final = b"HRDOC001"
COUNT_MAX: Final = 100_000
MEDIA_TYPE: Final = re.compile(r"[a-z0-9][a-z0-9.+-]{0,60}/[a-z0-9][a-z0-9.+-]{0,80}(; ?charset=[a-zA-Z0-9-]{1,20})?")
NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}(/[A-Za-z0-9_][A-Za-z0-9._-]{0,99}){0,7}", re.ASCII)
_LENGTH: Final = struct.Struct("<8sI")
_HEAD_BYTES_MAX: Final = 4096
_T = TypeVar("_T")


class AppDocuments:
    """Implements `Documents`, but that the time is given. `open` first."""

    def __init__(self, folder: Path, *, megabytes: int, now_ns: Callable[[], int], disk: Disk | None = None) -> None:
        self._folder, self._bytes_max, self._now_ns = folder / FOLDER, megabytes * 1_000_000, now_ns
        self._disk = disk or Disk()
        self._held: dict[str, Document] = {}
        self._one = asyncio.Lock()

    async def open(self) -> None:
        """Reads what there is; what was half written is removed. Raises: Unavailable."""
        if self._bytes_max:
            async with self._one:
                self._held = await self._threaded(lambda: dict(self._scan()))

    async def put(self, name: str, data: bytes, media_type: str) -> Document:
        """Raises: DataError for what is no name or media type; LimitReached; Unavailable where the disk fails."""
        self._check()
        if not NAME.fullmatch(name):
            raise DataError(f"'{name[:60]}' is no name of a document; write 'reports/2026-11-26.pdf'")
        if not MEDIA_TYPE.fullmatch(media_type):
            raise DataError(f"'{media_type[:60]}' is no media type; write 'application/pdf'")
        async with self._one:
            others = [one for one in self._held.values() if one.name != name]
            if sum(one.size for one in others) + len(data) > self._bytes_max:
                raise LimitReached(f"documents have reached {self._bytes_max // 1_000_000} MB, all that was granted")
            if len(others) >= COUNT_MAX:
                raise LimitReached(f"there are {COUNT_MAX:,} documents, the most of an app; delete some")
            digest = await asyncio.to_thread(lambda: hashlib.sha256(data).hexdigest())
            made = Document(name, media_type, len(data), digest, self._now_ns())
            await self._threaded(lambda: self._write(made, data))
            self._held[name] = made
            return made

    async def get(self, name: str) -> bytes:
        """Raises: NotFound; Unavailable where the disk does not give what was put there."""
        self._check()
        async with self._one:
            made = self._known(name)
            return await self._threaded(lambda: self._read(made))

    async def list(self, prefix: str = "") -> list[Document]:
        self._check()
        return [made for name, made in sorted(self._held.items()) if name.startswith(prefix)]

    async def delete(self, name: str) -> None:
        """Raises: NotFound."""
        self._check()
        async with self._one:
            self._known(name)
            await self._threaded(lambda: self._remove(name))
            del self._held[name]

    @property
    def held_bytes(self) -> int:
        return sum(one.size for one in self._held.values())

    def _check(self) -> None:
        if not self._bytes_max:
            raise AccessError("the app has no documents; its manifest would say how many MB: `documents_mb = 100`")

    def _known(self, name: str) -> Document:
        made = self._held.get(name)
        if made is None:
            raise NotFound(f"there is no document '{name[:60]}'")
        return made

    async def _threaded(self, work: Callable[[], _T]) -> _T:
        """To its end, also for one who is cancelled meanwhile."""
        doing = asyncio.ensure_future(asyncio.to_thread(work))
        try:
            return await asyncio.shield(doing)
        except asyncio.CancelledError:
            await asyncio.wait({doing})
            raise
        except OSError as error:
            raise Unavailable(f"the documents of the app: {error.strerror}", detail=repr(error)) from None

    # --- files, in a thread ------------------------------------------------------------------------------------------

    def _path(self, name: str) -> Path:
        return self._folder / hashlib.sha256(name.encode()).hexdigest()

    def _write(self, made: Document, data: bytes) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        head = json.dumps([made.name, made.media_type, made.size, made.sha256, made.changed_ns]).encode()
        path = self._path(made.name)
        new = path.with_suffix(".new")
        self._disk.unlink(new)
        descriptor = self._disk.open(new, create=True)
        try:
            self._disk.write(descriptor, _LENGTH.pack(MAGIC, len(head)) + head)
            self._disk.write(descriptor, data)
            self._disk.datasync(descriptor)
        except OSError:
            _close(descriptor)
            self._disk.unlink(new)
            raise
        _close(descriptor)
        self._disk.replace(new, path)
        self._disk.sync_directory(self._folder)

    def _read(self, made: Document) -> bytes:
        whole = self._path(made.name).read_bytes()
        (_, length) = _LENGTH.unpack_from(whole)
        data = whole[_LENGTH.size + length :]
        if hashlib.sha256(data).hexdigest() != made.sha256:
            raise Unavailable(f"document '{made.name}' is damaged on disk; put it anew, or take it from a backup")
        return data

    def _remove(self, name: str) -> None:
        self._disk.unlink(self._path(name))
        self._disk.sync_directory(self._folder)

    def _scan(self) -> Iterator[tuple[str, Document]]:
        for made in stored(self._folder):
            yield made.name, made
        for half in self._folder.glob("*.new"):
            half.unlink(missing_ok=True)


def stored(folder: Path) -> Iterator[Document]:
    """The documents in a folder of them; a file that is none is left out. Blocks. Raises: OSError."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            made = _head(file.read(_LENGTH.size + _HEAD_BYTES_MAX))
        if made is not None and hashlib.sha256(made.name.encode()).hexdigest() == path.name:
            yield made


def _head(data: bytes) -> Document | None:
    try:
        magic, length = _LENGTH.unpack_from(data)
        told = json.loads(data[_LENGTH.size : _LENGTH.size + length])
        return Document(*told) if magic == MAGIC and len(told) == 5 else None
    except (struct.error, ValueError, TypeError):
        return None


def _close(descriptor: int) -> None:
    os.close(descriptor)
