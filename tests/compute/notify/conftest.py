from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.databases import DATABASES, fresh_engine

from headrace.compute.tables import metadata


@pytest.fixture(params=DATABASES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with fresh_engine(request.param, metadata, tmp_path) as engine:
        yield engine
