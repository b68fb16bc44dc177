"""A backup target: what lies where in it, and how a file gets there so that it is whole or not there.

    <target>/<timeline>/                one store's life; a restored store begins another
        <n>-<time>.json                 manifest of one backup: every file with size and hash; written last
        <n>-<time>/catalog.db  journal.log  wal/<n>.log
        seg/<hour>-<n>.seg              immutable, shared by the backups
        archive/<n>-<bytes>.log         logs of after and between, for a restore to any moment
        archive/journal.log

A folder without its manifest is an interrupted backup and counts as none; the next one clears it away and goes on with
the segments that are there already.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from headrace.model.errors import Conflict, DataError, NotFound, Unavailable

FORMAT: Final = 1
_PIECE: Final = 1 << 20
_DIGEST_BYTES: Final = 20

Pace = Callable[[int], None]
"""Told of every piece that was copied, in bytes; may sleep, and may raise to give up."""


def unhurried(size: int) -> None:
    """Copies as fast as the disks allow."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """`path` is relative to the timeline's folder."""

    path: str
    bytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """One backup. Everything that was committed up to `committed_ns` is in it: log `log` up to byte `log_bytes`."""

    timeline: str
    sequence: int
    name: str
    taken_ns: int
    committed_ns: int
    log: int
    log_bytes: int
    tombstone: int
    points: int
    samples: int
    oldest_ns: int | None
    newest_ns: int | None
    copied_bytes: int
    files: Sequence[StoredFile]

    @property
    def bytes(self) -> int:
        """Of all files, those of other backups included where they are shared."""
        return sum(file.bytes for file in self.files)


