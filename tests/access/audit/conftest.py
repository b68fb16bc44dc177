"""A guarded trail on each database, with its folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.access.audit.world import AuditWorld
from tests.access.conftest import FakeClock
from tests.databases import fresh_engine

from headrace.access import audit_tables, factor_tables, tables


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    # Triggers come with the rooms' own tables, and these tests take them away: nobody gets such a database again.
    with fresh_engine(request.param, tables.metadata, tmp_path) as engine:
        audit_tables.metadata.create_all(engine)
        factor_tables.metadata.create_all(engine)
        yield engine


@pytest.fixture
def clock() -> FakeClock:
    """Long ago, so that entries may be archived by the databases' own clocks."""
    clock = FakeClock()
    clock.seconds = 1_500_000_000
    return clock


@pytest.fixture
def world(engine: Engine, clock: FakeClock, tmp_path: Path) -> Iterator[AuditWorld]:
    world = AuditWorld(engine, clock, tmp_path)
    yield world
    world.folder.close()
