"""Rooms without a running platform: for commands on the machine that owns the files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from headrace.access.desk import AccessDesk
from headrace.connect import drivers, outlets
from headrace.platform.database import open_database
from headrace.platform.settings import Settings, make_home
from headrace.registry import DeclarationRegistry
from headrace.sdk.clock import SystemClock


@asynccontextmanager
async def open_registry(home: Path) -> AsyncIterator[DeclarationRegistry]:
    """The declarations of `home`. Raises: ConfigError, Unavailable."""
    make_home(home)
    engine = await asyncio.to_thread(open_database, Settings(home=home).database)
    try:
        yield DeclarationRegistry(engine, drivers.load(), SystemClock(), outlets.load())
    finally:
        engine.dispose()


@asynccontextmanager
async def open_access(home: Path) -> AsyncIterator[AccessDesk]:
    """The accounts of `home`. Raises: ConfigError, Unavailable."""
    make_home(home)
    engine = await asyncio.to_thread(open_database, Settings(home=home).database)
    try:
        yield AccessDesk(engine, SystemClock())
    finally:
        engine.dispose()
