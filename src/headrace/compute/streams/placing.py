"""Where a version of a stream function runs.

hub        in the platform, by its desk
workers    in processes that share it by partitions over NATS; the platform feeds them and takes what they make
"""

from __future__ import annotations

from typing import Final

from headrace.model.errors import ConfigError, DataError
from headrace.sdk.stream import By, StreamFunction

HUB: Final = "hub"
WORKERS: Final = "workers"


def check_place(on: str) -> str:
    """Raises: DataError."""
    if on in (HUB, WORKERS):
        return on
    raise DataError(f"'{on[:80]}' is no place for a stream function; use 'hub' or 'workers'")


def check_fits(function: StreamFunction, on: str) -> None:
    """Raises: ConfigError for a function that cannot run there."""
    if on == WORKERS:
        check_shared(function)


def check_shared(function: StreamFunction) -> None:
    """Raises: ConfigError."""
    if function.by is By.ALL:
        raise ConfigError(
            f'stream function {function.name} is by="all": one process has to see it all; run it by itself'
        )
