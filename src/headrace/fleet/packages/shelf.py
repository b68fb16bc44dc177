"""Where packages lie unpacked, one folder a version; what is in use is named in one small file.

    <home>/packages/oee/1.4.0/manifest.toml  META/signatures  files/…      read only
                       /installed.json                                      {"version": "1.4.0", "sha256": …}

    verified ──► needs met? ──► not older? ──► room? ──► .new-… (0700) ──► every digest right, synced
                                                              │ rename
                                                              ▼
                                                    <version>/ ──► installed.json, renamed too

A crash at any point leaves the version that was in use in use, and at most a `.new-…` that the next installation
sweeps. One process at a time (a lock on the folder).
"""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from packaging.version import Version

from headrace.fleet.packages import keys, manifest
from headrace.fleet.packages.manifest import Manifest
from headrace.fleet.packages.reading import FILES, MANIFEST, SIGNATURES, Package, Verified
from headrace.model.errors import ConfigError, Conflict, DataError, NotFound, Unavailable
from headrace.sdk.disk import Disk

_STATE: Final = "installed.json"
_FREE_BYTES_MIN: Final = 64 << 20  # what is left for everybody else
_BLOCK: Final = 1 << 18


@dataclass(frozen=True, slots=True)
class Installed:
    """`folder` has the files; `sha256` is of the manifest, hex."""

    name: str
    version: Version
    sha256: str
    folder: Path


