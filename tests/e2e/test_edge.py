"""A hub and an edge as a plant runs them: invited, enrolled, told what to run, killed; and a setpoint through both."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.connect.outlets.ports import free_port
from tests.e2e.edge_process import edge_process
from tests.e2e.modbus_device import DeviceProcess
from tests.e2e.platform_process import headrace, platform_process, wait_for
from tests.properties import drawn_seed
from tests.services import require_service

from headrace.cli.client import Client
from headrace.model.time import parse_time_ns

COUNTERS = [f"acme/cell/counter-{number}" for number in range(4)]
SETPOINT = "acme/cell/setpoint"


def declaration(port: int) -> str:
    points = "\n".join(
        f"  {path}: {{type: int64, interval: 50ms, connection: plc, "
        f"address: {{table: holding, address: {2 * number}, encoding: uint32}}}}"
        for number, path in enumerate(COUNTERS)
    )
    return (
        f"connections:\n  plc: {{driver: modbus, edge: line, settings: {{host: 127.0.0.1, port: {port}, unit: 1}}}}\n"
        f"assets:\n  acme: {{level: enterprise}}\n  acme/cell: {{level: cell}}\npoints:\n{points}\n"
        f"  {SETPOINT}: {{type: int64, access: read-write, interval: 100ms, connection: plc, "
        f"address: {{table: holding, address: 200, encoding: uint32}}}}\n"
        f"alarms:\n  {COUNTERS[0]}:counts: {{condition: high, limit: 5}}\n"
    )


def rows(client: Client, path: str) -> dict[int, Any]:
    page = client.get("/history/raw", path=path, start="now-1h", end="now", limit=50_000)
    assert page["next_cursor"] is None
    times = [parse_time_ns(text) for text in page["time"]]
    assert len(set(times)) == len(times), f"duplicates in {path}"
    return dict(zip(times, page["values"], strict=True))


@pytest.mark.timeout(300)
def test_an_edge_brings_its_machines_to_the_hub_through_every_end(tmp_path: Path) -> None:
    through_every_end(tmp_path, rounds=1)


@pytest.mark.soak
def test_ten_times_through_every_end(tmp_path: Path) -> None:
    through_every_end(tmp_path, rounds=10)


def through_every_end(tmp_path: Path, rounds: int) -> None:
    seed = drawn_seed()
    rng = random.Random(seed)
    plant = tmp_path / "plant"
    plant.mkdir()
    with (
        DeviceProcess() as device,
        platform_process(tmp_path / "hub", "--listen-edges", "127.0.0.1:0", "-f", str(plant), role="hub") as hub,
    ):
        (plant / "plant.yaml").write_text(declaration(device.port))
        client = hub.start()
        where = json.loads((hub.home / "run" / "server.json").read_text())["edges"]
        hub.options = ("--listen-edges", where)
        made = headrace("edges", "token", "line", "--prefix", "acme/cell", "--home", str(hub.home), "--json")
        token = json.loads(made.stdout)["token"]
        with edge_process(tmp_path / "edge", where) as edge:
            edge.start("--token", token)
            edge.wait("points", 5)
            edge.wait("connected", True)
            wait_for(lambda: len(rows(client, COUNTERS[0])) > 20, 30, "samples of the edge", edge.why)

            answer = client.post("/writes", {"path": SETPOINT, "value": 4711, "reason": "a test of the way down"})
            assert (answer["state"], answer["read_back"]) == ("confirmed", 4711), str(answer)
            (alarm,) = [a for a in client.get("/alarms")["alarms"] if a["rule"].endswith(":counts")]
            assert alarm["state"] == "unack-active"
            (shown,) = client.get("/edges")["edges"]
            assert shown["actual"]["revision"] == shown["desired"] and not shown["actual"]["error"]

            kept: dict[int, Any] = {}
            for _ in range(rounds):
                hub.kill()
                wait_for(lambda: edge.status().get("pending_samples", 0) > 50, 30, "samples in the spool", edge.why)
                if rng.random() < 0.5:
                    edge.kill()
                    edge.start()
                client = hub.start()
                edge.wait("connected", True)
                now = rows(client, COUNTERS[0])
                assert kept.items() <= now.items(), f"seed {seed}"
                kept = now
                edge.kill()
                edge.start()
                edge.wait("connected", True)
            edge.wait("pending_samples", 0)
            times = sorted(rows(client, COUNTERS[0]))
            assert kept.keys() < set(times), f"seed {seed}"
            assert edge.status()["dropped"] == 0
            assert edge.stop() == 0

            headrace("edges", "revoke", "line", "--home", str(hub.home))
            edge.start()
            wait_for(lambda: "revoked" in edge.log.read_text(), 30, "the edge to be kept out", edge.why)
        assert hub.stop() == 0


@pytest.mark.service("mosquitto_pub")
@pytest.mark.timeout(300)
@pytest.mark.clause("62443-3-3 SR 5.1 RE 2", "62443-3-3 SR 5.2 RE 2")
def test_a_device_gets_in_at_an_edge_with_and_without_the_hub(tmp_path: Path) -> None:
    """With another vendor's client; and whoever is blocked on the hub is closed on the edge."""
    program = shutil.which("mosquitto_pub")
    require_service("mosquitto_pub", program is not None, "apt-get install mosquitto-clients")
    port = free_port()
    plant = tmp_path / "plant"
    plant.mkdir()
    (plant / "plant.yaml").write_text(
        f'connections:\n  gate: {{driver: gateway, edge: line, settings: {{listen: "127.0.0.1:{port}", '
        "payload: {kind: raw}}}\nassets:\n  acme: {level: enterprise}\n  acme/cell: {level: cell}\n"
        "points:\n  acme/cell/power: {connection: gate, address: {device: m-1, topic: cell/m-1/power}}\n"
    )

    def publish(secret: str, value: str) -> bool:
        arguments = ["-p", str(port), "-i", "m-1", "-u", "m-1", "-P", secret, "-t", "cell/m-1/power", "-m", value]
        return subprocess.run([str(program), *arguments, "-q", "1"], capture_output=True, timeout=60).returncode == 0

    with platform_process(tmp_path / "hub", "--listen-edges", "127.0.0.1:0", "-f", str(plant), role="hub") as hub:
        client = hub.start()
        where = json.loads((hub.home / "run" / "server.json").read_text())["edges"]
        hub.options = ("--listen-edges", where)
        home = ("--home", str(hub.home))
        made = headrace("device", "add", "m-1", "--asset", "acme/cell", "--publish", "cell/{device}/#", *home)
        secret = made.stdout.strip()
        assert secret, made.stderr
        token = json.loads(headrace("edges", "token", "line", "--prefix", "acme/cell", *home, "--json").stdout)["token"]
        with edge_process(tmp_path / "edge", where) as edge:
            edge.start("--token", token)
            edge.wait("points", 1)
            wait_for(lambda: publish(secret, "1.5"), 30, "the device to be let in", edge.why)
            assert not publish("a guess", "9")
            wait_for(lambda: 1.5 in rows(client, "acme/cell/power").values(), 30, "its sample on the hub", edge.why)

            def counts() -> Any:
                return client.get("/edges")["edges"][0]["actual"]["facts"]["devices"]

            wait_for(lambda: counts()["turned_away"] == 1 and counts()["known"] == 1, 30, "its counts", edge.why)

            hub.kill()
            edge.kill()
            edge.start()
            wait_for(lambda: publish(secret, "2.5"), 30, "the device to be let in without the hub", edge.why)
            client = hub.start()
            edge.wait("connected", True)
            wait_for(lambda: 2.5 in rows(client, "acme/cell/power").values(), 30, "its sample on the hub", edge.why)
            client.post("/devices/m-1/block", {})
            wait_for(lambda: not publish(secret, "3.5"), 30, "the device to be kept out", edge.why)
            assert edge.stop() == 0
        assert hub.stop() == 0


def test_an_edge_without_a_token_says_what_to_do(tmp_path: Path) -> None:
    done = headrace("edge", "--hub", "127.0.0.1:1", "--home", str(tmp_path / "edge"), "--for", "1")
    assert done.returncode == 1 and "make a token there" in done.stderr
    done = headrace("edge", "--hub", "nonsense", "--home", str(tmp_path / "edge"))
    assert done.returncode == 1 and "HOST:PORT" in done.stderr
