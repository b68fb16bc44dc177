"""The assets of devices, declared as text, so that they can be exported, reviewed and kept in git as all others.

NewAsset… ──► devices.yaml, an asset a line ──► registry.apply(prune=False)
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from headrace.model.errors import ConfigError, ConfigErrors, Conflict, DataError
from headrace.sdk.fleet import NewAsset
from headrace.sdk.services import Registry, SourceFile

FILE: Final = "devices.yaml"
_FIRST_LINE: Final = 2
_QUOTED: Final = re.compile(r"'([^']+)'")


async def declare(registry: Registry, actor: str, assets: Sequence[NewAsset], tenant: str) -> int:
    """How many were declared; one that stands as wanted already is left alone.

    Raises: Conflict where an asset is another one already; ConfigErrors in the words of whoever asked, not of a file.
    """
    missing = await _missing(registry, assets, tenant)
    if missing:
        try:
            await registry.apply([_file(missing)], actor=actor, prune=False, tenant=tenant)
        except ConfigErrors as errors:
            raise ConfigErrors([_without_place(error) for error in errors.errors]) from None
    return len(missing)


async def complaints(registry: Registry, assets: Sequence[NewAsset], tenant: str) -> dict[int, str]:
    """What is wrong with each of many assets, by its place in the sequence; a first few hundred at a time.

    Raises: ConfigErrors for what is not theirs.
    """
    declared = (await registry.model_of(tenant)).assets
    wrong = {at: str(clash) for at, one in enumerate(assets) if (clash := _clash(declared.get(one.path), one))}
    plan = await registry.plan([_file(assets)], prune=False, tenant=tenant)
    places = {one.path: at for at, one in enumerate(assets)}
    for error in plan.errors:
        at = _culprit(error, places)
        if at is not None:
            wrong.setdefault(at, error.message)
    if plan.errors and not wrong:
        raise ConfigErrors(list(plan.errors))
    return wrong


def _culprit(error: ConfigError, places: Mapping[str, int]) -> int | None:
    """Which asset it is: by its line, or, where its type is blamed, by the point that the message names."""
    if error.file == FILE and error.line is not None:
        return error.line - _FIRST_LINE
    named = (places.get(quoted.rpartition("/")[0]) for quoted in _QUOTED.findall(error.message))
    return next((at for at in named if at is not None), None)


async def _missing(registry: Registry, assets: Sequence[NewAsset], tenant: str) -> list[NewAsset]:
    declared = (await registry.model_of(tenant)).assets
    for one in assets:
        clash = _clash(declared.get(one.path), one)
        if clash is not None:
            raise clash
    return [one for one in assets if one.path not in declared]


def _clash(known: Any, wanted: NewAsset) -> Conflict | None:
    if known is None or known.type == wanted.type:
        return None
    what = f"of type '{known.type}'" if known.type else "without a type"
    return Conflict(
        f"there is an asset '{wanted.path}' already, {what}; choose another path, or change its declaration"
    )


def _file(assets: Sequence[NewAsset]) -> SourceFile:
    """JSON is YAML once what YAML takes for a line break is escaped: nothing that somebody typed becomes structure."""
    lines = [f"  {_json(one.path)}: {_json(_spec(one))}" for one in assets]
    return SourceFile(FILE, "\n".join(["assets:", *lines]) + "\n")


def _spec(one: NewAsset) -> dict[str, Any]:
    if not one.type or not one.connection:
        raise DataError("an asset of a device needs a type and a connection")
    spec: dict[str, Any] = {"type": one.type, "connection": one.connection}
    if one.title:
        spec["title"] = dict(one.title)
    if one.parameters:
        spec["parameters"] = dict(one.parameters)
    return spec


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return "".join(one if one.isprintable() or ord(one) > 0xFFFF else f"\\u{ord(one):04x}" for one in text)


def _without_place(error: ConfigError) -> ConfigError:
    return ConfigError(error.message) if error.file == FILE else error
