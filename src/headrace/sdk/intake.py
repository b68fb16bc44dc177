"""The way in for those whose peers wait for an answer: a gateway, an edge's hub, an HTTP ingest.

    peer ──samples──► take(batches, marks) ──► history, durable ──► peer is answered
                              └──► shown and judged, as everything else

Drivers do not need it: what they read goes on the bus. Whoever answers "stored" calls `take` first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

from headrace.model.batch import Batch


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """How far a source has been taken. `epoch` grows when the source begins its sequence anew; both from 1."""

    epoch: int
    sequence: int


NO_MARKS: Final[Mapping[str, Mark]] = MappingProxyType({})


class Intake(Protocol):
    async def take(self, batches: Sequence[Batch], marks: Mapping[str, Mark] = NO_MARKS) -> None:
        """Returns when the samples survive `kill -9`; they are shown and judged too.

        `marks` become durable with the samples, all or nothing; a call none of whose marks is news is not applied
        again. A call may have marks alone.

        Concurrent callers share one flush to disk, so many small calls are as good as one large one. Samples are as
        their source gave them: whoever calls has screened what may be wrong.
        Raises: Unavailable while the disk is full or the platform stops (nothing of the call is stored then);
        DataError, LimitReached for a call that cannot be stored as it is.
        """
        ...


def halves(batches: Sequence[Batch]) -> tuple[Sequence[Batch], Sequence[Batch]]:
    """Two parts in order; the second is empty where one sample is left. For whoever looks for the one that is wrong."""
    if len(batches) > 1:
        middle = len(batches) // 2
        return batches[:middle], batches[middle:]
    only = batches[0]
    middle = len(only) // 2
    return ([only.take(slice(0, middle))], [only.take(slice(middle, None))]) if middle else (batches, [])
