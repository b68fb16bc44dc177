"""What crosses the border of the plant: maps of series that come in, outlets. Both held to the declared plant."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from headrace.model.assets import Asset
from headrace.model.errors import ConfigError
from headrace.model.ingest import RESERVED, IngestMap, SeriesRule
from headrace.model.outlets import Outlet, Waiting
from headrace.model.points import Point
from headrace.registry.declared import Declared
from headrace.registry.drivers import complaints
from headrace.registry.problems import Problems, did_you_mean
from headrace.sdk.outlet import OutletType


def ingest_maps(
    declared: Iterable[Declared], points: Collection[str], failed: Collection[str], problems: Problems
) -> dict[str, IngestMap]:
    """A rule without braces must name a declared point; one with braces is held to what is sent."""
    maps = {}
    for one in declared:
        spec = one.spec
        rules = []
        for at, said in enumerate(spec.get("rules", ())):
            rule = SeriesRule(said["point"], said.get("measurement"), said.get("field"), said.get("tags", {}))
            rest = rule.point
            for name in rule.places:
                rest = rest.replace(f"{{{name}}}", "")
            if "{" in rest or "}" in rest or "" in rule.places:
                names = ", ".join(f"{{{name}}}" for name in RESERVED)
                problems.add(one.at("rules", at, "point"), f"'point' has a brace alone; write {names} or a tag's name")
            elif not rule.places and rule.point not in points:
                if rule.point not in failed:
                    problems.add(
                        one.at("rules", at, "point"),
                        f"there is no point '{rule.point}'{did_you_mean(rule.point, points)}",
                    )
            else:
                rules.append(rule)
        maps[one.key] = IngestMap(one.key, tuple(rules), spec.get("bucket"), spec.get("unknown") == "ignore")
    return maps


def outlet_declarations(
    declared: Iterable[Declared],
    types: Mapping[str, OutletType],
    points: Mapping[str, Point],
    assets: Mapping[str, Asset],
    problems: Problems,
) -> dict[str, Outlet]:
    """Settings are checked by the protocol's own model, paths against the plant."""
    outlets = {}
    for one in declared:
        spec = one.spec
        protocol = spec.get("protocol")
        if protocol is None:
            continue  # it was reported where it was read
        known = types.get(protocol)
        if known is None:
            problems.add(one.at("protocol"), f"there is no outlet protocol '{protocol}'{did_you_mean(protocol, types)}")
            continue
        settings = spec.get("settings", {})
        wrong = complaints(known.settings, settings, f"the settings of outlet protocol '{known.name}'")
        for complaint in wrong:
            path = ("settings", *complaint.loc)
            problems.add(one.at(*path, of_key=complaint.of_key), complaint.message)
        for at, path in enumerate(spec.get("points", ())):
            if path not in points and path not in assets:
                hint = did_you_mean(path, [*points, *assets])
                problems.add(one.at("points", at), f"there is no point or asset '{path}'{hint}")
        outlet = _outlet(one)
        if known.newest_only and outlet.waiting is Waiting.DISK:
            problems.add(
                one.at("waiting"),
                f"outlet protocol '{known.name}' publishes what is, not what was: nothing needs to wait on disk",
            )
        if not wrong:
            try:
                known.check(known.settings.model_validate(dict(settings)), outlet)
            except ConfigError as error:
                problems.add(one.where, error.message)
            outlets[one.key] = outlet
    return outlets


def _outlet(one: Declared) -> Outlet:
    spec = one.spec
    return Outlet(
        one.key,
        spec["protocol"],
        spec.get("settings", {}),
        spec.get("title", {}),
        spec.get("enabled", True),
        tuple(spec.get("points", ())),
        Waiting(spec.get("waiting", Waiting.MEMORY)),
        spec.get("wait_samples", 100_000),
        spec.get("wait_mb", 256) << 20,
    )
