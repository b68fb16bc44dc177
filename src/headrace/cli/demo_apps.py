"""What the demo's works has of apps: operations looks at the machines that count parts, from the first start on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from headrace.model.errors import HeadraceError
from headrace.model.plant import PlantModel
from headrace.model.time import format_time
from headrace.sdk.access import Principal
from headrace.sdk.app_desk import AppDesk, AppState

log = logging.getLogger(__name__)

APP: Final = "operations"
STATES: Final = "0 = stopped; 1 = setup; 2 = producing; 3 = starved; 4 = fault"
_CYCLES: Final = {"station": "14s", "moulder": "17s", "press": "11s"}
_STEP_MAX: Final = 200  # the works begins its counters anew with each start


async def enable(apps: AppDesk, model: PlantModel, now_ns: int) -> None:
    """Once: whoever disables it, or sets it otherwise, is not overruled by the next start."""
    local = Principal("local", "owner", "local")
    try:
        one = next((each for each in await apps.apps(local) if each.name == APP), None)
        if one is not None and one.state is AppState.AVAILABLE:
            await apps.enable(local, APP, one.manifest.version, settings_of(model, now_ns))
    except HeadraceError as error:  # the works runs without, too
        log.warning("the demo does without the operations app: %s", error)


def settings_of(model: PlantModel, now_ns: int) -> dict[str, Any]:
    """A work unit for each machine that tells its state and counts good parts; figures begin now."""
    rows = [
        _unit(asset, model.points)
        for asset in sorted(model.assets)
        if f"{asset}/machine.state" in model.points and f"{asset}/parts.good" in model.points
    ]
    return {"units": rows, "since": format_time(now_ns)}


def _unit(asset: str, points: Mapping[str, Any]) -> dict[str, Any]:
    scrap = f"{asset}/parts.scrap"
    kind = asset.rpartition("/")[2].partition("-")[0]
    return {
        "asset": asset, "rule": "table", "point": f"{asset}/machine.state", "states": STATES, "micro_stop": "30s",
        "counts": "good", "counter": f"{asset}/parts.good", "increment_max": _STEP_MAX,
        **({"scrap": scrap} if scrap in points else {}),
        **({"ideal_cycle": _CYCLES[kind]} if kind in _CYCLES else {}),
    }  # fmt: skip
