"""What one app may see, read, write and tell: what its manifest was granted, of what is its tenant's, as declared now.

granted permissions ∩ the tenant's paths ∩ the plant as declared        a view of each revision, made when first asked
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from headrace.hosting.abilities import Abilities
from headrace.model.areas import Area
from headrace.model.assets import Asset
from headrace.model.batch import Handles
from headrace.model.errors import AccessError, NotFound
from headrace.model.guards import NO_GUARD
from headrace.model.places import lies_at
from headrace.model.plant import PlantModel
from headrace.model.points import Point
from headrace.sdk.apps import Permissions
from headrace.sdk.clock import Clock

FRESH_S: Final = 1.0


class Granted:
    """Ask it in one event loop."""

    def __init__(self, permissions: Permissions, abilities: Abilities, clock: Clock) -> None:
        self.permissions, self._abilities, self._clock = permissions, abilities, clock
        self._looked_s = -FRESH_S
        self._plant: PlantModel | None = None
        self._assets: Mapping[str, Asset] = {}
        self._points: Mapping[str, Point] = {}
        self._readable: frozenset[str] = frozenset()
        self._handles: dict[str, int] = {}

    @property
    def revision(self) -> int:
        return self._plant.revision if self._plant is not None else 0

    async def refresh(self) -> None:
        """Look at the plant as it is declared now."""
        self._looked_s = self._clock.monotonic_s()
        plant = await self._abilities.plants.model()
        if plant is self._plant:
            return
        assets, points, readable = await asyncio.to_thread(self._view, plant)
        if self._plant is None or plant.revision >= self._plant.revision:
            self._plant, self._assets, self._points, self._readable = plant, assets, points, readable

    def _view(self, plant: PlantModel) -> tuple[Mapping[str, Asset], Mapping[str, Point], frozenset[str]]:
        """By path. In a thread: a plant may have 100,000 points, each is held against each place that was granted."""
        assets = {path: one for path, one in sorted(plant.assets.items()) if self.sees(path)}
        points = {path: _shown(one) for path, one in sorted(plant.points.items()) if self.sees(path)}
        return assets, points, frozenset(path for path in points if self.reads(path))

    def sees(self, path: str) -> bool:
        return self.permissions.sees(path) and self._abilities.owns(path)

    def reads(self, path: str) -> bool:
        return self.permissions.reads(path) and self._abilities.owns(path)

    async def assets(self, within: str) -> list[Asset]:
        await self.refresh()
        inside = Area((within,))
        return [one for path, one in self._assets.items() if inside.covers(path)]

    async def points_at(self, place: str) -> list[Point]:
        """Of a path or a glob, as they are declared now."""
        points = await self.points(anew=True)
        if place in points:
            return [points[place]]
        return await asyncio.to_thread(lambda: [one for path, one in points.items() if lies_at(path, place)])

    async def points(self, *, anew: bool = False) -> Mapping[str, Point]:
        """As they were declared at most a moment ago; now, if `anew`."""
        if anew or self._clock.monotonic_s() - self._looked_s > FRESH_S:
            await self.refresh()
        return self._points

    async def check_read(self, paths: Sequence[str]) -> None:
        """Raises: AccessError, NotFound."""
        points = await self.points()
        if self._readable.issuperset(paths):
            return
        for path in paths:
            if not self.reads(path):
                raise AccessError(f"the app may not read '{path}'; its manifest says whose samples it reads")
            if path not in points and path not in await self.points(anew=True):
                raise NotFound(f"there is no point '{path}'")

    async def check_write(self, path: str) -> None:
        """Raises: AccessError, NotFound."""
        if not (self.permissions.writes(path) and self._abilities.owns(path)):
            raise AccessError(f"the app may not write '{path}'; its manifest says what it writes")
        if path not in await self.points() and path not in await self.points(anew=True):
            raise NotFound(f"there is no point '{path}'")

    async def check_tell(self, type: str, subject: str) -> None:
        """Raises: AccessError, NotFound."""
        if not self.permissions.tells(type):
            raise AccessError(f"the app may not tell '{type}'; its manifest says what it publishes")
        await self.refresh()
        if not self.sees(subject):
            raise AccessError(f"the app may not tell of '{subject}', which it does not see")
        if subject not in self._assets and subject not in self._points:
            raise NotFound(f"there is no asset or point '{subject}'")

    def hears(self, type: str, source: str, subject: str) -> bool:
        """Whether it is told of an event. Those of connections and outlets are about no path: whoever was granted the
        type hears them. An alarm is about its point."""
        if not (self.permissions.hears(type) and self._abilities.owns_event(source, subject)):
            return False
        if source.rpartition("/")[2] in ("connect", "outlet"):
            return True
        return self.permissions.sees(subject) or self.permissions.sees(point_of(subject))

    def handles(self, paths: Sequence[str]) -> tuple[Handles, list[int]]:
        """Of those that history knows, and at which place of `paths` each stands."""
        known = self._abilities.history.paths()
        if len(known) != len(self._handles):
            self._handles = {path: handle for handle, path in known.items()}
        found = [(self._handles[path], at) for at, path in enumerate(paths) if path in self._handles]
        return np.array([handle for handle, _ in found], np.uint32), [at for _, at in found]


def point_of(rule: str) -> str:
    """The point of an alarm: `…/press-3/oil.temperature:hot`."""
    return rule.rpartition(":")[0] or rule


def _shown(point: Point) -> Point:
    """Without where its samples come from, and what guards it: addresses and other points are nobody's but ours."""
    return replace(point, source=None, guard=NO_GUARD, machine=None)
