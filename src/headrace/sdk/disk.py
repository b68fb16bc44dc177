"""Every touch of the disk that must not fail silently goes through `Disk`, so tests can fill it or break it."""

from __future__ import annotations

import os
from pathlib import Path


class Disk:
    """The real one. All methods raise OSError."""

    def open(self, path: Path, *, create: bool = False) -> int:
        """A descriptor for reading and writing; `create` refuses an existing file."""
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0)
        return os.open(path, flags, 0o640)

    def write(self, descriptor: int, data: bytes | bytearray | memoryview) -> None:
        """All of it, or OSError."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    def datasync(self, descriptor: int) -> None:
        os.fdatasync(descriptor)

    def truncate(self, descriptor: int, length: int) -> None:
        os.ftruncate(descriptor, length)
        os.lseek(descriptor, length, os.SEEK_SET)

    def replace(self, source: Path, target: Path) -> None:
        source.replace(target)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def sync_directory(self, path: Path) -> None:
        """A new name survives a power cut only once its directory is synced too."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def free_bytes(self, path: Path) -> int:
        """What an unprivileged process may still write."""
        status = os.statvfs(path)
        return status.f_bavail * status.f_frsize
