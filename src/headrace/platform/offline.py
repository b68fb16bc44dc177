"""Rooms without a running platform: for commands on the machine that owns the files."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from sqlalchemy import Engine

from headrace.access.audit.folder import ARCHIVE
from headrace.access.audit.reader import TrailReader
from headrace.access.audit.signing import PUBLIC_NAME, PublicKey
from headrace.access.audit.verify import verify
from headrace.access.desk import AccessDesk
from headrace.access.rekey import rotate
from headrace.access.seal import open_keyring
from headrace.compute.streams.register import Register
from headrace.compute.streams.versions import StreamVersions
from headrace.connect import drivers, outlets
from headrace.connect.messengers import all_messengers
from headrace.model.errors import ConfigError
from headrace.platform.database import open_database
from headrace.platform.settings import Settings, make_home
from headrace.registry import TenantRegistries
from headrace.sdk.audit import AuditHead, AuditVerdict
from headrace.sdk.certificates import Rekeyed
from headrace.sdk.clock import SystemClock


@asynccontextmanager
async def open_registry(home: Path) -> AsyncIterator[TenantRegistries]:
    """The declarations of `home`, with its tenants. Raises: ConfigError, Unavailable."""
    make_home(home)
    engine = await asyncio.to_thread(open_database, Settings(home=home).database)
    try:
        access = AccessDesk(engine, SystemClock())
        await access.tenants()  # from here on it knows whose a path is
        streams = StreamVersions(Register(Settings(home=home).streams_dir), access, access.memory, SystemClock())
        await streams.start()
        yield _registries(engine, access, streams)
    finally:
        engine.dispose()


def _registries(engine: Engine, access: AccessDesk, streams: StreamVersions) -> TenantRegistries:
    return TenantRegistries(
        engine, drivers.load(), SystemClock(), outlets.load(), all_messengers(), tenants=access.memory,
        functions=streams.functions,
    )  # fmt: skip


@asynccontextmanager
async def open_access(home: Path) -> AsyncIterator[AccessDesk]:
    """The accounts of `home`. Raises: ConfigError, Unavailable."""
    make_home(home)
    engine = await asyncio.to_thread(open_database, Settings(home=home).database)
    try:
        yield AccessDesk(engine, SystemClock())
    finally:
        engine.dispose()


@asynccontextmanager
async def open_streams(home: Path) -> AsyncIterator[StreamVersions]:
    """The stream functions of `home`, whose acts are in its audit trail. Raises: ConfigError, Unavailable."""
    make_home(home)
    settings = Settings(home=home)
    engine = await asyncio.to_thread(open_database, settings.database)
    try:
        access = AccessDesk(engine, SystemClock())
        await access.tenants()  # from here on it knows whose a name is

        async def forget() -> None:
            plant.forget()

        streams = StreamVersions(
            Register(settings.streams_dir), access, access.memory, SystemClock(),
            check=lambda function, tenant: plant.check_function(function, tenant=tenant), changed=forget,
        )  # fmt: skip
        plant = _registries(engine, access, streams)
        await streams.start()
        yield streams
    finally:
        engine.dispose()


def rotate_keys(home: Path, seal_key: str, forget_old: bool) -> Rekeyed:
    """Seal what `home` holds with a new key. Blocks. Raises: ConfigError, Unavailable."""
    make_home(home)
    ring = open_keyring(home, seal_key)
    engine = open_database(Settings(home=home).database)
    try:
        return rotate(ring, home, engine, reference=seal_key, forget_old=forget_old)
    finally:
        engine.dispose()


def verify_audit(home: Path, known: AuditHead | None = None, key: Path | None = None) -> AuditVerdict:
    """Check the audit trail of `home`, with its public key or the one given. Blocks.

    Raises: DataError that names what is not as it was written; ConfigError, Unavailable.
    """
    settings = Settings(home=home)
    if settings.database.startswith("sqlite:") and not (home / "database.db").exists():
        raise ConfigError(f"there is no platform in '{home}'; name its folder with --home")
    engine = open_database(settings.database)
    try:
        reader = TrailReader(engine, settings.audit_dir / ARCHIVE)
        return verify(reader, settings.audit_dir, PublicKey.read(key or settings.keys_dir / PUBLIC_NAME), known)
    finally:
        engine.dispose()
