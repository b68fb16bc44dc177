"""A historian by its place: a folder, or the address of a cluster."""

from __future__ import annotations

from pathlib import Path

from headrace.history.settings import HistorySettings
from headrace.model.errors import ConfigError
from headrace.sdk.clock import Clock
from headrace.sdk.store import HistoryStore


def is_cluster(place: str) -> bool:
    return "://" in place


async def open_history(place: str | Path, settings: HistorySettings, clock: Clock) -> HistoryStore:
    """`iotdb://user@host:6667/database`, or the folder of an embedded historian, which is made if it is not there.

    Raises: ConfigError, Unavailable, AccessError, DataError.
    """
    if is_cluster(str(place)):
        from headrace.history.iotdb import IotdbSettings, open_iotdb

        return await open_iotdb(IotdbSettings.from_url(str(place)), clock)
    from headrace.history.store import open_store

    return await open_store(Path(place), settings, clock)


def existing(place: str) -> str:
    """A place that should hold a historian already. Raises: ConfigError where a folder does not."""
    folder = Path(place)
    if is_cluster(place) or (folder / "catalog.db").exists():
        return place
    inner = folder / "history"
    hint = f"; did you mean '{inner}'?" if (inner / "catalog.db").exists() else ""
    raise ConfigError(f"'{place}' holds no historian{hint}")
