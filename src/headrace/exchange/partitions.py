"""Which worker has which partition: fair shares of a fixed number, decided by each worker alone.

    held here, held by whom elsewhere, who is alive ──► give(…), want(…)

Points are spread over partitions by a hash of their path, so all samples of a point go one way and keep their order.
A worker holds at most its share; what nobody holds is wanted by whoever has less than that. No worker is in charge:
whoever is first gets a lease, and a lease that is not renewed ends.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.exchange.numbering import Numbering
from headrace.model.batch import Batch, Handles
from headrace.model.errors import DataError

PARTITIONS_MAX: Final = 256


def partition_of(path: str, partitions: int) -> int:
    """Never to change: what waits in a stream was put there by it. CRC-32 of the UTF-8 path, modulo."""
    return zlib.crc32(path.encode()) % partitions


def share(partitions: int, workers: int) -> int:
    """The most that one of so many workers holds."""
    return -(-partitions // max(workers, 1))


def to_give(held: Collection[int], fair: int) -> list[int]:
    """What to let go, the highest first, so that a newcomer gets its share."""
    return sorted(held, reverse=True)[: max(len(held) - fair, 0)]


def to_take(held: Collection[int], free: Collection[int], fair: int, start: int) -> list[int]:
    """What to try to lease, beginning at a place of this worker's own, so that two rarely want the same first."""
    order = sorted(free)
    if not order:
        return []
    start %= len(order)
    return [*order[start:], *order[:start]][: max(fair - len(held), 0)]


class Spreader:
    """Cuts batches by partition. Remembers the partition of each handle."""

    def __init__(self, numbering: Numbering, partitions: int) -> None:
        self._numbering, self._partitions = numbering, partitions
        self._of_handle = np.full(1024, -1, np.int16)

    def spread(self, batches: Collection[Batch]) -> dict[int, list[Batch]]:
        """Raises: DataError for a handle that means nothing here."""
        spread: dict[int, list[Batch]] = {}
        for batch in batches:
            if not len(batch):
                continue
            targets = self._targets(batch.handles)
            for partition in np.unique(targets).tolist():
                chosen = targets == partition
                spread.setdefault(partition, []).append(batch if chosen.all() else batch.take(chosen))
        return spread

    def _targets(self, handles: Handles) -> NDArray[np.int16]:
        most = int(handles.max())
        if most >= len(self._of_handle):
            grown = np.full(max(most + 1, 2 * len(self._of_handle)), -1, np.int16)
            grown[: len(self._of_handle)] = self._of_handle
            self._of_handle = grown
        targets = self._of_handle[handles]
        if (targets < 0).any():
            for handle in np.unique(handles[targets < 0]).tolist():
                try:
                    path = self._numbering.path_of(handle)
                except KeyError:
                    raise DataError(f"no point has the handle {handle} in this process") from None
                self._of_handle[handle] = partition_of(path, self._partitions)
            targets = self._of_handle[handles]
        return targets
