"""Checkpoints: the head of the trail, signed, in a file that is only appended to. Cutting the trail's end off shows.

<home>/audit/checkpoints   one line of JSON each:
    {"kind": "head", "sequence", "hash", …}                 the newest entry at that time
    {"kind": "archive", "first", "last", "sha256", …}       a file that was closed
    and "time", "previous" (SHA-256 of the line before), "key", "signature"

A line counts once it is fsynced. A line that a crash left half is cut away at the next start: nobody was told of it.
Source: IEC 62443-3-3 SR 3.9, SR 3.9 RE 1 (as far as a program can: `chattr +a` makes the system refuse the rest).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from headrace.access.audit.archive import Archive
from headrace.access.audit.signing import PublicKey, SigningKey
from headrace.model.errors import ConfigError, DataError
from headrace.model.time import format_time
from headrace.sdk.audit import AuditHead
from headrace.sdk.disk import Disk

FIRST_PREVIOUS: Final = "0" * 64
LINE_BYTES_MAX: Final = 4096


@dataclass(slots=True)
class Checkpoints:
    """All lines of a file, each signed by the key and linked to the one before. `archives` by their last entry."""

    heads: dict[int, str] = field(default_factory=dict)
    archives: dict[int, Archive] = field(default_factory=dict)
    newest: AuditHead | None = None
    newest_ns: int | None = None
    count: int = 0


def read_all(path: Path, key: PublicKey) -> Checkpoints:
    """Raises: DataError that names the first line which is not as it was written."""
    found, previous = Checkpoints(), FIRST_PREVIOUS
    for number, text in enumerate(_lines(path), 1):
        try:
            document = _document(text)
            key.check(document)
            if document["previous"] != previous:
                raise DataError("a line before it is gone, or was changed")
            _take(document, found)
        except DataError as error:
            raise DataError(f"{path.name} was altered at line {number}: {error.message}") from None
        previous = hashlib.sha256(text).hexdigest()
        found.count += 1
    return found


def archives_told(path: Path) -> dict[int, Archive]:
    """Archives by their last entry, signatures not checked: for the start, which finishes what a crash left half."""
    found = {}
    for text in _lines(path):
        try:
            document = _document(text)
            if document["kind"] == "archive":
                made = _archive(document)
                found[made.last] = made
        except (DataError, KeyError):
            continue
    return found


class CheckpointFile:
    """The open file, for the one process that owns it."""

    def __init__(self, path: Path, key: SigningKey, disk: Disk) -> None:
        """Raises: ConfigError."""
        self.path, self._key, self._disk = path, key, disk
        self.newest: AuditHead | None = None
        self.newest_ns: int | None = None
        self.trouble = ""
        try:
            self._descriptor = disk.open(path, create=not path.exists())
            self._end = self._cut_half_line()
            disk.sync_directory(path.parent)
        except OSError as error:
            raise ConfigError(f"cannot write the checkpoints of the audit trail, '{path}' ({error.strerror})") from None
        self._previous = self._look_back()

    def close(self) -> None:
        os.close(self._descriptor)

    def head(self, head: AuditHead, time_ns: int) -> None:
        """Durable on return. Raises: OSError; nothing of the line stays then."""
        self._append({"kind": "head", "sequence": head.sequence, "hash": head.hash}, time_ns)
        self.newest, self.newest_ns = head, time_ns

    def archive(self, made: Archive) -> None:
        """As `head`."""
        self._append({"kind": "archive", **asdict(made)}, made.archived_ns)

    def _append(self, document: dict[str, Any], time_ns: int) -> None:
        document |= {"time": format_time(time_ns), "time_ns": time_ns, "previous": self._previous}
        document["key"] = self._key.public.fingerprint
        text = json.dumps(self._key.sign(document), separators=(",", ":")).encode()
        os.lseek(self._descriptor, self._end, os.SEEK_SET)
        try:
            self._disk.write(self._descriptor, text + b"\n")
            self._disk.datasync(self._descriptor)
        except OSError:
            self._disk.truncate(self._descriptor, self._end)
            raise
        self._end += len(text) + 1
        self._previous = hashlib.sha256(text).hexdigest()

    def _cut_half_line(self) -> int:
        size = os.fstat(self._descriptor).st_size
        tail = os.pread(self._descriptor, LINE_BYTES_MAX, max(size - LINE_BYTES_MAX, 0))
        if not tail or tail.endswith(b"\n"):
            return size
        end = size - (len(tail) - tail.rfind(b"\n") - 1)
        self._disk.truncate(self._descriptor, end)
        return end

    def _look_back(self) -> str:
        """The hash of the last line; the newest head is found on the way."""
        start = max(self._end - 64 * LINE_BYTES_MAX, 0)
        texts = os.pread(self._descriptor, self._end - start, start).split(b"\n")[1 if start else 0 : -1]
        if not texts:
            return FIRST_PREVIOUS
        for text in reversed(texts):
            try:
                document = _document(text)
                self._key.public.check(document)
                if document["kind"] == "head":
                    self.newest = AuditHead(document["sequence"], document["hash"])
                    self.newest_ns = document["time_ns"]
                    break
            except DataError as error:
                self.trouble = f"{self.path.name} was altered near its end: {error.message}"
                break
        return hashlib.sha256(texts[-1]).hexdigest()


def _lines(path: Path) -> Iterator[bytes]:
    """Without newlines; a last line without one was never finished. A file that is not there has none."""
    try:
        with path.open("rb") as file:
            while text := file.readline(LINE_BYTES_MAX):
                if len(text) == LINE_BYTES_MAX:
                    raise DataError(f"{path.name} was altered: a line is longer than any that was written")
                if not text.endswith(b"\n"):
                    return
                yield text[:-1]
    except FileNotFoundError:
        return


def _document(text: bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or json.dumps(found, separators=(",", ":")).encode() != text:
        raise DataError("it is no checkpoint")
    return found


def _archive(document: dict[str, Any]) -> Archive:
    return Archive(**{name: document[name] for name in Archive.__slots__})


def _take(document: dict[str, Any], into: Checkpoints) -> None:
    """The signature is right, so the fields are as we wrote them."""
    if document["kind"] == "archive":
        made = _archive(document)
        into.archives[made.last] = made
        return
    head = AuditHead(document["sequence"], document["hash"])
    if into.newest is not None and head.sequence < into.newest.sequence:
        raise DataError("it is of an earlier entry than the one before it")
    into.heads[head.sequence] = head.hash
    into.newest, into.newest_ns = head, document["time_ns"]
