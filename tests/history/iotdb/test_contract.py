"""The store on IoTDB keeps the contract, in the servers' memory and in their files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from headrace.history.iotdb import IotdbSettings, IotdbStore, open_iotdb
from headrace.sdk.clock import SystemClock
from headrace.sdk.store import HistoryStore
from headrace.sdk.testing.store import StoreContract


class TestIotdbStore(StoreContract):
    @pytest.fixture(autouse=True)
    def _cluster(self, databases: Callable[[Path], IotdbSettings]) -> None:
        self.databases = databases

    async def open_store(self, directory: Path) -> HistoryStore:
        return await open_iotdb(self.databases(directory), SystemClock())

    async def settle(self, store: HistoryStore) -> None:
        assert isinstance(store, IotdbStore)
        await store.flush()
