"""Assets and points, as declared."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import numpy as np
from fastapi import Query
from numpy.typing import NDArray

from headrace.api.context import WithPlant, WithServices
from headrace.api.guarded_route import api_router
from headrace.api.plant_index import PlantIndex
from headrace.api.schemas.plant import AlarmCounts, AssetNode, PointAnswer, PointPage, Severity, TypeAnswer
from headrace.api.services import Services
from headrace.model.errors import NotFound

router = api_router("Plant")

#: Types that the platform itself declares; nobody makes assets of them.
OWN_TYPES = "headrace."

_SEVERITIES: tuple[Severity, ...] = ("good", "uncertain", "bad", "bad")


@router.get("/assets", operation_id="listAssets", summary="The equipment hierarchy, flat")
async def list_assets(index: WithPlant, services: WithServices) -> list[AssetNode]:
    """Sorted by path. Points, alarms and the worst quality of each node count its whole subtree."""
    alarms = _alarm_counts(index, services)
    severity = _severities(index, services)
    nodes = []
    for path, asset in sorted(index.plant.assets.items()):
        points = index.subtree(path)
        worst = int(severity[points].max()) if points.start < points.stop else None
        nodes.append(
            AssetNode(
                path=path,
                parent=asset.parent,
                level=asset.level.value,
                title=dict(asset.title),
                type=asset.type,
                attributes=dict(asset.attributes),
                feeds=[fed for fed in asset.feeds if fed in index.plant.assets],
                points=points.stop - points.start,
                alarms=AlarmCounts(**alarms.get(path, Counter())),
                worst_quality=None if worst is None else _SEVERITIES[worst],
            )
        )
    return nodes


@router.get("/types", operation_id="listTypes", summary="Templates of assets, by name")
async def list_types(index: WithPlant) -> list[TypeAnswer]:
    return [
        TypeAnswer(
            name=name,
            version=one.version,
            title=dict(one.title),
            points=len(one.points),
            parameters=dict(one.parameters),
        )
        for name, one in sorted(index.plant.types.items())
        if not name.startswith(OWN_TYPES)
    ]


@router.get("/points", operation_id="listPoints", summary="Points, sorted by path")
async def list_points(
    index: WithPlant,
    asset: Annotated[str, Query(max_length=512, description="Only below this asset.")] = "",
    q: Annotated[str, Query(max_length=200, description="Words that path or title must hold.")] = "",
    limit: Annotated[int, Query(ge=1, le=5_000)] = 500,
    cursor: Annotated[str | None, Query(max_length=512)] = None,
) -> PointPage:
    found = index.points_of(asset)
    if q.strip():
        found = index.search(q.split(), index.subtree(asset))
    total = len(found)
    rest = [path for path in found if path > cursor] if cursor is not None else found
    page = rest[:limit]
    return PointPage(
        points=[_answer(index, path) for path in page],
        next_cursor=page[-1] if len(rest) > limit else None,
        total=total,
    )


@router.get("/points/{path:path}", operation_id="getPoint", summary="One point")
async def get_point(path: str, index: WithPlant) -> PointAnswer:
    point = index.plant.points.get(path)
    if point is None:
        index.handles([path])  # says what is wrong and which path is near
        raise NotFound(f"'{path[:200]}' has history, but is no longer declared")
    return _answer(index, path)


def _answer(index: PlantIndex, path: str) -> PointAnswer:
    plant = index.plant
    return PointAnswer.of(plant.points[path], index.rules_of(path), plant.calculations.get(path))


def _alarm_counts(index: PlantIndex, services: Services) -> dict[str, Counter[str]]:
    """By asset path, every ancestor included; what is quiet for a reason is not counted."""
    counts: dict[str, Counter[str]] = {}
    for record in services.alarms.current():
        if record.state.quiet:
            continue
        if index.sight is not None and not index.sight.covers(record.rule.point):
            continue
        asset = record.rule.point.rpartition("/")[0]
        while asset:
            counts.setdefault(asset, Counter())[record.rule.priority.value] += 1
            asset = asset.rpartition("/")[0]
    return counts


def _severities(index: PlantIndex, services: Services) -> NDArray[np.uint32]:
    """Severity bits of each point's newest sample. Shape: (paths,) uint32."""
    severity = np.full(len(index.paths), 2, np.uint32)
    shown = set(index.now(index.paths, services.clock.now_ns())) if index.windows else index.plant.points.keys()
    known = np.array([i for i, path in enumerate(index.paths) if path in shown and index.knows(path)], np.int64)
    if len(known):
        handles = index.handles([index.paths[i] for i in known])
        severity[known] = services.live.get(handles).quality >> np.uint32(30)
    return severity
