"""Numbers of an edge to numbers of this hub: one look-up a sample, vectorised.

    NAMES ─► allowed? ─► store.register ─► table[number of the edge] = handle here
               └ no: REFUSED, counted; its samples are left out, and the others go on

A path is allowed under the prefix of its edge, and no other. A path that no declaration names is registered all the
same: its history is kept from the first sample, and shows once somebody declares the point.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from headrace.exchange.spool.names import digest_of
from headrace.model import quality as q
from headrace.model.batch import Batch, Handles
from headrace.model.errors import DataError, LimitReached
from headrace.model.points import check_path
from headrace.model.time import SOURCE_AHEAD_MAX_NS
from headrace.sdk.store import SampleStore

_logger = logging.getLogger(__name__)
REFUSED: Final = 0xFFFF_FFFF


@dataclass(slots=True)
class Dictionary:
    """What the hub knows of the numbers of one spool. Kept while the edge is away, so that names travel once."""

    id: str = ""
    paths: list[str] = field(default_factory=list)
    handles: Handles = field(default_factory=lambda: np.empty(0, np.uint32))

    def digest(self) -> str:
        return digest_of(self.paths)


class EdgePoints:
    """Of one edge. One task adds; `translate` may be called between."""

    def __init__(self, edge: str, prefix: str, store: SampleStore, points_max: int) -> None:
        self._edge, self._prefix, self._store, self._points_max = edge, prefix, store, points_max
        self.dictionary = Dictionary()
        self.refused_points = self.refused_samples = self.wild_clocks = 0

    def adopt(self, dictionary: Dictionary, id: str) -> None:
        """Go on with what is known of spool `id`, if it is that."""
        id = f"{id} {self._prefix}"  # what is refused depends on it
        self.dictionary = dictionary if dictionary.id == id else Dictionary(id)
        self.refused_points = int(np.count_nonzero(self.dictionary.handles == REFUSED))

    def keep(self, count: int) -> None:
        """The edge goes on from `count` names. Raises: DataError where not so many are known."""
        if count > len(self.dictionary.paths):
            raise DataError(f"the edge goes on from {count} names; {len(self.dictionary.paths)} are known")
        self.dictionary.paths = self.dictionary.paths[:count]
        self.dictionary.handles = self.dictionary.handles[:count]

    async def add(self, first: int, paths: Sequence[str]) -> None:
        """Raises: DataError for numbers that leave a hole; LimitReached; Unavailable."""
        known = self.dictionary
        if first != len(known.paths):
            raise DataError(f"names begin at number {first}; {len(known.paths)} was awaited")
        if first + len(paths) > self._points_max:
            raise LimitReached(f"an edge may have {self._points_max} points; '{self._edge}' brings more")
        allowed = [path for path in paths if self._allows(path)]
        numbers = await self._store.register(allowed)
        taken = dict(zip(allowed, numbers.tolist(), strict=True))
        handles = np.array([taken.get(path, REFUSED) for path in paths], np.uint32)
        if refused := len(paths) - len(allowed):
            if not self.refused_points:
                one = next(path for path in paths if path not in taken)
                _logger.error(
                    "edge '%s' brings points that are not its own, which are refused: '%s'", self._edge, one[:200]
                )
            self.refused_points += refused
        known.paths += paths
        known.handles = np.concatenate([known.handles, handles])

    def _allows(self, path: str) -> bool:
        if not path.startswith(f"{self._prefix}/"):
            return False
        try:
            return check_path(path) == path
        except DataError:
            return False

    def translate(self, batch: Batch, now_ns: int) -> Batch:
        """With our handles, without refused points, and with wild clocks flagged. Raises: DataError."""
        table = self.dictionary.handles
        if int(batch.handles.max()) >= len(table):
            raise DataError("samples of a point without a name came")
        handles = table[batch.handles]
        batch = Batch(batch.kind, handles, batch.source_ns, batch.received_ns, batch.values, batch.quality)
        if self.refused_points and (refused := handles == REFUSED).any():
            self.refused_samples += int(np.count_nonzero(refused))
            batch = batch.take(~refused)
        return self._flagged(batch, now_ns)

    def _flagged(self, batch: Batch, now_ns: int) -> Batch:
        """The edge has screened its devices by its own clock; where that is wild, only we can know. Times stay."""
        if not len(batch) or int(batch.source_ns.max()) <= now_ns + SOURCE_AHEAD_MAX_NS:
            return batch
        wild = batch.source_ns > now_ns + SOURCE_AHEAD_MAX_NS
        if not self.wild_clocks:
            _logger.warning("edge '%s' sends samples from the future; they are kept, and flagged", self._edge)
        self.wild_clocks += int(np.count_nonzero(wild))
        quality = batch.quality.copy()
        quality[wild & ~q.is_bad(quality)] = q.BAD_INVALID_TIMESTAMP
        return batch.with_quality(quality)
