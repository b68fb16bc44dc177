from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.databases import DATABASES, fresh_engine, together

from headrace.control import guard_tables, tables


@pytest.fixture(params=DATABASES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with fresh_engine(request.param, together(tables.metadata, guard_tables.metadata), tmp_path) as engine:
        yield engine
