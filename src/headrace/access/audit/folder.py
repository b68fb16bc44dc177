"""What the trail keeps outside the database: its key, its checkpoints, its archives.

<home>/keys/audit.key, audit.pub     signing.py
<home>/audit/checkpoints             checkpoints.py
<home>/audit/archive/                archive.py
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from headrace.access.audit.checkpoints import CheckpointFile
from headrace.access.audit.signing import KEY_NAME, SigningKey
from headrace.access.audit_tables import KEEP_DAYS_MIN
from headrace.model.errors import ConfigError
from headrace.sdk.disk import Disk

CHECKPOINTS = "checkpoints"
ARCHIVE = "archive"


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """A checkpoint is due after `checkpoint_entries` entries or `checkpoint_s`, whichever comes first.

    Entries older than `keep_days` go to an archive once there are `archive_entries` of them, or a month's.
    """

    keep_days: int = 365
    warn_percent: float = 90.0
    checkpoint_entries: int = 1_000
    checkpoint_s: float = 900.0
    archive_entries: int = 20_000
    tick_s: float = 1.0

    def __post_init__(self) -> None:
        if self.keep_days < KEEP_DAYS_MIN:
            raise ConfigError(
                f"the audit trail is kept for at least {KEEP_DAYS_MIN} days before it is archived, not {self.keep_days}"
            )
        if not 0 < self.warn_percent <= 100:
            raise ConfigError(f"a disk is between 0 and 100 percent full, not {self.warn_percent:g}")


def disk_use(path: Path) -> tuple[int, int]:
    """(bytes free for us, bytes in all). Raises: OSError."""
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize


class AuditFolder:
    """Open, for the one process that owns it."""

    def __init__(
        self,
        path: Path,
        keys: Path,
        settings: AuditSettings | None = None,
        disk: Disk | None = None,
        use: Callable[[Path], tuple[int, int]] = disk_use,
    ) -> None:
        """Raises: ConfigError."""
        self.path, self.settings, self.disk, self.use = path, settings or AuditSettings(), disk or Disk(), use
        self.archive = path / ARCHIVE
        key = SigningKey.load(keys)
        signed = path / CHECKPOINTS
        if key is None and signed.exists():
            raise ConfigError(
                f"the key '{keys / KEY_NAME}' is gone, and {signed} was signed with it; put the key back from a "
                f"backup, or move {signed} to a safe place to begin anew"
            )
        try:
            self.key = key or SigningKey.make(keys)
            self.archive.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.chmod(0o700)
        except OSError as error:
            raise ConfigError(f"cannot use '{path}' for the audit trail ({error.strerror})") from None
        self.checkpoints = CheckpointFile(signed, self.key, self.disk)

    def close(self) -> None:
        self.checkpoints.close()
