"""Long runs, by `make soak` only: kills under load, every recording, and three flush cycles of the demo.

HEADRACE_SOAK_SCALE (default 1) scales rounds, files and cycles (one at least): 0.1 shows that the tests work.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.e2e.modbus_device import DeviceProcess
from tests.e2e.platform_process import PlatformProcess, environment, platform_process, wait_for
from tests.e2e.test_replay import SKAB, check_modbus, check_opcua, raw
from tests.properties import drawn_seed

from headrace.cli.client import Client
from headrace.history import HistorySettings

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]

SCALE = float(os.environ.get("HEADRACE_SOAK_SCALE") or 1)
ROUNDS = max(round(30 * SCALE), 2)
POINTS = 2_000
LOOKED_AT = 20
FLUSH_S = HistorySettings().memtable_age_s
CYCLES = max(round(2 * SCALE), 1)
SEEN = (0.2, 0.4)  # of a flush cycle: when memory is looked at
GROWTH_MAX = 1.10


def paths() -> list[str]:
    return [f"acme/hall/counter-{number}" for number in range(POINTS)]


def declaration(port: int) -> str:
    points = "\n".join(
        f"  {path}: {{type: int64, interval: 100ms, connection: plc, "
        f"address: {{table: holding, address: {2 * number}, encoding: uint32}}}}"
        for number, path in enumerate(paths())
    )
    return (
        f"connections:\n  plc: {{driver: modbus, settings: {{host: 127.0.0.1, port: {port}}}}}\n"
        f"assets: {{acme: {{level: enterprise}}, acme/hall: {{level: area}}}}\npoints:\n{points}\n"
    )


def acknowledged(client: Client, looked_at: list[str]) -> dict[str, dict[int, tuple[Any, int]]]:
    """What history gives out now: by path and source time, value and quality; no time is there twice."""
    found = {}
    for path in looked_at:
        table = raw(client, path)
        stamps = table["source_time"].cast("int64").to_pylist()
        rows = dict(
            zip(stamps, zip(table["value"].to_pylist(), table["quality"].to_pylist(), strict=True), strict=True)
        )
        assert len(rows) == len(stamps), f"duplicates in {path}"
        found[path] = rows
    return found


def count(found: dict[str, dict[int, Any]]) -> int:
    return sum(map(len, found.values()))


def test_kill_9_under_load_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """The platform and its device die together, in either order, at any moment: also while they start or recover."""
    seed = drawn_seed()
    rng = random.Random(seed)
    looked_at = rng.sample(paths(), LOOKED_AT)
    kept: dict[str, dict[int, tuple[Any, int]]] = {path: {} for path in looked_at}
    with DeviceProcess(POINTS) as device:
        (tmp_path / "plant.yaml").write_text(declaration(device.port))
        with platform_process(tmp_path / "home", "-f", str(tmp_path / "plant.yaml")) as platform:
            for number in range(ROUNDS):
                client = platform.start()
                now = wait_for(
                    lambda c=client, old=count(kept): newer(c, looked_at, old),
                    60,
                    f"new samples in round {number} (seed {seed})",
                    platform.log.read_text,
                )
                lost = {path: [t for t, row in rows.items() if now[path].get(t) != row] for path, rows in kept.items()}
                assert not any(lost.values()), f"seed {seed}, round {number}: lost {lost}"
                kept = now
                time.sleep(rng.uniform(0, 4))
                kept = acknowledged(client, looked_at)
                time.sleep(rng.choice((0, rng.uniform(0, 0.5))))
                client.http.close()
                die(rng, platform, device)
                device.start()
            assert "Traceback" not in platform.log.read_text()
    print(f"{ROUNDS} rounds, {count(kept):,} samples of {LOOKED_AT} points looked at")


def newer(client: Client, looked_at: list[str], old: int) -> dict[str, dict[int, tuple[Any, int]]] | None:
    """All samples, once every point has about ten new ones."""
    found = acknowledged(client, looked_at)
    return found if count(found) >= old + 10 * len(looked_at) else None


def die(rng: random.Random, platform: PlatformProcess, device: DeviceProcess) -> None:
    deaths = [platform.kill, device.kill]
    rng.shuffle(deaths)
    deaths[0]()
    time.sleep(rng.choice((0, 0, rng.uniform(0, 0.3))))
    deaths[1]()


@pytest.mark.parametrize("protocol", ["opcua", "modbus"])
def test_every_recording_of_the_valve_comes_back_bit_for_bit(tmp_path: Path, protocol: str) -> None:
    files = sorted(SKAB.glob("*.csv"))
    if not files:
        pytest.skip("the SKAB recordings are not here: set HEADRACE_DATA to the folder that holds ai/skab/valve1")
    for file in files[: max(round(len(files) * SCALE), 1)]:
        folder = tmp_path / file.stem
        folder.mkdir()
        copy = Path(shutil.copy(file, folder))
        copy.chmod(0o600)
        print(file.name)
        if protocol == "opcua":
            check_opcua(copy, "--rate", "400")
        else:
            check_modbus(copy, "--step-on-read", interval="20ms", within_s=300)


def test_the_demo_does_not_grow(tmp_path: Path) -> None:
    """Resident memory at the same moment of two flush cycles: what a memtable holds goes again, what leaks stays."""
    total_s = (1 + CYCLES + SEEN[1]) * FLUSH_S
    command = ["demo", "--for", str(total_s), "--report", "json", "--port", "0", "--home", str(tmp_path / "demo")]
    seen_mb: list[tuple[float, float]] = []
    flushed_s = None
    with (
        (tmp_path / "demo.log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "headrace", *command], stdout=subprocess.PIPE, stderr=log, env=environment()
        ) as demo,
    ):
        process = psutil.Process(demo.pid)
        while demo.poll() is None:
            now_s = time.monotonic()
            if flushed_s is None and any((tmp_path / "demo" / "history" / "seg").glob("*.seg")):
                flushed_s = now_s
            with suppress(psutil.Error):  # it may have ended meanwhile
                seen_mb.append((now_s, process.memory_info().rss / 1e6))
            time.sleep(2)
        assert demo.stdout is not None
        said = demo.stdout.read()
    assert demo.returncode == 0, (tmp_path / "demo.log").read_text()
    assert flushed_s is not None, "the demo ended before its first flush"
    first, last = (
        statistics.median(mb for at_s, mb in seen_mb if SEEN[0] <= (at_s - flushed_s) / FLUSH_S - cycle < SEEN[1])
        for cycle in (0, CYCLES)
    )
    print(f"{first:.0f} MB after the first flush, {last:.0f} MB as long after a later one")
    report = json.loads(said.splitlines()[-1])
    assert report["lost"] == 0 and report["history_ok"] is True
    assert last <= first * GROWTH_MAX
