"""Engines for tests of rooms that keep tables: each test once on SQLite and once on a real PostgreSQL server."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine, MetaData, create_engine, event

from tests.postgres import postgres_server

DATABASES = ["sqlite", "postgres"]


@cache
def together(*several: MetaData) -> MetaData:
    """The tables of several rooms in one, without triggers. To ask in a test, when all that adds tables is there."""
    one = MetaData()
    for metadata in several:
        for table in metadata.tables.values():
            table.to_metadata(one)
    return one


@contextmanager
def fresh_engine(database: str, metadata: MetaData, folder: Path) -> Iterator[Engine]:
    """An engine on a database with these tables, all empty. Skips without one, or fails where services are required."""
    if database == "postgres":
        with postgres_server().lent_engine(metadata) as engine:
            yield engine
        return
    engine = sqlite_engine(folder / "test.db", metadata)
    yield engine
    engine.dispose()


def sqlite_engine(file: Path, *several: MetaData) -> Engine:
    """An engine on a new file with these tables and their triggers. It forgets what it wrote in a power cut."""
    file.write_bytes(_file_of(*((tables, len(tables.tables)) for tables in several)))
    engine = create_engine(f"sqlite:///{file}")
    event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous=OFF"))
    return engine


@cache
def _file_of(*several: tuple[MetaData, int]) -> bytes:
    """The bytes of such a file; more tables than before make another."""
    with TemporaryDirectory() as folder:
        engine = create_engine(f"sqlite:///{folder}/new.db")
        for tables, _ in several:
            tables.create_all(engine)
        engine.dispose()
        return Path(folder, "new.db").read_bytes()
