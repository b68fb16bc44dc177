"""The declared plant, sorted for answers: made once a revision, so that listing 100,000 points costs no search.

Points are sorted by path, so the points of a subtree are one slice. Handles are the store's numbers.
"""

from __future__ import annotations

import difflib
from bisect import bisect_left
from collections.abc import Mapping, Sequence

import numpy as np

from headrace.model.alarms import AlarmRule
from headrace.model.batch import Handles
from headrace.model.errors import NotFound, Unavailable
from headrace.model.plant import PlantModel
from headrace.sdk.services import Registry
from headrace.sdk.store import HistoryStore

_SUGGESTION_POOL_MAX = 20_000


class PlantIndex:
    def __init__(self, plant: PlantModel, handle_of: Mapping[str, int]) -> None:
        self.plant = plant
        self.paths: list[str] = sorted(plant.points)
        self._handle_of = handle_of
        self._search: list[str] | None = None
        self._rules: dict[str, list[AlarmRule]] | None = None

    def subtree(self, asset: str) -> slice:
        """The points of an asset and all below it, as a slice of `paths`; '' is the whole plant."""
        if not asset:
            return slice(0, len(self.paths))
        return slice(bisect_left(self.paths, f"{asset}/"), bisect_left(self.paths, f"{asset}0"))  # '0' follows '/'

    def points_of(self, asset: str) -> list[str]:
        """Paths below an asset. Raises: NotFound."""
        found = self.paths[self.subtree(asset)]
        if not found and asset not in self.plant.assets:
            raise NotFound(f"there is no asset '{asset[:200]}'{self._nearest(asset, list(self.plant.assets))}")
        return found

    def rules_of(self, path: str) -> Sequence[AlarmRule]:
        """The alarm rules of a point."""
        if self._rules is None:
            self._rules = {}
            for rule in self.plant.alarms.values():
                self._rules.setdefault(rule.point, []).append(rule)
        return self._rules.get(path, ())

    def search(self, words: Sequence[str], within: slice) -> list[str]:
        """Paths whose path, title or unit holds every word, whatever the case."""
        if self._search is None:
            points = self.plant.points
            self._search = [" ".join((path, *points[path].title.values())).casefold() for path in self.paths]
        folded = [word.casefold() for word in words]
        texts, paths = self._search[within], self.paths[within]
        return [path for path, text in zip(paths, texts, strict=True) if all(word in text for word in folded)]

    def handles(self, paths: Sequence[str]) -> Handles:
        """Store numbers, also of points that are no longer declared but have history. Raises: NotFound, Unavailable."""
        try:
            return np.array([self._handle_of[path] for path in paths], np.uint32)
        except KeyError as missing:
            path = str(missing.args[0])
            if path in self.plant.points:
                raise Unavailable(f"'{path}' was just declared and is being taken up; try again") from None
            raise NotFound(f"there is no point '{path[:200]}'{self._nearest(path, self.paths)}") from None

    def knows(self, path: str) -> bool:
        return path in self.plant.points and path in self._handle_of

    def _nearest(self, name: str, pool: list[str]) -> str:
        near = difflib.get_close_matches(name[:200], pool[:_SUGGESTION_POOL_MAX], 1, 0.8) if len(name) < 512 else []
        return f"; did you mean '{near[0]}'?" if near else ""


class PlantIndexes:
    """Keeps the index of the current revision."""

    def __init__(self, registry: Registry, store: HistoryStore) -> None:
        self._registry, self._store = registry, store
        self._index: PlantIndex | None = None
        self._registered = -1

    async def current(self) -> PlantIndex:
        plant, registered = await self._registry.model(), self._store.paths()
        index = self._index
        if index is None or index.plant is not plant or self._registered != len(registered):
            index = PlantIndex(plant, {path: handle for handle, path in registered.items()})
            self._index, self._registered = index, len(registered)
        return index
