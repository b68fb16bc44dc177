"""The relational database: one engine, brought up to the newest schema before anyone uses it.

Each room describes its tables in its own `tables.py`; the steps between versions are in `migrations/` (Alembic).
SQLite for one machine, PostgreSQL for many, chosen by URL alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, MetaData, create_engine, event, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from headrace.access import audit_tables, factor_tables
from headrace.access import tables as access_tables
from headrace.compute import tables as compute_tables
from headrace.control import guard_tables
from headrace.control import tables as control_tables
from headrace.fleet import tables as fleet_tables
from headrace.fleet.devices import certificate_tables
from headrace.model.errors import ConfigError, Unavailable
from headrace.registry import tables as registry_tables

METADATA: tuple[MetaData, ...] = (
    access_tables.metadata,
    audit_tables.metadata,
    factor_tables.metadata,
    compute_tables.metadata,
    control_tables.metadata,
    guard_tables.metadata,
    fleet_tables.metadata,
    registry_tables.metadata,
)

assert certificate_tables.certificates.metadata is fleet_tables.metadata  # imported, so that METADATA has it

MIGRATIONS = Path(__file__).parent / "migrations"


def open_database(url: str) -> Engine:
    """An engine on a migrated database. Blocks. Raises: ConfigError, Unavailable."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise ConfigError("the database URL is not one; for example postgresql+psycopg://user@host/headrace") from None
    options: dict[str, Any] = {"pool_pre_ping": True}
    if parsed.get_backend_name() == "postgresql":
        options |= {"pool_size": 4, "max_overflow": 4}
    try:
        engine = create_engine(parsed, **options)
    except ImportError as error:
        raise ConfigError(f"{error.name} is missing: pip install 'headrace[postgres]'") from None
    if parsed.get_backend_name() == "sqlite":
        event.listen(engine, "connect", _harden_sqlite)
    try:
        migrate(engine)
    except SQLAlchemyError as error:
        engine.dispose()
        raise Unavailable(
            f"the database at {parsed.render_as_string(hide_password=True)} cannot be used; is it running, "
            "and may this account use it?",
            detail=str(error),
        ) from error
    return engine


def migrate(engine: Engine) -> None:
    """Run the steps that the database lacks; nothing is imported when it lacks none."""
    if _revision(engine) == head():
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def head() -> str:
    """The newest revision: the name of the last file in `migrations/versions`, which count up from 0001."""
    return max(path.stem.split("_")[0] for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def _revision(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("select version_num from alembic_version")).scalar()


def _harden_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
