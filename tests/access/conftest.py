import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Engine
from tests.databases import DATABASES, fresh_engine, together

from headrace.access import factor_tables
from headrace.access.desk import AccessDesk
from headrace.access.passwords import Hasher
from headrace.access.tables import metadata
from headrace.model.errors import DataError
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


class BoxSealer:
    """AES-GCM under a key of the test's own: what production does, without its files."""

    def __init__(self) -> None:
        self._box = AESGCM(bytes(range(32)))

    def seal(self, secret: bytes, context: str) -> bytes:
        nonce = os.urandom(12)
        return nonce + self._box.encrypt(nonce, secret, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        try:
            return self._box.decrypt(sealed[:12], sealed[12:], context.encode())
        except InvalidTag:
            raise DataError("this secret was altered, or belongs elsewhere") from None


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=DATABASES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with fresh_engine(request.param, together(metadata, factor_tables.metadata), tmp_path) as engine:
        yield engine


def make_desk(engine: Engine, clock: FakeClock) -> AccessDesk:
    """As in production, but hashing costs nothing."""
    return AccessDesk(engine, clock, hasher=Hasher(time_cost=1, memory_kib=8), sealer=BoxSealer())


@pytest.fixture
def desk(engine: Engine, clock: FakeClock) -> AccessDesk:
    return make_desk(engine, clock)
