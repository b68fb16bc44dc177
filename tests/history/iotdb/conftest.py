"""One cluster of one node for all tests here; each test has a database of its own."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
from tests.services import require_service
from tools import iotdb

from headrace.history.iotdb import IotdbSettings
from headrace.history.iotdb.connection import Connection
from headrace.model.errors import DataError


@pytest.fixture(scope="session")
def one_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[iotdb.Cluster]:
    require_service("Apache IoTDB", iotdb.jars() is not None, iotdb.HOW)
    with iotdb.Cluster(tmp_path_factory.mktemp("iotdb")) as cluster:
        yield cluster


_numbers = count(1)


@pytest.fixture
def databases(one_node: iotdb.Cluster) -> Iterator[Callable[[Path], IotdbSettings]]:
    """Settings for a folder: the same folder, the same database. All are dropped after the test."""
    known: dict[Path, IotdbSettings] = {}

    def of(directory: Path) -> IotdbSettings:
        return known.setdefault(directory, one_node.settings(f"test{next(_numbers)}"))

    yield of
    for settings in known.values():
        session = Connection(settings.nodes[0], settings)
        with suppress(DataError):  # it may never have been made
            session.execute(f"DELETE DATABASE root.{settings.database}")
        session.close()
