"""Which samples go where: from the handle of a point to every place that a calculation has for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.intp]
Times = NDArray[np.int64]


class Route(NamedTuple):
    """A point, the port (one name of one group) that takes it, and for which instance."""

    handle: int
    port: int
    instance: int


class Routes:
    """Sorted by handle: a batch is spread over ports without a loop over samples."""

    def __init__(self, routes: Sequence[Route]) -> None:
        columns = np.array(sorted(routes), np.int64).reshape(-1, 3)
        handles = columns[:, 0]
        self._count = np.bincount(handles) if len(handles) else np.zeros(0, np.int64)
        self._first = np.cumsum(self._count) - self._count
        self._port = columns[:, 1].astype(np.intp)
        self._instance = columns[:, 2].astype(np.intp)
        self._single = bool(len(handles)) and int(self._count.max()) == 1

    def of(self, handles: NDArray[np.uint32]) -> tuple[Ints, Ints, Ints]:
        """Each sample by each place that takes it: (sample, port, instance), by port and then as they came."""
        inside = np.flatnonzero(handles < len(self._count))
        known = handles if len(inside) == len(handles) else handles[inside]
        count = self._count[known]
        if self._single:
            taken = count > 0
            samples = inside[taken]
            place = self._first[known[taken]]
        else:
            samples = np.repeat(inside, count)
            ends = np.cumsum(count)
            within = np.arange(len(samples)) - np.repeat(ends - count, count)
            place = np.repeat(self._first[known], count) + within
        port = self._port[place]
        if len(port) > 1 and not bool((port[1:] >= port[:-1]).all()):
            order = np.argsort(port, kind="stable")
            samples, port, place = samples[order], port[order], place[order]
        return samples, port, self._instance[place]
