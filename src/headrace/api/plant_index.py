"""The declared plant, sorted for answers: made once a revision, so that listing 100,000 points costs no search.

Points are sorted by path, so the points of a subtree are one slice. Handles are the store's numbers.
"""

from __future__ import annotations

import asyncio
import difflib
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from headrace.api.sight import Sight, Window, narrow
from headrace.model.alarms import AlarmRule
from headrace.model.areas import EVERYWHERE
from headrace.model.batch import Handles
from headrace.model.errors import NotFound, Unavailable
from headrace.model.plant import PlantModel
from headrace.sdk.access import Tenants
from headrace.sdk.services import Registry
from headrace.sdk.store import HistoryReader

SIGHTS_MAX = 64
_SUGGESTION_POOL_MAX = 20_000


class PlantIndex:
    """`sight` None sees everything. `windows` are the points that partners shared, by path."""

    def __init__(
        self,
        plant: PlantModel,
        handle_of: Mapping[str, int],
        sight: Sight | None = None,
        windows: Mapping[str, Window] | None = None,
    ) -> None:
        self.plant = plant
        self.paths: list[str] = sorted(plant.points)
        self.sight, self.windows = sight, windows or {}
        self.handle_of = handle_of
        self._search: list[str] | None = None
        self._numbers: Mapping[int, str] | None = None
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
            found = np.array([self.handle_of[path] for path in paths], np.uint32)
        except KeyError as missing:
            path = str(missing.args[0])
            if path in self.plant.points:
                raise Unavailable(f"'{path}' was just declared and is being taken up; try again") from None
            raise self.unknown(path) from None
        if self.sight is not None:
            for path in paths:
                if not self.sees(path):
                    raise self.unknown(path)
        return found

    def knows(self, path: str) -> bool:
        return path in self.plant.points and path in self.handle_of

    def sees(self, path: str) -> bool:
        """Whether a path may be told of, declared or not."""
        return self.sight is None or path in self.windows or self.sight.covers(path)

    def own(self, path: str) -> bool:
        """Whether it is declared and seen by right, not through a partner's grant."""
        return path in self.plant.points and path not in self.windows

    def unknown(self, path: str) -> NotFound:
        """For a point that is not there, and for one that is not seen."""
        return NotFound(f"there is no point '{path[:200]}'{self._nearest(path, self.paths)}")

    def now(self, paths: Sequence[str], now_ns: int) -> list[str]:
        """Those whose newest sample may be seen now."""
        if not self.windows:
            return list(paths)
        return [path for path in paths if (one := self.windows.get(path)) is None or one.open_at(now_ns)]

    def numbers(self) -> Mapping[int, str]:
        """Paths by handle: everything seen that ever had a sample."""
        if self._numbers is None:
            self._numbers = {handle: path for path, handle in self.handle_of.items() if self.sees(path)}
        return self._numbers

    def _nearest(self, name: str, pool: list[str]) -> str:
        near = difflib.get_close_matches(name[:200], pool[:_SUGGESTION_POOL_MAX], 1, 0.8) if len(name) < 512 else []
        return f"; did you mean '{near[0]}'?" if near else ""


class PlantIndexes:
    """Keeps the index of the current revision, and of it as each of the last `SIGHTS_MAX` kinds of callers sees it."""

    def __init__(self, registry: Registry, store: HistoryReader, tenants: Callable[[], Tenants | None]) -> None:
        self._registry, self._store, self._tenants = registry, store, tenants
        self._index: PlantIndex | None = None
        self._registered = -1
        self._narrowed: OrderedDict[Sight, PlantIndex] = OrderedDict()

    async def current(self) -> PlantIndex:
        """All of it."""
        plant, registered = await self._registry.model(), self._store.paths()
        index = self._index
        if index is None or index.plant is not plant or self._registered != len(registered):
            index = PlantIndex(plant, {path: handle for handle, path in registered.items()})
            self._index, self._registered = index, len(registered)
            self._narrowed.clear()
        return index

    async def seen_by(self, sight: Sight) -> PlantIndex:
        """As somebody sees it: made once for all whose sight is equal."""
        index = await self.current()
        tenants = self._tenants()
        if tenants is None or (sight.whole and sight.area == EVERYWHERE and not sight.shared):
            return index
        kept = self._narrowed.get(sight)
        if kept is None:
            types = (await self._registry.model_of(sight.tenant)).types
            seen = await asyncio.to_thread(narrow, index.plant, index.paths, sight, tenants, types)
            if self._index is not index:  # the plant changed meanwhile: the next call looks again
                return PlantIndex(seen.plant, index.handle_of, sight, seen.windows)
            kept = self._narrowed[sight] = PlantIndex(seen.plant, index.handle_of, sight, seen.windows)
            if len(self._narrowed) > SIGHTS_MAX:
                self._narrowed.popitem(last=False)
        else:
            self._narrowed.move_to_end(sight)
        return kept