class Vault:
    """One timeline in a target."""

    def __init__(self, target: Path, timeline: str) -> None:
        self.target, self.timeline, self.folder = target, timeline, target / timeline

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time. Raises: NotFound where there is no target, Conflict, Unavailable."""
        if not self.target.is_dir():
            raise NotFound(f"backup target '{self.target}' is not there; create the folder, or mount its disk")
        try:
            for folder in (self.folder, self.folder / "seg", self.folder / "archive"):
                folder.mkdir(exist_ok=True)
            descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise Unavailable(f"backup target '{self.target}' cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise Conflict(f"another backup to '{self.target}' is in progress; wait for it") from None
        try:
            yield
        finally:
            os.close(descriptor)

    def manifests(self) -> list[Manifest]:
        """Complete backups, oldest first; one whose manifest is damaged is none (`damaged`)."""
        return [manifest for _, manifest in self._read() if isinstance(manifest, Manifest)]

    def damaged(self) -> list[str]:
        """What is wrong with manifests that cannot be read, by name."""
        return [str(error) for _, error in self._read() if isinstance(error, DataError)]

    def next_sequence(self) -> int:
        names = [path.name.partition("-")[0] for path in self.folder.glob("*-*.json")]
        return max((int(name) for name in names if name.isdigit()), default=0) + 1

    def _read(self) -> Iterator[tuple[Path, Manifest | DataError]]:
        for path in sorted(self.folder.glob("*-*.json")):
            try:
                yield path, read_manifest(path)
            except DataError as error:
                yield path, error

    def publish(self, manifest: Manifest) -> None:
        """From here on it is a backup. Raises: OSError."""
        content = {"format": FORMAT, **asdict(manifest)}
        document = {"manifest": content, "digest": _digest(orjson.dumps(content, option=orjson.OPT_SORT_KEYS))}
        partial = self.folder / f"{manifest.name}.part"
        with partial.open("wb") as file:
            file.write(orjson.dumps(document, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.folder / f"{manifest.name}.json")
        sync_folder(self.folder)

    def clear_interrupted(self) -> None:
        """Remove what a backup that was broken off left. Whole segments stay: the next one needs them."""
        known = {path.stem for path in self.folder.glob("*-*.json")}
        for path in self.folder.iterdir():
            if path.is_dir() and path.name not in ("seg", "archive") and path.name not in known:
                shutil.rmtree(path)
        for path in self.folder.rglob("*.part"):
            path.unlink()

    def prune(self, keep: int) -> list[str]:
        """Leave the newest `keep` backups and what they need; returns the names of those removed."""
        manifests = self.manifests()
        gone, kept = manifests[:-keep], manifests[-keep:]
        for manifest in gone:
            (self.folder / f"{manifest.name}.json").unlink()
            shutil.rmtree(self.folder / manifest.name, ignore_errors=True)
        for number, path in self.archived().items() if kept else ():
            if number < kept[0].log:
                path.unlink()
        if gone:
            needed = {file.path for manifest in kept for file in manifest.files}
            for path in (self.folder / "seg").iterdir():
                if f"seg/{path.name}" not in needed:
                    path.unlink()
        return [manifest.name for manifest in gone]

    # --- the archive ----------------------------------------------------------------------------------------------

    @property
    def archived_journal(self) -> Path:
        return self.folder / "archive" / "journal.log"

    def archive_path(self, number: int, size: int) -> Path:
        return self.folder / "archive" / f"{number:010d}-{size}.log"

    def archived(self) -> dict[int, Path]:
        """Archived logs by number."""
        found = {}
        for path in sorted((self.folder / "archive").glob("*-*.log")):
            number, _, size = path.stem.partition("-")
            if not (number.isdigit() and size.isdigit()):
                continue
            found[int(number)] = path
        return found


def check_archived(path: Path) -> None:
    """Raises: DataError where an archived log has not the size that its name tells."""
    size = path.stem.partition("-")[2]
    if path.stat().st_size != int(size):
        raise DataError(f"archived log {path} has {path.stat().st_size} bytes where {size} were written")


def vaults(target: Path) -> list[Vault]:
    """Every timeline in a target. Raises: NotFound."""
    if not target.is_dir():
        raise NotFound(f"backup target '{target}' is not there; mount its disk, or name another folder")
    names = sorted(path.name for path in target.iterdir() if path.is_dir() and _is_timeline(path.name))
    return [Vault(target, name) for name in names]


def timeline_name(timeline: int) -> str:
    return f"{timeline:016x}"


def _is_timeline(name: str) -> bool:
    return len(name) == 16 and all(character in "0123456789abcdef" for character in name)


def read_manifest(path: Path) -> Manifest:
    """Raises: DataError naming the file."""
    try:
        document: Any = orjson.loads(path.read_bytes())
        content = document["manifest"]
        if document["digest"] != _digest(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)):
            raise ValueError("its contents do not add up")
        if content.pop("format") != FORMAT:
            raise ValueError("it is of another format")
        files = [StoredFile(**file) for file in content.pop("files")]
        if any(".." in Path(file.path).parts or Path(file.path).is_absolute() for file in files):
            raise ValueError("it names files outside of the target")
        return Manifest(**content, files=files)
    except OSError as error:
        raise Unavailable(f"backup manifest {path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"backup manifest {path} is damaged: {error}; use another backup") from None


def copy_file(source: Path, target: Path, *, size: int | None = None, pace: Pace = unhurried) -> StoredFile:
    """Copy the first `size` bytes, make them durable, read them back and compare; then the file has its name.

    The page cache is left as it was: a backup must not push out what queries need. Raises: OSError; DataError where
    the source is shorter, or what was written does not read back.
    """
    partial = target.with_name(target.name + ".part")
    partial.parent.mkdir(parents=True, exist_ok=True)
    hashed, left = hashlib.blake2b(digest_size=_DIGEST_BYTES), source.stat().st_size if size is None else size
    length = left
    with source.open("rb") as reading, partial.open("wb") as writing:
        while left:
            piece = reading.read(min(_PIECE, left))
            if not piece:
                raise DataError(f"{source} became shorter while it was copied")
            writing.write(piece)
            hashed.update(piece)
            left -= len(piece)
            pace(len(piece))
        writing.flush()
        os.fsync(writing.fileno())
        _forget_pages(reading.fileno())
        _forget_pages(writing.fileno())
    written = digest_of(partial, pace=unhurried)
    if written != hashed.hexdigest():
        raise DataError(f"{partial} does not read back as it was written: its disk is failing")
    partial.replace(target)
    sync_folder(target.parent)
    return StoredFile(target.name, length, written)


def digest_of(path: Path, *, pace: Pace = unhurried) -> str:
    """Raises: OSError."""
    hashed = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            hashed.update(piece)
            pace(len(piece))
        _forget_pages(file.fileno())
    return hashed.hexdigest()


def sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _forget_pages(descriptor: int) -> None:
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()
