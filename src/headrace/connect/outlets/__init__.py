"""One folder a way out; finding them costs no protocol library.

    outlets/<name>/manifest.toml   name, title, and what kind it is   read at start
    outlets/<name>/config.py       Settings, and see below            imported at start; must not import the library
    outlets/<name>/outlet.py       OUTLET: OutletType                 imported when the first outlet is opened

`config.py` has the pydantic model `Settings`, and may have `samples(settings)`, `wants(settings, event)` and
`check(settings, declaration)`.
"""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path
from typing import Any

from headrace.model.errors import ConfigError
from headrace.sdk.outlet import Outlet, OutletContext, OutletType

_HERE = Path(__file__).parent


def load(folder: Path = _HERE, package: str = __name__) -> dict[str, OutletType]:
    """Every outlet protocol by name. Raises: ConfigError for a manifest that cannot be read."""
    return {
        found.name: found
        for manifest in sorted(folder.glob("*/manifest.toml"))
        for found in [_describe(manifest, f"{package}.{manifest.parent.name}")]
    }


def _describe(manifest: Path, package: str) -> OutletType:
    try:
        said = tomllib.loads(manifest.read_text("utf-8"))
        name, title = str(said["name"]), str(said["title"])
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise ConfigError(f"the manifest of an outlet cannot be read: {error}", file=str(manifest)) from None
    config = importlib.import_module(f"{package}.config")

    def open_outlet(settings: Any, context: OutletContext) -> Outlet:
        described: OutletType = importlib.import_module(f"{package}.outlet").OUTLET
        return described.open(settings, context)

    return OutletType(
        name,
        title,
        config.Settings,
        open_outlet,
        newest_only=bool(said.get("newest_only", False)),
        samples=getattr(config, "samples", lambda _settings: True),
        quiet_open=bool(said.get("quiet_open", False)),
        events=bool(said.get("events", False)),
        wants=getattr(config, "wants", lambda _settings, _event: True),
        check=getattr(config, "check", lambda _settings, _declaration: None),
    )
