"""Engines for tests of rooms that keep tables: each test once on SQLite and once on a real PostgreSQL server."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, MetaData, create_engine

from tests.postgres import postgres_server

DATABASES = ["sqlite", "postgres"]


@contextmanager
def fresh_engine(database: str, metadata: MetaData, folder: Path) -> Iterator[Engine]:
    """An engine on a new database with these tables. Skips, or fails where services are required, without a server."""
    url = f"sqlite:///{folder}/test.db" if database == "sqlite" else postgres_server().fresh_database()
    engine = create_engine(url)
    metadata.create_all(engine)
    yield engine
    engine.dispose()
