"""Where the samples of a stream function come from: a stretch of history, the bus, a log of somebody else.

A feed can be read again from a position. What it gives after a position may be cut otherwise than before, and may give
samples anew that were given: the engine knows them by point and time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from headrace.model.batch import Batch


@dataclass(frozen=True, slots=True)
class Piece:
    """`position`: from where to go on once this piece is worked out; text of the feed's own.

    `stretch` says that it is a stretch of time with everything in it, in no order; else samples are as they came.
    `over_ns`: nothing of an earlier time follows. `quiet_ns`: nothing came for so long, by a clock.
    """

    batches: Sequence[Batch]
    position: str = ""
    stretch: bool = False
    over_ns: int | None = None
    quiet_ns: int = 0


class Feed(Protocol):
    def paths(self) -> Mapping[int, str]:
        """What handles mean; grows."""
        ...

    def pieces(self, position: str, needed_ns: int) -> AsyncIterator[Piece]:
        """From a position on, `""` for the beginning; ends where the feed does.

        `needed_ns`: samples before that time cannot matter any more, for feeds that go by time.
        """
        ...
