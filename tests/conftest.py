"""For all tests: how properties are tried (tests/properties.py), and in which order the files come.

files that take long, longest first ─► all others as they are named ─► no worker is left alone with a long one
"""

from __future__ import annotations

import gc
from typing import Final

import pytest
from hypothesis import settings

from tests.properties import register

#: A quarter of a minute or more each. A file that is missing here is run later, and nothing else.
LONGEST: Final = tuple(
    f"tests/{one}.py"
    for one in (
        "security/test_canaries", "history/iotdb/test_cluster", "history/iotdb/test_store", "history/test_migrate",
        "console/test_everyone",
        "console/test_officers", "console/test_hostile_names", "e2e/test_tls", "e2e/test_tutorial",
        "security/test_patterns", "e2e/test_fleet_pages", "e2e/test_edge", "e2e/test_iotdb", "e2e/test_demo",
        "e2e/test_operations", "e2e/test_newcomer", "e2e/test_kill", "security/test_bombs", "console/test_account",
        "console/test_alarms", "console/test_people", "compute/streams/test_cell", "compute/streams/test_desk",
        "compute/notify/test_kill", "compute/backtests/test_backtests", "compute/backtests/test_afterwards",
        "e2e/test_access_page", "e2e/test_replay", "e2e/test_postgresql", "plants/test_physics",
    )
)  # fmt: skip

register()
settings.load_profile("quick")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {file: place for place, file in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


def pytest_collection_finish() -> None:
    """Thousands of tests and all modules stay to the end: the collector of garbage need not look at them again."""
    gc.collect()
    gc.freeze()
