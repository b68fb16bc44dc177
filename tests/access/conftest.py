from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.databases import DATABASES, fresh_engine

from headrace.access.desk import AccessDesk
from headrace.access.passwords import Hasher
from headrace.access.tables import metadata
from headrace.model.time import SECOND_NS


class FakeClock:
    def __init__(self) -> None:
        self.seconds = 1_800_000_000

    def now_ns(self) -> int:
        return self.seconds * SECOND_NS

    def monotonic_s(self) -> float:
        return float(self.seconds)

    async def sleep(self, delay_s: float) -> None:
        self.seconds += int(delay_s)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=DATABASES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with fresh_engine(request.param, metadata, tmp_path) as engine:
        yield engine


def make_desk(engine: Engine, clock: FakeClock) -> AccessDesk:
    """As in production, but hashing costs nothing."""
    return AccessDesk(engine, clock, hasher=Hasher(time_cost=1, memory_kib=8))


@pytest.fixture
def desk(engine: Engine, clock: FakeClock) -> AccessDesk:
    return make_desk(engine, clock)
