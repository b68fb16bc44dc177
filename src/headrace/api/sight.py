"""What a caller sees of the plant: one narrowed model, made once for all who have the same rights, then only read.

    Rights ─► area of VIEW ──────► points, assets, alarms, connections          (rooms' own: as they are)
           └► shared by partners ► points of a subtree and the way to them      (no address, no alarm, no write)

Whatever answers from the narrowed plant cannot tell of what is not in it: lists, searches, SQL, labels, exports, feeds.
A span of time that a partner set is kept beside each shared point; `shared_store.py` holds reads to it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import translate
from typing import Final

from headrace.model.areas import Area
from headrace.model.assets import Asset, AssetType
from headrace.model.plant import Connection, PlantModel
from headrace.model.points import Access, Point
from headrace.sdk.access import Action, Rights, Shared, Tenants
from headrace.sdk.tenancy import tenant_of_name

TIME_MIN: Final = -(2**63)
TIME_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Window:
    """When samples of a shared point are seen: from `start_ns` on, before `end_ns`."""

    grant: Shared
    start_ns: int
    end_ns: int

    def open_at(self, now_ns: int) -> bool:
        return self.start_ns <= now_ns < self.end_ns


@dataclass(frozen=True, slots=True)
class Sight:
    """Hashable: equal sights of one plant see the same. `tenant` is whose connections and outlets are seen, too."""

    tenant: str
    area: Area
    whole: bool
    shared: tuple[Shared, ...] = ()

    @classmethod
    def of(cls, rights: Rights, tenant: str, action: Action = Action.VIEW) -> Sight:
        shared = rights.shared if action is Action.VIEW else ()
        return cls(tenant, rights.area(action), action in rights.whole, shared)

    def covers(self, path: str) -> bool:
        """Whether it may be told of, also when it is no longer declared."""
        return self.area.covers(path)


@dataclass(frozen=True, slots=True)
class Seen:
    """A plant as somebody sees it. `windows` has the points that a partner shared."""

    plant: PlantModel
    windows: Mapping[str, Window]


def narrow(
    plant: PlantModel, ordered: Sequence[str], sight: Sight, tenants: Tenants, types: Mapping[str, AssetType]
) -> Seen:
    """`ordered` are all paths of points, sorted; `types` are those of the tenant. About 1 µs a point that is seen."""
    declared = plant.points
    points = {path: declared[path] for part in sight.area.slices(ordered) for path in ordered[part]}
    windows: dict[str, Window] = {}
    for grant in sight.shared:
        for path in _granted(ordered, grant):
            if path not in points:
                points[path] = _bare(declared[path])
                windows[path] = _wider(windows.get(path), grant)
    own = [path for path in points if path not in windows]
    return Seen(
        PlantModel(
            plant.revision,
            types if sight.whole else {},
            _connections(plant, sight, own, tenants),
            _assets(plant, points, sight.area),
            points,
            {name: rule for name, rule in plant.alarms.items() if rule.point in points and rule.point not in windows},
            {},
            {},
            {
                name: one
                for name, one in plant.outlets.items()
                if sight.whole and tenant_of_name(tenants, name) == sight.tenant
            },
            {
                path: one
                for path, one in plant.calculations.items()
                if path in points and path not in windows and all(name in points for name in one.inputs.values())
            },
        ),
        windows,
    )


def _connections(plant: PlantModel, sight: Sight, own: Sequence[str], tenants: Tenants) -> Mapping[str, Connection]:
    """The tenant's, to who sees all of it; else those that a point comes from."""
    if sight.whole:
        return {name: one for name, one in plant.connections.items() if tenant_of_name(tenants, name) == sight.tenant}
    used = {source.connection for path in own if (source := plant.points[path].source) is not None}
    return {name: one for name, one in plant.connections.items() if name in used}


def _assets(plant: PlantModel, points: Mapping[str, Point], area: Area) -> dict[str, Asset]:
    """Those in the area, and bare ones on the way to them and to shared points."""
    assets = {path: asset for path, asset in plant.assets.items() if area.covers(path)}
    for path in [*assets, *points]:
        above = path.rpartition("/")[0]
        while above and above not in assets:
            known = plant.assets.get(above)
            if known is not None:
                assets[above] = Asset(known.path, known.level, known.title)
            above = above.rpartition("/")[0]
    return assets


def _granted(ordered: Sequence[str], grant: Shared) -> list[str]:
    paths = [path for part in Area((grant.subtree,)).slices(ordered) for path in ordered[part]]
    if not grant.patterns:
        return paths
    globs = [re.compile(translate(pattern)) for pattern in grant.patterns]
    start = len(grant.subtree) + 1
    return [path for path in paths if any(glob.match(path[start:]) for glob in globs)]


def _bare(point: Point) -> Point:
    """A point as a partner sees it: what it measures, not where it comes from, and never to be written."""
    return replace(point, source=None, access=Access.READ, write_range=None, expression="", function="")


def _wider(known: Window | None, grant: Shared) -> Window:
    """Of two grants the one that shows more; spans are not joined, for each is read under its own purpose."""
    start = TIME_MIN if grant.start_ns is None else grant.start_ns
    end = TIME_MAX if grant.end_ns is None else grant.end_ns
    if known is not None and known.end_ns - known.start_ns >= end - start:
        return known
    return Window(grant, start, end)