class Shelf:
    """Every method reads or writes files: call it in a thread."""

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        self._root = root
        self._disk = disk or Disk()

    def installed(self, name: str) -> Installed | None:
        """Raises: ConfigError where its record is damaged."""
        path = self._root / manifest.check_package_name(name) / _STATE
        try:
            record = json.loads(path.read_bytes())
            version, digest = manifest.check_version(record["version"]), str(record["sha256"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, KeyError, DataError) as error:
            raise ConfigError(f"{path} is damaged; install the package again", detail=str(error)) from None
        return Installed(name, version, digest, path.parent / str(version) / FILES.rstrip("/"))

    def install(
        self, verified: Verified, file: BinaryIO, present: Mapping[str, str], *, allow_downgrade: bool = False
    ) -> Installed:
        """`present` is what needs may name, name → version.

        Raises: Conflict for an older version, another content of the same version, or needs that are not met;
        DataError where the package was altered; Unavailable where the disk is full or broken.
        """
        wanted = verified.manifest
        unmet = wanted.unmet(present)
        if unmet:
            raise Conflict(f"{wanted.name} {wanted.version} needs {', '.join(unmet)}; install that first")
        try:
            with self._locked(wanted.name) as folder:
                return self._install(verified, file, folder, allow_downgrade=allow_downgrade)
        except OSError as error:
            raise Unavailable(
                f"cannot install {wanted.name} {wanted.version} in {self._root} ({error.strerror}); "
                "what was in use stays in use"
            ) from None

    def altered(self, name: str) -> list[str]:
        """What of an installed package differs from its manifest, or is not of it; nothing where all is whole.

        Raises: NotFound, ConfigError.
        """
        installed = self._required(name)
        return _altered(installed.folder.parent, installed.sha256)

    def verify(self, name: str, publishers: keys.Publishers, today: datetime.date) -> tuple[keys.Publisher, ...]:
        """Who of today's publishers stands behind what is installed. Raises: NotFound, ConfigError, DataError."""
        installed = self._required(name)
        damage = _altered(installed.folder.parent, installed.sha256)
        if damage:
            raise DataError(f"{name} {installed.version} was altered after it was installed: {', '.join(damage[:5])}")
        data = (installed.folder.parent / MANIFEST).read_bytes()
        signatures = keys.decode_signatures((installed.folder.parent / SIGNATURES).read_bytes())
        return publishers.judge(manifest.decode(data), data, signatures, today)

    def _required(self, name: str) -> Installed:
        installed = self.installed(name)
        if installed is None:
            raise NotFound(f"no package '{name}' is installed in {self._root}")
        return installed

    def _install(self, verified: Verified, file: BinaryIO, folder: Path, *, allow_downgrade: bool) -> Installed:
        wanted, digest = verified.manifest, verified.package.sha256
        before = self.installed(wanted.name)
        if before is not None and wanted.version < before.version and not allow_downgrade:
            raise Conflict(
                f"{wanted.name} {before.version} is installed and {wanted.version} is older: a hole that was mended "
                "would be open again; ask for the downgrade in so many words if it must be"
            )
        if before is not None and wanted.version == before.version and digest != before.sha256:
            raise Conflict(f"another {wanted.name} {wanted.version} is installed; give the new content a new version")
        place = folder / str(wanted.version)
        if not place.is_dir() or _altered(place, digest):
            self._unpack(verified, file, folder, place)
        record = json.dumps({"version": str(wanted.version), "sha256": digest}).encode()
        self._write(folder / f".new-{_STATE}", record)
        self._disk.replace(folder / f".new-{_STATE}", folder / _STATE)
        self._disk.sync_directory(folder)
        return Installed(wanted.name, wanted.version, digest, place / FILES.rstrip("/"))

    def _unpack(self, verified: Verified, file: BinaryIO, folder: Path, place: Path) -> None:
        needed = sum(each.size for each in verified.manifest.files)
        if shutil.disk_usage(folder).free < needed + _FREE_BYTES_MIN:
            raise Unavailable(f"{folder} has no room for {needed:,} bytes; make some, and try again")
        fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=folder))
        for listed, pieces in verified.contents(file):
            path = fresh / FILES / listed.path
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(path, pieces)
        (fresh / SIGNATURES).parent.mkdir(mode=0o700)
        self._write(fresh / MANIFEST, verified.package.manifest)
        self._write(fresh / SIGNATURES, keys.encode_signatures(verified.package.signatures))
        for root, _, _ in os.walk(fresh, topdown=False):
            self._disk.sync_directory(Path(root))
        if place.exists():  # what an earlier installation left there, and somebody altered
            self._disk.replace(place, folder / f".new-old-{fresh.name[5:]}")
        self._disk.replace(fresh, place)
        self._disk.sync_directory(folder)

    def _write(self, path: Path, pieces: bytes | Iterator[bytes]) -> None:
        path.unlink(missing_ok=True)
        descriptor = self._disk.open(path, create=True)
        try:
            for piece in (pieces,) if isinstance(pieces, bytes) else pieces:
                self._disk.write(descriptor, piece)
            self._disk.datasync(descriptor)
        finally:
            os.close(descriptor)

    @contextlib.contextmanager
    def _locked(self, name: str) -> Iterator[Path]:
        folder = self._root / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Unavailable(
                    f"'{name}' is being installed by another process; try again when it is done"
                ) from None
            _sweep(folder)
            yield folder
            _sweep(folder)
        finally:
            os.close(lock)


def _sweep(folder: Path) -> None:
    for left in folder.glob(".new-*"):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _altered(place: Path, digest: str) -> list[str]:
    try:
        data = (place / MANIFEST).read_bytes()
        if hashlib.sha256(data).hexdigest() != digest:
            return [MANIFEST]
        described: Manifest = manifest.decode(data)
        if not (place / SIGNATURES).is_file():
            return [SIGNATURES]
    except (OSError, DataError):
        return [MANIFEST]
    wanted = {each.path: each for each in described.files}
    found = []
    for root, folders, names in os.walk(place / FILES):
        here = Path(root)
        found += [name for name in folders if (here / name).is_symlink()]
        for name in names:
            path = (here / name).relative_to(place / FILES).as_posix()
            listed = wanted.pop(path, None)
            if listed is None or (here / name).is_symlink() or _digest(here / name) != listed.sha256:
                found.append(path)
    return sorted([*found, *wanted])


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(_BLOCK):
                digest.update(piece)
    except OSError:
        return ""
    return digest.hexdigest()


__all__ = ["Installed", "Package", "Shelf"]
