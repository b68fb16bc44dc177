"""The embedded store keeps the contract, freshly appended and after everything went through flush and compaction."""

from pathlib import Path

from headrace.history import HistorySettings, open_store
from headrace.history.store import EmbeddedStore
from headrace.sdk.clock import SystemClock
from headrace.sdk.store import HistoryStore
from headrace.sdk.testing.store import StoreContract


class TestEmbeddedStore(StoreContract):
    async def open_store(self, directory: Path) -> HistoryStore:
        return await open_store(directory, HistorySettings(), SystemClock())

    async def settle(self, store: HistoryStore) -> None:
        assert isinstance(store, EmbeddedStore)
        await store.flush()


class TestCompactedStore(TestEmbeddedStore):
    async def settle(self, store: HistoryStore) -> None:
        assert isinstance(store, EmbeddedStore)
        await store.flush()
        await store.compact()
