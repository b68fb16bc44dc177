"""One folder a protocol; finding them costs no protocol library.

    drivers/<name>/manifest.toml   name, title, defaults        read at start
    drivers/<name>/config.py       Settings, Address, check     imported at start; must not import the library
    drivers/<name>/driver.py       DRIVER: DriverType           imported when the first connection is opened

`config.py` has the pydantic models `Settings` and `Address`, and may have `check(address, kind, writable)`.
"""

from __future__ import annotations

import importlib
import tomllib
from pathlib import Path
from typing import Any

from headrace.model.errors import ConfigError
from headrace.sdk.driver import Driver, DriverContext, DriverType, fits_any

_HERE = Path(__file__).parent


def load(folder: Path = _HERE, package: str = __name__) -> dict[str, DriverType]:
    """Every driver by name. Raises: ConfigError for a manifest that cannot be read."""
    return {
        found.name: found
        for manifest in sorted(folder.glob("*/manifest.toml"))
        for found in [_describe(manifest, f"{package}.{manifest.parent.name}")]
    }


def _describe(manifest: Path, package: str) -> DriverType:
    try:
        said = tomllib.loads(manifest.read_text("utf-8"))
        name, title = str(said["name"]), str(said["title"])
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise ConfigError(f"the manifest of a driver cannot be read: {error}", file=str(manifest)) from None
    config = importlib.import_module(f"{package}.config")

    def open_driver(settings: Any, context: DriverContext) -> Driver:
        described: DriverType = importlib.import_module(f"{package}.driver").DRIVER
        return described.open(settings, context)

    return DriverType(
        name,
        title,
        config.Settings,
        config.Address,
        open_driver,
        said.get("defaults", {}),
        getattr(config, "check", fits_any),
    )
