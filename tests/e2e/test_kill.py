"""Kill -9 at random moments, platform and device: what was acknowledged stays, and everything comes back by itself."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.modbus_device import DeviceProcess
from tests.e2e.platform_process import PlatformProcess, platform_process, wait_for
from tests.properties import drawn_seed

from headrace.cli.client import Client
from headrace.model.time import parse_time_ns

COUNTERS = [f"acme/cell/counter-{number}" for number in range(8)]
ROUNDS = 4


def declaration(port: int) -> str:
    points = "\n".join(
        f"  {path}: {{type: int64, interval: 50ms, connection: plc, "
        f"address: {{table: holding, address: {2 * number}, encoding: uint32}}}}"
        for number, path in enumerate(COUNTERS)
    )
    return (
        f"connections:\n  plc: {{driver: modbus, settings: {{host: 127.0.0.1, port: {port}, unit: 1}}}}\n"
        f"assets:\n  acme: {{level: enterprise}}\n  acme/cell: {{level: cell}}\npoints:\n{points}\n"
    )


def acknowledged(client: Client) -> dict[str, dict[int, Any]]:
    """Everything that history gives out now: by path, source time and value."""
    found: dict[str, dict[int, Any]] = {}
    for path in COUNTERS:
        page = client.get("/history/raw", path=path, start="now-1h", end="now", limit=50_000)
        assert page["next_cursor"] is None
        times = [parse_time_ns(text) for text in page["time"]]
        assert len(set(times)) == len(times), f"duplicates in {path}"
        found[path] = dict(zip(times, page["values"], strict=True))
    return found


def samples(client: Client) -> int:
    return sum(len(rows) for rows in acknowledged(client).values())


@pytest.mark.timeout(300)
@pytest.mark.clause("62443-3-3 SR 7.4")
@pytest.mark.seeded
def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    seed = drawn_seed()
    rng = random.Random(seed)
    with DeviceProcess() as device:
        plant = tmp_path / "plant"
        plant.mkdir()
        (plant / "plant.yaml").write_text(declaration(device.port))
        with platform_process(tmp_path / "home", "-f", str(plant)) as platform:
            kept: dict[str, dict[int, Any]] = {path: {} for path in COUNTERS}
            for _ in range(ROUNDS):
                client = platform.start()
                before = sum(map(len, kept.values()))
                wait_for(lambda c=client, b=before: samples(c) > b + 40, 30, "new samples after a start")
                wait_for(lambda: rng.random() < 0.2, 5, "a random moment")
                now = acknowledged(client)
                missing = {
                    path: {time: value for time, value in rows.items() if now[path].get(time) != value}
                    for path, rows in kept.items()
                }
                assert not any(missing.values()), f"seed {seed}: lost {missing}"
                kept = now
                platform.kill()


@pytest.mark.timeout(300)
def test_a_device_that_dies_comes_back_without_help(tmp_path: Path) -> None:
    with DeviceProcess() as device:
        plant = tmp_path / "plant"
        plant.mkdir()
        (plant / "plant.yaml").write_text(declaration(device.port))
        with platform_process(tmp_path / "home", "-f", str(plant)) as platform:
            client = platform.start()
            wait_for(lambda: state(client) == "connected", 20, "the connection")
            log_before = len(platform.lines_about("plc"))
            device.kill()
            wait_for(lambda: state(client) == "waiting", 20, "the loss to be seen")
            quality = wait_for(lambda: bad(client), 20, "bad samples instead of a gap")
            assert quality, "a lost device gives bad samples"
            device.start()
            wait_for(lambda: state(client) == "connected", 60, "the connection to come back")
            before = samples(client)
            wait_for(lambda: samples(client) > before, 20, "values to flow again")
            assert len(platform.lines_about("plc")) - log_before <= 2, platform.log.read_text()
            assert platform.stop() == 0


def state(client: Client) -> str:
    return str(client.get("/connections")[0]["state"])


def bad(client: Client) -> bool:
    return all(code & 0x8000_0000 for code in client.get("/latest", path=COUNTERS)["quality"])


def test_the_platform_stops_in_order(tmp_path: Path) -> None:
    platform: PlatformProcess
    with platform_process(tmp_path / "home") as platform:
        platform.start()
        assert platform.stop() == 0
        assert not (tmp_path / "home" / "run" / "server.json").exists()
        assert not (tmp_path / "home" / "run" / "local.token").exists()
        assert "Traceback" not in platform.log.read_text()
