from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.databases import DATABASES, fresh_engine, together
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
    with fresh_engine(request.param, together(fleet_tables, registry_tables), tmp_path) as engine:
        yield engine
