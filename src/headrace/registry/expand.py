"""Declared objects to the plant: templates filled in, references resolved, everything that must agree compared.

    connections ─► types ─► assets ─┬─► points of types, overridden ─┐
                                    ├─► points of their own ─────────┼─► alarms, ingest, outlets, people ─► PlantModel
                                    └─► what stream functions make ──┤
                     units, ranges, addresses (by the driver) checked here

What is wrong is reported where somebody wrote it and left out of the model; the rest goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from headrace.model.assets import Asset, AssetType, Level
from headrace.model.errors import ConfigError
from headrace.model.plant import Connection, PlantModel
from headrace.model.points import PATH_LENGTH_MAX, Point
from headrace.model.retention import CLASSES_MAX, FOREVER, Retention, parse_age_ns
from headrace.registry.alarm_classes import fed
from headrace.registry.alarms import Alarms
from headrace.registry.calculations import Expressions, calculations, names_in
from headrace.registry.declared import Blame, Declared, Key
from headrace.registry.drivers import complaints
from headrace.registry.guards import check_interlocks
from headrace.registry.made import add_made, names_made
from headrace.registry.notify import told
from headrace.registry.outward import ingest_maps, outlet_declarations
from headrace.registry.points import PointBuilder, PointTemplate
from headrace.registry.problems import Problems, did_you_mean, nearest
from headrace.registry.schema import KINDS, NEVER
from headrace.sdk.driver import DriverType
from headrace.sdk.messenger import MessengerType
from headrace.sdk.outlet import OutletType
from headrace.sdk.stream import StreamFunction

_LEVELS: Final = tuple(Level)[: tuple(Level).index(Level.COMPONENT) + 1]
_RANK: Final = {level: rank for rank, level in enumerate(_LEVELS)}


def expand(
    declared: Mapping[Key, Declared],
    drivers: Mapping[str, DriverType],
    problems: Problems,
    revision: int = 0,
    outlets: Mapping[str, OutletType] | None = None,
    messengers: Mapping[str, MessengerType] | None = None,
    functions: Sequence[StreamFunction] = (),
) -> PlantModel:
    """The plant as these objects say it is, with what active stream `functions` make of its points.

    What is wrong goes to `problems` and stays out of the model.
    """
    by_kind: dict[str, dict[str, Declared]] = {kind: {} for kind in KINDS}
    for (kind, key), one in declared.items():
        by_kind[kind][key] = one
    connections = _connections(by_kind["connection"].values(), drivers, problems)
    builder = PointBuilder(connections, by_kind["connection"], drivers, by_kind["retention"], problems)
    templates = {
        name: [
            PointTemplate(point, spec, Blame(one, ("points", point)), builder)
            for point, spec in one.spec.get("points", {}).items()
        ]
        for name, one in by_kind["type"].items()
    }
    assets = _assets(by_kind["asset"], by_kind["type"], by_kind["connection"], problems)
    points, failed = _points(assets, by_kind, templates, builder, problems)
    add_made(points, functions, assets, by_kind, problems)
    check_interlocks(builder.guarded, points, failed, problems)
    calculated = calculations(points, builder.calculated, Expressions(points, problems, failed), problems)
    failed |= {path for path in builder.calculated if path not in calculated}
    points = {path: point for path, point in points.items() if path not in failed}
    made = names_made(functions)
    alarms = Alarms(points, failed, problems, by_kind["alarm-class"], Expressions(points, problems, failed), made)
    for path, asset in assets.items():
        if asset.type is not None:
            alarms.of_type(path, by_kind["type"][asset.type], by_kind["alarm"])
    _check_unused(by_kind["type"], assets, templates, by_kind["alarm-class"], problems, made)
    for one in by_kind["alarm"].values():
        alarms.standing_alone(one)
    people = told(by_kind, messengers or {}, {**assets, **points}, problems)
    return PlantModel(
        revision=revision,
        types={name: _type(one) for name, one in by_kind["type"].items()},
        connections=connections,
        assets=assets,
        points=points,
        alarms=alarms.rules,
        retention=_retention(by_kind["retention"].values(), problems),
        ingest=ingest_maps(by_kind["ingest"].values(), points, failed, problems),
        outlets=outlet_declarations(by_kind["outlet"].values(), outlets or {}, points, assets, problems),
        calculations=calculated,
        channels=people.channels,
        contacts=people.contacts,
        rosters=people.rosters,
        notifications=people.notifications,
    )


def _retention(declared: Collection[Declared], problems: Problems) -> dict[str, Retention]:
    classes = {}
    for one in declared:
        spec = one.spec
        raw, rollups, summaries = (parse_age_ns(spec.get(name, FOREVER)) for name in ("raw", "rollups", "summaries"))
        give_up = spec.get("give_up", NEVER)
        try:
            classes[one.key] = Retention(raw, rollups, summaries, None if give_up == NEVER else give_up)
        except ConfigError as error:
            problems.add(one.where, error.message)
    if len(declared) > CLASSES_MAX:
        last = max(declared, key=lambda one: one.where)
        problems.add(last.where, f"{len(declared)} retention classes are declared; at most {CLASSES_MAX} can be")
    return classes


def _type(one: Declared) -> AssetType:
    spec = one.spec
    return AssetType(
        name=one.key,
        version=spec.get("version", 1),
        title=spec.get("title", {}),
        points=tuple(spec.get("points", {})),
        alarms=tuple(spec.get("alarms", {})),
        parameters=spec.get("parameters", {}),
    )


def _connections(
    declared: Iterable[Declared], drivers: Mapping[str, DriverType], problems: Problems
) -> dict[str, Connection]:
    connections = {}
    for one in declared:
        name = one.spec.get("driver")
        if name is None:
            continue  # it was reported where it was read
        driver = drivers.get(name)
        if driver is None:
            problems.add(one.at("driver"), f"there is no driver '{name}'{did_you_mean(name, drivers)}")
            continue
        settings = one.spec.get("settings", {})
        wrong = complaints(driver.settings, settings, f"the settings of driver '{name}'")
        for complaint in wrong:
            path = ("settings", *complaint.loc)
            problems.add(one.at(*path, of_key=complaint.of_key), complaint.message)
        if not wrong:
            spec = one.spec
            connections[one.key] = Connection(
                one.key, name, settings, spec.get("title", {}), spec.get("enabled", True), spec.get("edge", "")
            )
    return connections


def _assets(
    declared: Mapping[str, Declared],
    types: Mapping[str, Declared],
    connections: Mapping[str, Declared],
    problems: Problems,
) -> dict[str, Asset]:
    assets: dict[str, Asset] = {}
    for path, one in sorted(declared.items()):  # parents sort before their children
        spec = one.spec
        parent = path.rpartition("/")[0]
        if parent and parent not in declared:
            hint = _declare_or_mean(parent, declared)
            problems.add(one.where, f"asset '{path}' stands below '{parent}', which is not declared{hint}")
            continue
        type_name, connection = spec.get("type"), spec.get("connection")
        if type_name is not None and type_name not in types:
            problems.add(one.at("type"), f"there is no type '{type_name}'{did_you_mean(type_name, types)}")
            type_name = None
        if connection is not None and connection not in connections:
            problems.add(
                one.at("connection"), f"there is no connection '{connection}'{did_you_mean(connection, connections)}"
            )
        _check_parameters(one, types.get(type_name) if type_name else None, problems)
        level = Level(spec.get("level", Level.EQUIPMENT))
        above = assets.get(parent)
        if above is not None and _RANK.get(level, 99) < _RANK.get(above.level, -1):
            problems.add(one.at("level"), f"a {level} cannot stand below '{parent}', which is a {above.level}")
        feeds = fed(one, declared, problems)
        assets[path] = Asset(path, level, spec.get("title", {}), type_name, spec.get("attributes", {}), feeds)
    return assets


def _check_parameters(one: Declared, type_: Declared | None, problems: Problems) -> None:
    known: Collection[str] = type_.spec.get("parameters", {}) if type_ is not None else ()
    for name in one.spec.get("parameters", {}):
        if type_ is None:
            if "type" not in one.spec:
                problems.add(one.at("parameters", of_key=True), "parameters belong to a type; this asset has none")
            return
        if name not in known:
            problems.add(
                one.at("parameters", name, of_key=True),
                f"type '{type_.key}' has no parameter '{name}'{did_you_mean(name, known)}",
            )


def _points(
    assets: Mapping[str, Asset],
    declared: Mapping[str, Mapping[str, Declared]],
    templates: Mapping[str, list[PointTemplate]],
    builder: PointBuilder,
    problems: Problems,
) -> tuple[dict[str, Point], set[str]]:
    """The points, and the paths of those left out for a problem of their own, which need no second report."""
    points: dict[str, Point] = {}
    failed: set[str] = set()
    overrides = declared["point"]
    used: set[str] = set()
    for path, asset in assets.items():
        if asset.type is None:
            continue
        one = declared["asset"][path]
        defaults = declared["type"][asset.type].spec.get("parameters", {})
        parameters = {**defaults, **one.spec.get("parameters", {})}
        for template in templates[asset.type]:
            point_path = f"{path}/{template.name}"
            if len(point_path) > PATH_LENGTH_MAX:
                problems.add(one.where, f"point '{point_path[:60]}…' would have more than {PATH_LENGTH_MAX} characters")
                continue
            override = overrides.get(point_path)
            if override is not None:
                used.add(point_path)
            point = template.build(point_path, one, parameters, override)
            if point is not None:
                points[point_path] = point
            else:
                failed.add(point_path)
    for path, one in overrides.items():
        if path in used:
            continue
        point = builder.build(path, one.spec, Blame(one))
        if point is not None and _belongs(path, one, declared["asset"], problems):
            points[path] = point
        else:
            failed.add(path)
    for path in points.keys() & assets.keys():
        place = overrides[path].where if path in overrides else declared["asset"][path].where
        problems.add(place, f"'{path}' is both an asset and a point; rename one")
    return points, failed


def _declare_or_mean(path: str, declared: Collection[str]) -> str:
    depth = path.count("/")
    match = nearest(path, [other for other in declared if other.count("/") == depth])
    return f"; did you mean '{match}'?" if match else f"; declare it under assets: '{path}: {{level: …}}'"


def _check_unused(
    types: Mapping[str, Declared],
    assets: Mapping[str, Asset],
    templates: Mapping[str, list[PointTemplate]],
    classes: Mapping[str, Declared],
    problems: Problems,
    made: Collection[str],
) -> None:
    """Alarms and interlocks of a type that no asset has yet are checked as if one had it."""
    used = {asset.type for asset in assets.values()}
    for name, one in types.items():
        if name not in used:
            points = {point.path: point for template in templates[name] if (point := template.prototype(name))}
            failed = {f"{name}/{template.name}" for template in templates[name]}
            Alarms(points, failed, problems, classes, made=made).of_type(name, one, {})
            blames = {f"{name}/{template.name}": template.blame for template in templates[name]}
            elsewhere = {
                interlock.point
                for point in points.values()
                for interlock in point.guard.interlocks
                if not interlock.point.startswith(f"{name}/")
            }
            check_interlocks(blames, points, elsewhere, problems)
            _check_expressions(points, blames, problems)


def _check_expressions(points: Mapping[str, Point], blames: Mapping[str, Blame], problems: Problems) -> None:
    """Of a type that no asset has: only those that name nothing beyond it, for where it will stand is not known."""
    near = {
        path: point
        for path, point in points.items()
        if point.expression and not any("/" in name for name in names_in(point.expression))
    }
    others = {path: point for path, point in points.items() if not point.expression}
    calculations({**others, **near}, blames, Expressions(points, problems), problems)


def _belongs(path: str, one: Declared, assets: Mapping[str, Declared], problems: Problems) -> bool:
    parent = path.rpartition("/")[0]
    if not parent:
        problems.add(one.where, f"point '{path}' belongs to no asset: write its asset's path, '/' and its name")
    elif parent not in assets:
        hint = _declare_or_mean(parent, assets)
        problems.add(one.where, f"point '{path}' belongs to asset '{parent}', which is not declared{hint}")
    else:
        return True
    return False
