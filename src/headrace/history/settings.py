"""How the historian spends memory, disk and time. Defaults suit one machine, from 600 to 100,000 samples a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headrace.model.errors import ConfigError
from headrace.model.retention import Retention

DiskPolicy = Literal["refuse", "drop-oldest"]
"""Where no class is declared, what happens below the low-water mark: refuse new samples, or first give up the oldest
raw hours. A declared class says so itself (`give_up`)."""


@dataclass(frozen=True, slots=True)
class HistorySettings:
    """Units are in the names; `None` keeps for ever. Raises: ConfigError."""

    memtable_samples: int = 6_000_000
    memtable_age_s: float = 600.0
    memtable_frames: int = 20_000  # bounds the replay after a crash where commits are tiny
    chunk_samples: int = 65_536
    slice_samples: int = 250_000  # encoded at a time: what fits the processor's cache encodes twice as fast
    decode_threads: int = 2
    cache_bytes: int = 48 * 1024 * 1024
    raw_retention_ns: int | None = None
    rollup_retention_ns: int | None = None
    summary_retention_ns: int | None = None
    disk_reserve_bytes: int = 256 * 1024 * 1024
    disk_warning_s: float = 7 * 24 * 3600.0  # an alarm this long before the disk is full at the present rate
    disk_policy: DiskPolicy = "refuse"
    housekeeping_s: float = 5.0
    close_after_s: float = 900.0  # an hour is merged this long after its end …
    summary_after_s: float = 3600.0  # a closed day is summarised once nothing came in for it that long
    fragments_max: int = 12  # … or earlier, once so many segments hold a part of it
    archive_logs: bool = False  # keep the logs of what is in segments until a backup target has them
    archive_bytes_max: int = 4 << 30  # … but never more than this; the oldest go first
    copied_samples: int = 256  # a chunk of so many is copied as it is when its hour is merged; smaller ones become one
    compaction_duty: float = 0.5  # share of time that compaction may work

    def __post_init__(self) -> None:
        for name in (
            "memtable_samples",
            "memtable_frames",
            "slice_samples",
            "decode_threads",
            "fragments_max",
            "copied_samples",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"history setting {name} must be at least 1")
        if not 1 <= self.chunk_samples <= 65_536:
            raise ConfigError("history setting chunk_samples must be 1 to 65536")
        if not 0 < self.compaction_duty <= 1:
            raise ConfigError("history setting compaction_duty must be above 0 and at most 1")
        try:
            _ = self.retention
        except ConfigError as error:
            raise ConfigError(f"history settings raw_, rollup_ and summary_retention_ns: {error.message}") from None

    @property
    def retention(self) -> Retention:
        """Of points of the default class, where it is not declared."""
        give_up = 1 if self.disk_policy == "drop-oldest" else None
        return Retention(self.raw_retention_ns, self.rollup_retention_ns, self.summary_retention_ns, give_up)
