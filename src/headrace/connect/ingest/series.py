"""Which point a series is: asked once a series, then a dictionary answers.

    head "cpu,host=h7" ──► {"usage_idle": handle, "usage_user": "why not", …}     bounded: forgotten when full

The rules of the bucket that was written to come first, in the order of their declaration, the plain rule
`{measurement}/{field}` last; the first whose path is a declared point decides.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.model.areas import Area
from headrace.model.ingest import PLAIN_RULE, IngestMap
from headrace.model.plant import PlantModel
from headrace.sdk.tenancy import ONE_TENANT, Ground

FIELDS_MAX: Final = 200_000
_SUGGESTIONS_MAX: Final = 500
_SIBLINGS_MAX: Final = 200

Place = int | str | None
"""A handle; or why there is none, in words; or None for a series that is ignored on purpose."""


class Points:
    """The declared points of one revision that are one tenant's, or those of them that lie `within` an area.

    Others are not there: nobody sends samples for them, and nobody's maps lead there. `kinds` and `path_of` are
    indexed by handle.
    """

    def __init__(
        self, plant: PlantModel, handles: Mapping[str, int], within: Area | None = None, ground: Ground | None = None
    ) -> None:
        self.plant, self._within, self._ground = plant, within, ground or Ground(ONE_TENANT)
        self.maps = [one for name, one in plant.ingest.items() if self._ground.owns_name(name)]
        self.handles = {path: handles[path] for path in plant.points if path in handles and self._is_there(path)}
        self.kinds: NDArray[np.uint8] = np.zeros(max(self.handles.values(), default=-1) + 1, np.uint8)
        self.path_of = {handle: path for path, handle in self.handles.items()}
        for path, handle in self.handles.items():
            self.kinds[handle] = plant.points[path].kind
        self._series: dict[str | None, Series] = {}
        self._suggestions = 0

    def series(self, bucket: str | None) -> Series:
        """The series of what is written to a bucket. Strange buckets share one: nobody can fill memory with names."""
        known = bucket if any(one.bucket == bucket for one in self.maps) else None
        if known not in self._series:
            maps = [one for one in self.maps if one.bucket in (None, known)]
            self._series[known] = Series(self, maps)
        return self._series[known]

    def _is_there(self, path: str) -> bool:
        return self._ground.owns(path) and (self._within is None or self._within.covers(path))

    def why_not(self, path: str) -> str:
        """For a path that has no handle."""
        if path in self.plant.points and self._is_there(path):
            return f"'{path}' was just declared and is being taken up; try again"
        near = self._nearest(path)
        return f"there is no point '{path[:200]}'" + (f"; did you mean '{near[0]}'?" if near else "")

    def _nearest(self, path: str) -> list[str]:
        """Among the points of the same asset; a few hundred times a revision, for looking costs time."""
        if self._suggestions >= _SUGGESTIONS_MAX or len(path) > 512:
            return []
        self._suggestions += 1
        asset = path.rpartition("/")[0] + "/"
        siblings = itertools.islice((one for one in self.handles if one.startswith(asset)), _SIBLINGS_MAX)
        return difflib.get_close_matches(path, siblings, 1, 0.8)


class Series:
    """The places of fields, by the head of their line as it came."""

    def __init__(self, points: Points, maps: Sequence[IngestMap]) -> None:
        self.points = points
        self._rules = [*(rule for one in maps for rule in one.rules), PLAIN_RULE]
        self._ignore = any(one.ignore_unknown for one in maps)
        self._heads: dict[bytes, dict[bytes, Place]] = {}
        self._count = 0

    def fields(self, head: bytes) -> dict[bytes, Place]:
        """What is known of a head so far; the caller asks `find` for a field that is missing and notes the answer."""
        known = self._heads.get(head)
        if known is None:
            self._make_room()
            known = self._heads[head] = {}
        return known

    def find(self, measurement: str, tags: Mapping[str, str], field: str) -> Place:
        self._make_room()
        fitting = [rule.path(measurement, tags, field) for rule in self._rules if rule.fits(measurement, tags, field)]
        for path in fitting:
            handle = self.points.handles.get(path)
            if handle is not None:
                return handle
        if self._ignore:
            return None
        series = ",".join((measurement, *(f"{name}={value}" for name, value in sorted(tags.items()))))
        why = self.points.why_not(fitting[0])
        return f"series '{series[:200]}', field '{field[:100]}': {why}"

    def _make_room(self) -> None:
        self._count += 1
        if self._count > FIELDS_MAX:
            self._heads, self._count = {}, 0
