"""A real PostgreSQL server for tests: started once a run, on a Unix socket only, gone at the end.

Use: `from tests.postgres import postgres_engine  # noqa: F401` and take the fixture; each call of it gives an engine
on a fresh database.
"""

from __future__ import annotations

import atexit
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import Engine, MetaData, create_engine, text
from sqlalchemy.exc import DBAPIError

from tests.services import require_service

#: Nothing has to outlive the run, and a test is over before anything would have to be tidied up.
_FORGETFUL = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
}
_HOW = "apt-get install postgresql (tools/setup.sh services does it)"


def find_postgres() -> Path | None:
    """The folder of `initdb` and `pg_ctl` of the newest server installed, None without one."""
    on_path = shutil.which("pg_ctl")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    return Path(on_path).parent if on_path else None


class PostgresServer:
    """A cluster in a temporary folder. PostgreSQL refuses to run as root, so root runs it as user `postgres`."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="headrace-pg-", dir="/tmp"))
        self._as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if _is_root() else []
        if self._as_user:
            shutil.chown(self._folder, "postgres", "postgres")
        self._data = self._folder / "data"
        self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
        settings = {"listen_addresses": "''", "unix_socket_directories": f"'{self._folder}'", **_FORGETFUL}
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        self._run("pg_ctl", "-D", self._data, "-w", "-l", self._folder / "log", "-o", options, "start")
        self._admin = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        self._free: dict[MetaData, list[str]] = {}
        atexit.register(self.stop)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self._folder}"

    def fresh_database(self) -> str:
        """Create an empty database of its own and return its URL."""
        name = f"test_{uuid.uuid4().hex}"
        with self._admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        return self.url(name)

    @contextmanager
    def lent_engine(self, tables: MetaData) -> Iterator[Engine]:
        """An engine on a database with these tables, all empty, which others had before and will have again."""
        free = self._free.setdefault(tables, [])
        url = free.pop() if free else ""
        engine = create_engine(url or self.fresh_database())
        if not url:
            tables.create_all(engine)
        try:
            yield engine
            if self._emptied(engine, tables):
                free.append(engine.url.render_as_string())
        finally:
            engine.dispose()

    def _emptied(self, engine: Engine, tables: MetaData) -> bool:
        """False where the tables are others now, or somebody still holds one: then nobody gets this database again."""
        engine.dispose()
        names = {table.name for table in tables.sorted_tables}
        try:
            with engine.begin() as connection:
                if (
                    set(connection.scalars(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")))
                    != names
                ):
                    return False
                connection.execute(text("SET LOCAL lock_timeout = '1s'"))
                connection.execute(text(f"TRUNCATE {', '.join(sorted(names))} RESTART IDENTITY CASCADE"))
        except DBAPIError:
            return False
        return True

    def stop(self) -> None:
        self._admin.dispose()
        self._run("pg_ctl", "-D", self._data, "-m", "immediate", "stop", check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: object, check: bool = True) -> None:
        # The server inherits what it is given: no pipes, or waiting for their end would wait for the server's.
        log = self._folder.with_suffix(".log")
        with log.open("ab") as output:
            done = subprocess.run(
                [*self._as_user, str(self._programs / program), *map(str, arguments)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd="/",
                timeout=60,
                check=False,
            )
        said = log.read_text(errors="replace")
        log.unlink()
        if check and done.returncode:
            raise RuntimeError(f"{program} failed: {said[-2000:]}")


def _is_root() -> bool:
    return os.geteuid() == 0


@cache
def postgres_server() -> PostgresServer:
    """The one server of this run. Skips, or fails where services are required, without an installation."""
    programs = find_postgres()
    require_service("PostgreSQL", programs is not None, _HOW)
    assert programs is not None
    return PostgresServer(programs)


@pytest.fixture
def postgres_engine() -> Iterator[Callable[[], Engine]]:
    """Each call gives an engine on a fresh, empty database."""
    server = postgres_server()
    engines: list[Engine] = []

    def make() -> Engine:
        engine = create_engine(server.fresh_database())
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.dispose()
