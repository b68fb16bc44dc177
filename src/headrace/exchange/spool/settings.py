"""How much an edge may hold, and what goes when that is not enough."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headrace.model.errors import ConfigError


class Overflow(StrEnum):
    """What happens when the spool has reached its bound, or the disk its reserve."""

    BLOCK = "block"  # samples are refused: the queue before it fills, and the field slows down
    DROP_OLDEST = "drop-oldest"  # the oldest file goes, and its samples are counted


_SEGMENTS_MIN: Final = 4


@dataclass(frozen=True, slots=True)
class SpoolSettings:
    """`reserve_bytes` of the disk stay free: for the database beside it, and for what says what the hub has.

    Raises: ConfigError for a bound that holds fewer than four files.
    """

    bytes_max: int = 4 * 1024**3
    overflow: Overflow = Overflow.DROP_OLDEST
    segment_bytes: int = 16 * 1024**2
    reserve_bytes: int = 64 * 1024**2
    recent_bytes: int = 4 * 1024**2  # what the link may take from memory, so that live samples are not read from disk
    points_max: int = 1_000_000

    def __post_init__(self) -> None:
        if self.bytes_max < _SEGMENTS_MIN * self.segment_bytes:
            raise ConfigError(
                f"a spool of {self.bytes_max} bytes holds fewer than {_SEGMENTS_MIN} files of {self.segment_bytes}; "
                "give it more room, or smaller files"
            )
