"""The plant as a process: what `headrace plant` starts and talks to."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.model.errors import ConfigError, Unavailable
from headrace_plants.control import ControlServer, request
from headrace_plants.simulation import Simulation

PLANT = Simulation(scenario="quiet")
ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT / "plants")))}


class Plant:
    def __init__(self, folder: Path, *extra: str) -> None:
        self.socket, self.ledger = folder / "plant.sock", folder / "truth.jsonl"
        command = [sys.executable, "-m", "headrace_plants", "run", "--any-port", "--control", str(self.socket)]
        self.process = subprocess.Popen(
            [*command, "--ledger", str(self.ledger), "--interval", "0.2", *extra],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.ready: dict[str, Any] = json.loads(self.process.stdout.readline() or "{}")

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self.process.communicate()
        return code


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    running = Plant(tmp_path)
    yield running
    if running.process.poll() is None:
        running.stop()


def test_a_plant_says_when_it_is_ready_takes_faults_and_stops_cleanly(plant: Plant) -> None:
    assert plant.ready["ready"] is True
    assert len(plant.ready["ports"]) == 6 and all(plant.ready["ports"].values())
    assert plant.ready["control"] == str(plant.socket)
    assert plant.socket.stat().st_mode & 0o777 == 0o600

    answer = request({"command": "fault", "text": "press-2:leak,severity=0.5"}, plant.socket)
    assert answer["fault"]["target"] == "press-2"
    while "press-2" not in str(request({"command": "list"}, plant.socket)):
        assert plant.process.poll() is None
    assert request({"command": "status"}, plant.socket)["seed"] == 1
    assert request({"command": "clear", "target": "press-2", "kind": "leak"}, plant.socket)["cleared"] == 1
    for wrong in ({"command": "fault", "text": "press-7:leak"}, {"command": "dance"}, {}):
        with pytest.raises(ConfigError):
            request(wrong, plant.socket)

    assert plant.stop() == 0
    assert not plant.socket.exists()
    events = [json.loads(line) for line in plant.ledger.read_text(encoding="utf-8").splitlines()]
    assert {"plant.start", "order.start", "fault.start", "fault.stop"} <= {event["event"] for event in events}
    with pytest.raises(Unavailable):
        request({"command": "status"}, plant.socket)


async def test_a_dead_plant_s_socket_is_replaced_a_living_one_s_is_not(tmp_path: Path) -> None:
    plant, path = Simulation(scenario="quiet"), tmp_path / "plant.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    living = ControlServer(plant, path)
    await living.start()
    try:
        assert (await asyncio.to_thread(request, {"command": "status"}, path))["ok"] is True
        with pytest.raises(Unavailable):
            await ControlServer(plant, path).start()
    finally:
        await living.stop()
    path.write_text("mine")
    with pytest.raises(ConfigError):
        await ControlServer(plant, path).start()
    assert path.read_text() == "mine"


@given(st.binary(max_size=200))
def test_any_line_gets_an_answer(line: bytes) -> None:
    answer = ControlServer(PLANT, Path("nowhere")).answer(line)
    assert answer["ok"] or answer["error"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run", "--fault", "press-9:leak"], "no machine 'press-9'"),
        (["run", "--port", "nobody=1"], "--port nobody=1"),
        (["run", "--speed", "0"], "--speed"),
        (["replay", "/nowhere/file.csv", "--exit"], "No such file"),
    ],
)
def test_wrong_options_end_with_one_clear_line(arguments: list[str], says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "headrace_plants", *arguments],
        capture_output=True,
        text=True,
        env=ENVIRONMENT,
        timeout=60,
    )
    assert done.returncode == 2
    assert says in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_declare_writes_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "plant"
    command = [sys.executable, "-m", "headrace_plants", "declare", str(folder)]
    assert subprocess.run(command, env=ENVIRONMENT, timeout=60).returncode == 0
    assert {"connections.yaml", "assets.yaml", "hydraulic-press.yaml"} <= {path.name for path in folder.iterdir()}
