"""The same platform on PostgreSQL, by URL alone: declarations, accounts, commands; and again after a kill."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.modbus_device import DeviceProcess
from tests.e2e.platform_process import platform_process, wait_for
from tests.postgres import postgres_server

PLANT = """
connections: {{plc: {{driver: modbus, settings: {{host: 127.0.0.1, port: {port}}}}}}}
assets: {{a: {{level: site}}}}
points:
  a/count:
    {{type: int64, interval: 100ms, connection: plc, address: {{table: holding, address: 0, encoding: uint32}}}}
  a/set:
    type: int64
    access: read-write
    range: [0, 1000]
    connection: plc
    address: {{table: holding, address: 1000}}
"""


def test_it_runs_and_comes_back_on_postgresql(tmp_path: Path) -> None:
    url = postgres_server().fresh_database()
    plant = tmp_path / "plant.yaml"
    with DeviceProcess() as device:
        plant.write_text(PLANT.format(port=device.port))
        with platform_process(tmp_path / "home", "--database", url, "-f", str(plant)) as first:
            client = first.start()
            wait_for(lambda: client.get("/latest", path=["a/set"])["quality"] == [0], 20, "a good value")
            command = client.post("/writes", {"path": "a/set", "value": 7, "reason": "trial"})
            assert command["state"] == "confirmed", command
            first.kill()
        assert not (tmp_path / "home" / "database.db").exists()
        with platform_process(tmp_path / "home", "--database", url) as second:
            client = second.start()
            assert [one["state"] for one in client.get("/writes", path="a/set")] == ["confirmed"]
            assert client.get("/system")["revision"] == 1
            wait_for(lambda: client.get("/latest", path=["a/set"])["values"] == [7], 20, "the setpoint again")
            assert second.stop() == 0
