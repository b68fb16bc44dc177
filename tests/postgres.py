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
from functools import cache
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from tests.services import require_service

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
        options = f"-c listen_addresses='' -c unix_socket_directories='{self._folder}' -c fsync=off"
        self._run("pg_ctl", "-D", self._data, "-w", "-l", self._folder / "log", "-o", options, "start")
        atexit.register(self.stop)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self._folder}"

    def fresh_database(self) -> str:
        """Create a database of its own and return its URL."""
        name = f"test_{uuid.uuid4().hex}"
        admin = create_engine(self.url("postgres"), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        admin.dispose()
        return self.url(name)

    def stop(self) -> None:
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
