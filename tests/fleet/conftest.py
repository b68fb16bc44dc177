from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, MetaData
from tests.databases import DATABASES, fresh_engine
from tests.fleet.fakes import Audit

from headrace.fleet.tables import metadata as fleet_tables
from headrace.registry.tables import metadata as registry_tables
from headrace.sdk.testing.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def audit() -> Audit:
    return Audit()


@pytest.fixture(params=DATABASES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    tables = MetaData()
    for metadata in (fleet_tables, registry_tables):
        for table in metadata.tables.values():
            table.to_metadata(tables)
    with fresh_engine(request.param, tables, tmp_path) as engine:
        yield engine
