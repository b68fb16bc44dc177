"""The part of a plant that an edge runs: its connections, and all that their points need to stand on their own.

    connections with `edge: <name>` ──► points from them, under the edge's prefix ──► assets of these points, whole
        ──► their types, retention classes, overrides and alarms  ──► parents, bare  ──► text, file by file

A type may take some of its points from a connection that another machine runs. That connection comes along disabled,
so that the text is complete and nobody dials a device twice. An alarm whose reference, or what suppresses it, is
elsewhere stays behind: it is judged on the hub, where both points are. So are the guards of writes: every write passes
the hub's desk; what an asset feeds, which the hub's list of alarms wants to know; and points that are calculated or
made by stream functions, with the alarms on them: what they need may come from anywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from headrace.model.plant import PlantModel
from headrace.registry.declared import Declared, Key
from headrace.registry.emit import emit
from headrace.registry.guards import GUARD_KEYS
from headrace.sdk.edges import Share

Objects = Mapping[Key, Declared]

#: Of an asset that is only there because others stand below it.
_BARE: Final = ("level", "title", "attributes")
LEFT_OUT_MAX: Final = 100


def shares(objects: Objects, model: PlantModel, prefixes: Mapping[str, str]) -> dict[str, Share]:
    """By edge; one without a connection of its own has a share of nothing."""
    runs = {name: one.edge for name, one in model.connections.items() if one.edge in prefixes}
    own: dict[str, list[str]] = {edge: [] for edge in prefixes}
    outside: dict[str, list[str]] = {edge: [] for edge in prefixes}
    for path, point in model.points.items():
        edge = runs.get(point.source.connection) if point.source is not None else None
        if edge is not None:
            (own if path.startswith(f"{prefixes[edge]}/") else outside)[edge].append(path)
    by_asset: dict[str, list[str]] = {}
    for path in model.points:
        by_asset.setdefault(path.rpartition("/")[0], []).append(path)
    return {
        edge: Share(
            {file.name: file.text for file in emit(_Part(objects, model, by_asset, edge).of(own[edge]))},
            len(own[edge]),
            tuple(outside[edge][:LEFT_OUT_MAX]),
            frozenset(one.driver for one in model.connections.values() if one.edge == edge),
        )
        for edge in prefixes
    }


class _Part:
    def __init__(self, objects: Objects, model: PlantModel, by_asset: Mapping[str, list[str]], edge: str) -> None:
        self._objects, self._model, self._by_asset, self._edge = objects, model, by_asset, edge
        self._picked: dict[Key, Declared] = {}

    def of(self, points: list[str]) -> list[Declared]:
        for name, one in self._model.connections.items():
            if one.edge == self._edge:
                self._connection(name)
        assets = dict.fromkeys(path.rpartition("/")[0] for path in points)
        carried: set[str] = set()
        for asset in assets:
            carried.update(self._asset(asset))
        for asset in assets:
            for parent in _parents(asset):
                if parent not in assets:
                    self._pick("asset", parent, _BARE)
        self._alarms(assets, carried)
        return list(self._picked.values())

    def _asset(self, path: str) -> Iterator[str]:
        """Takes an asset whole; gives the points that it then has on the edge."""
        spec = self._objects["asset", path].spec
        self._pick("asset", path)
        type_name = spec.get("type")
        template: Mapping[str, Any] = {}
        if type_name is not None:
            self._pick("type", type_name)
            template = self._objects["type", type_name].spec.get("points", {})
        if "connection" in spec:
            self._connection(spec["connection"])
        for point in self._by_asset.get(path, ()):
            if self._model.points[point].expression or self._model.points[point].function:
                continue  # calculated on the hub, or declared by its function
            source = self._model.points[point].source
            of_type = point.rpartition("/")[2] in template
            if not of_type and source is not None and self._model.connections[source.connection].edge != self._edge:
                continue  # it stands alone and comes by another way
            self._pick("point", point)
            if source is not None:
                self._connection(source.connection)
            self._retention(self._model.points[point].retention)
            yield point
        for point_spec in template.values():  # also of points that an override sends elsewhere
            if "connection" in point_spec:
                self._connection(point_spec["connection"])
            self._retention(point_spec.get("retention"))

    def _alarms(self, assets: Mapping[str, Any], carried: set[str]) -> None:
        for (kind, _), one in list(self._picked.items()):
            if kind == "type":
                points = one.spec.get("points", {})
                kept = {
                    name: spec
                    for name, spec in one.spec.get("alarms", {}).items()
                    if _near(spec, carried, points) and name.rpartition(":")[0] in points
                }
                one.spec = {**one.spec, "alarms": kept} if "alarms" in one.spec else one.spec
        for kind, key in self._objects:
            if kind != "alarm":
                continue
            rule = self._model.alarms.get(key)
            point = key.rpartition(":")[0]
            others = () if rule is None else (rule.reference, rule.suppressed_by)
            whole = all(other is None or other in carried for other in others)
            if rule is not None and rule.calculation is not None:
                continue  # what it looks at may come from anywhere
            if point in carried and point.rpartition("/")[0] in assets and whole:
                self._pick("alarm", key)
        for (kind, _), one in list(self._picked.items()):
            alarms = one.spec.get("alarms", {}).values() if kind == "type" else [one.spec] if kind == "alarm" else ()
            for alarm in alarms:
                if "class" in alarm:
                    self._pick("alarm-class", alarm["class"])

    def _connection(self, name: str) -> None:
        one = self._objects.get(("connection", name))
        if one is not None and ("connection", name) not in self._picked:
            spec = {key: value for key, value in one.spec.items() if key != "edge"}
            if one.spec.get("edge", "") != self._edge:
                spec["enabled"] = False
            self._picked["connection", name] = replace(one, spec=spec, node=None)

    def _retention(self, name: str | None) -> None:
        if name is not None:
            self._pick("retention", name)

    def _pick(self, kind: str, key: str, only: tuple[str, ...] | None = None) -> None:
        one = self._objects.get((kind, key))
        if one is not None and (kind, key) not in self._picked:
            spec = one.spec if only is None else {name: one.spec[name] for name in only if name in one.spec}
            if kind == "point":
                spec = _unguarded(spec)
            elif kind == "asset" and "feeds" in spec:
                spec = {name: part for name, part in spec.items() if name != "feeds"}
            elif kind == "type" and "points" in spec:
                read = {name: part for name, part in spec["points"].items() if not _calculated(part)}
                spec = {**spec, "points": {name: _unguarded(part) for name, part in read.items()}}
            self._picked[kind, key] = replace(one, spec=spec, node=None)


def _calculated(point: Mapping[str, Any]) -> bool:
    return "expression" in point or "machine" in point


def _unguarded(point: Mapping[str, Any]) -> dict[str, Any]:
    return {name: part for name, part in point.items() if name not in GUARD_KEYS}


def _near(alarm: Mapping[str, Any], carried: set[str], points: Collection[str]) -> bool:
    """Whether all that an alarm of a type looks at is on the edge; `points` are those of the type there."""
    others = [other for name in ("reference", "suppressed_by") if (other := alarm.get(name)) is not None]
    return "when" not in alarm and all(other in (carried if "/" in other else points) for other in others)


def _parents(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path
