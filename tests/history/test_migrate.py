"""Copying a historian: everything arrives, whatever stops it on the way; what does not fit is refused."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.history.samples import assert_same, contents, fill
from tests.properties import drawn_seed

from headrace.history import HistorySettings, open_history, open_store
from headrace.history.migrate import Journal, Progress, migrate
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import ConfigError, Conflict, DataError
from headrace.sdk.clock import SystemClock
from headrace.sdk.store import HistoryStore
from headrace.sdk.testing.store import BASE_NS, ramp

SEED = drawn_seed()


async def embedded(directory: Path) -> HistoryStore:
    return await open_store(directory, HistorySettings(), SystemClock())


def die_and_go_on(command: list[str], journal: Path, choose: random.Random) -> dict[str, Any]:
    """Kill the command after a random number of finished hours, six times if it lets us; then let it end."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    kills = 0
    while kills < 6:
        hours = choose.randrange(1, 30)
        had = journal.stat().st_size if journal.exists() else 0
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while process.poll() is None and not (journal.exists() and journal.stat().st_size - had > 25 * hours):
            time.sleep(0.001)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    assert kills > 2
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    done: dict[str, Any] = json.loads(ended.stdout)
    return done


@pytest.mark.seeded
async def test_kills_at_random_moments_cost_nothing(tmp_path: Path) -> None:
    store = await embedded(tmp_path / "from")
    await fill(store, np.random.default_rng(SEED), hours=100)
    sent = await contents(store)
    await store.close()
    command = [sys.executable, "-m", "headrace", "history", "migrate", "--json"]
    command += ["--from", str(tmp_path / "from"), "--to", str(tmp_path / "to")]
    done = die_and_go_on(command, tmp_path / "to" / "migration.journal", random.Random(SEED))
    assert done["resumed"] and done["points"] == 12
    assert done["verified"] == sum(map(len, sent.values()))
    store = await embedded(tmp_path / "to")
    assert_same(await contents(store), sent)
    await store.close()


async def test_points_are_mapped_by_name_and_a_second_run_takes_what_is_new(tmp_path: Path) -> None:
    source, target = await embedded(tmp_path / "from"), await embedded(tmp_path / "to")
    await source.register(["a", "b"])
    await target.register(["z", "b"])
    await source.append([ramp(0, 10), ramp(1, 20)])
    seen: list[Progress] = []
    done = await migrate(source, target, Journal(tmp_path / "j", "x", "y"), tell=seen.append)
    assert (done.points, done.copied, done.verified, done.resumed) == (2, 30, 30, False)
    assert dict(target.paths()) == {0: "z", 1: "b", 2: "a"}
    assert [one.samples for one in seen if one.phase == "copy"][-1] == 30
    await source.append([ramp(1, 5, start_ns=BASE_NS + 20 * 10**9)])
    again = await migrate(source, target, Journal(tmp_path / "j", "x", "y"))
    assert (again.verified, again.resumed) == (35, True)
    assert_same(await contents(target), await contents(source))
    await source.close()
    await target.close()


async def test_what_would_mix_two_plants_is_refused(tmp_path: Path) -> None:
    source, target = await embedded(tmp_path / "from"), await embedded(tmp_path / "to")
    await source.register(["a"])
    await source.append([ramp(0, 10)])
    await target.register(["b", "a"])
    await target.append([ramp(1, 3, start_ns=BASE_NS + 10**12)])
    with pytest.raises(Conflict, match="--add"):
        await migrate(source, target, Journal(tmp_path / "j", "x", "y"))
    done = await migrate(source, target, Journal(tmp_path / "j", "x", "y"), add=True)
    assert done.verified == 10
    with pytest.raises(Conflict, match="'a' has 10 samples in the source and 13"):
        await migrate(source, target, Journal(tmp_path / "j", "x", "y"))
    with pytest.raises(Conflict, match="from 'x' to 'y'"):
        Journal(tmp_path / "j", "x", "elsewhere")
    (tmp_path / "k").write_text("hello\n")
    with pytest.raises(DataError, match="is no journal"):
        Journal(tmp_path / "k", "x", "y")
    other = await embedded(tmp_path / "other")
    await other.register(["q", "a"])
    with pytest.raises(Conflict, match="not those with which"):
        await migrate(other, target, Journal(tmp_path / "j", "x", "y"))
    for store in (source, target, other):
        await store.close()


class Forgetful:
    """A store that does not keep the sign of zero."""

    def __init__(self, store: HistoryStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def append(self, batches: Sequence[Batch], marks: object = None) -> None:
        await self._store.append([Batch.of(one.kind, one.handles, one.source_ns, one.values + 0.0) for one in batches])


async def test_a_sample_that_came_out_different_is_found(tmp_path: Path) -> None:
    source, target = await embedded(tmp_path / "from"), await embedded(tmp_path / "to")
    await source.register(["a"])
    await source.append([Batch.of(ValueKind.FLOAT64, [0, 0], [BASE_NS, BASE_NS + 1], [1.0, -0.0])])
    with pytest.raises(Conflict, match="'a' has 2 samples in the source and 2 in the target, and not the same ones"):
        await migrate(source, Forgetful(target), Journal(tmp_path / "j", "x", "y"))  # type: ignore[arg-type]
    await source.close()
    await target.close()


async def test_a_place_is_a_folder_or_an_address(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names no user"):
        await open_history("iotdb://host/db", HistorySettings(), SystemClock())
    with pytest.raises(ConfigError, match="does not name"):
        await open_history("influx://host/db", HistorySettings(), SystemClock())
    store = await open_history(tmp_path / "here", HistorySettings(), SystemClock())
    await store.close()
