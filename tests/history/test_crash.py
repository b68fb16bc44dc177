"""kill -9 at random moments of everything at once: nothing acknowledged is lost, nothing is there twice.

The child appends (late, twice, out of order), deletes, flushes, merges, retires, backs up and ships logs. After each
kill the store is opened and compared, and the last complete backup is restored and compared. `make soak` does it 50
times and writes down how long each open took.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from tests.history.crashing import BASE_NS, POINTS, SETTINGS, STEP_NS
from tests.properties import drawn_seed

from headrace.history import open_store
from headrace.history.check import check
from headrace.history.picture import picture_of_closed
from headrace.history.restore import restore
from headrace.history.store import EmbeddedStore
from headrace.model.batch import ValueKind
from headrace.model.errors import Unavailable
from headrace.sdk.clock import SystemClock
from headrace.sdk.testing.store import everything

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("HEADRACE_KILLS", "4"))

Sample = tuple[int, int]


@dataclass
class Known:
    """(point, index): `there` was acknowledged; `maybe` was in progress when the child died."""

    there: set[Sample] = field(default_factory=set)
    maybe: set[Sample] = field(default_factory=set)
    asked: set[Sample] = field(default_factory=set)  # what was there when the backup in progress was begun …
    gone: set[Sample] = field(default_factory=set)  # … and what was deleted since
    backed_up: tuple[str, set[Sample], set[Sample]] | None = None

    def take(self, line: str) -> None:
        match line.split():
            case ["a", first, count]:
                self.there |= (now := _every(range(POINTS), int(first), int(count)))
                self.maybe -= now
            case ["A", first, count]:
                self.maybe |= _every(range(POINTS), int(first), int(count)) - self.there
            case ["D", point, first, count]:
                self.maybe |= (going := _every([int(point)], int(first), int(count)) & self.there)
                self.there -= going
                self.gone |= going
            case ["d", point, first, count]:
                self.maybe -= _every([int(point)], int(first), int(count))
            case ["B"]:
                self.asked, self.gone = set(self.there), set()
            case ["b", name]:
                self.backed_up = (name, self.asked, self.gone)


def _every(points: range | list[int], first: int, count: int) -> set[Sample]:
    return {(point, index) for point in points for index in range(first, first + count)}


def run_and_kill(directory: Path, target: Path, seed: int, known: Known) -> None:
    """Start the child, let it say a random number of lines, kill it, and take down all that it said."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    # As a file and not as a module: another package may be called `tests`.
    command = [sys.executable, str(ROOT / "tests/history/crashing.py"), str(directory), str(target), str(seed)]
    lines = random.Random(seed).randrange(1, 150)
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        for _ in range(lines):
            line = child.stdout.readline()
            assert line.endswith("\n"), "the child died by itself"
            known.take(line)
        child.kill()
        for line in child.stdout.read().splitlines(keepends=True):
            if line.endswith("\n"):
                known.take(line)


async def held(store: EmbeddedStore) -> set[Sample]:
    """What is there, each sample once and with its own value."""
    found = (await everything(store, np.arange(POINTS, dtype=np.uint32))).get(ValueKind.FLOAT64)
    if found is None:
        return set()
    found = found.take(found.values >= 0)  # without those for the retention
    index = (found.source_ns - BASE_NS) // STEP_NS
    assert np.array_equal(found.values, np.round(index + found.handles / 10, 1))
    rows = list(zip(found.handles.tolist(), index.tolist(), strict=True))
    assert len(set(rows)) == len(rows)
    return set(rows)


async def kill_again_and_again(folder: Path, kills: int) -> list[float]:
    """Raises: AssertionError. Returns how long each open took, in seconds."""
    seed = drawn_seed()
    directory, target, opens_s = folder / "history", folder / "target", []
    target.mkdir()
    known = Known()
    for kill in range(kills):
        run_and_kill(directory, target, seed + kill, known)
        with picture_of_closed(directory) as picture:
            assert check(picture).findings == []
        began_s = time.perf_counter()
        store = await open_store(directory, SETTINGS, SystemClock())
        opens_s.append(time.perf_counter() - began_s)
        there, marks = await held(store), store.marks()
        await store.close()
        assert known.there <= there
        # Samples and mark are one commit: the mark says exactly what is there.
        assert (marks["child"].sequence if marks else 0) == max((index for _, index in there), default=-1) + 1
        # Beyond it only what nobody was told of: what was asked for, or appended as the newest.
        top = max((index for _, index in known.there), default=-1)
        assert all(sample in known.maybe or sample[1] > top for sample in there - known.there)
        known.there, known.maybe = there, set()
        if known.backed_up is not None:
            await compare_backup(folder / f"restored-{kill}", target, known)
        print(f"kill {kill + 1}: {len(there)} samples, open {opens_s[-1] * 1000:.0f} ms")
    return opens_s


async def compare_backup(place: Path, target: Path, known: Known) -> None:
    """The last complete backup holds what was acknowledged before it was asked for."""
    assert known.backed_up is not None
    name, before, deleted = known.backed_up
    await restore(target, place, SystemClock(), name=name)
    store = await open_store(place, SETTINGS, SystemClock())
    restored, marks = await held(store), store.marks()
    await store.close()
    assert (marks["child"].sequence if marks else 0) == max((index for _, index in restored), default=-1) + 1
    shutil.rmtree(place)
    assert before - restored <= deleted


@pytest.mark.clause("62443-3-3 SR 7.4")
async def test_killed_at_random_moments(tmp_path: Path) -> None:
    await kill_again_and_again(tmp_path, KILLS)


@pytest.mark.soak
async def test_killed_fifty_times(tmp_path: Path) -> None:
    opens_s = await kill_again_and_again(tmp_path, int(os.environ.get("HEADRACE_KILLS", "50")))
    record = {"kills": len(opens_s), "lost": 0, "duplicated": 0, "open_s_max": round(max(opens_s), 3)}
    print(json.dumps(record))
    assert max(opens_s) <= 2.0


async def test_a_second_owner_is_told_who_the_first_is(tmp_path: Path) -> None:
    store = await open_store(tmp_path, SETTINGS, SystemClock())
    with pytest.raises(Unavailable, match=f"process {os.getpid()} "):
        await open_store(tmp_path, SETTINGS, SystemClock())
    await store.close()
    await (await open_store(tmp_path, SETTINGS, SystemClock())).close()
