"""kill -9 at random moments, flush and compaction included: nothing acknowledged is lost, nothing is there twice."""

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.history.crashing import BASE_NS, POINTS, SETTINGS, STEP_NS

from headrace.history import open_store
from headrace.model.batch import ValueKind
from headrace.model.errors import Unavailable
from headrace.sdk.clock import SystemClock
from headrace.sdk.testing.store import everything

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("HEADRACE_KILLS", "6"))


def run_and_kill(directory: Path, seed: int) -> int:
    """Start the child, let it acknowledge a random number of appends, kill it; returns how far it got."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    command = [sys.executable, "-m", "tests.history.crashing", str(directory), str(seed)]
    lines = random.Random(seed).randrange(1, 150)
    acknowledged = 0
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        for _ in range(lines):
            first, count = map(int, child.stdout.readline().split())
            acknowledged = first + count
        child.kill()
        for line in child.stdout.read().splitlines():
            if len(parts := line.split()) == 2:
                acknowledged = max(acknowledged, int(parts[0]) + int(parts[1]))
    return acknowledged


async def test_killed_at_random_moments(tmp_path: Path) -> None:
    seed = int(os.environ.get("HEADRACE_SEED", str(random.SystemRandom().randrange(2**32))))
    print(f"HEADRACE_SEED={seed}")
    for kill in range(KILLS):
        acknowledged = run_and_kill(tmp_path, seed + kill)
        store = await open_store(tmp_path, SETTINGS, SystemClock())
        handles = np.arange(POINTS, dtype=np.uint32)
        held = (await everything(store, handles))[ValueKind.FLOAT64]
        await store.close()
        for handle in range(POINTS):
            mine = held.take(held.handles == handle)
            index = (mine.source_ns - BASE_NS) // STEP_NS
            assert index.tolist() == list(range(len(mine)))
            assert len(mine) >= acknowledged
            assert np.array_equal(mine.values, np.round(index + handle / 10, 1))


async def test_a_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    store = await open_store(tmp_path, SETTINGS, SystemClock())
    with pytest.raises(Unavailable, match=f"process {os.getpid()} "):
        await open_store(tmp_path, SETTINGS, SystemClock())
    await store.close()
    await (await open_store(tmp_path, SETTINGS, SystemClock())).close()
