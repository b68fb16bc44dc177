"""The platform with its history in Apache IoTDB: values, trends, alarms; after a kill, and through an outage."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.modbus_device import DeviceProcess
from tests.e2e.platform_process import headrace, platform_process, wait_for
from tests.services import require_service
from tools import iotdb

PLANT = """
connections: {{plc: {{driver: modbus, settings: {{host: 127.0.0.1, port: {port}}}}}}}
assets: {{a: {{level: site}}}}
points:
  a/count:
    {{type: int64, interval: 100ms, connection: plc, address: {{table: holding, address: 0, encoding: uint32}}}}
alarms:
  a/count:high: {{condition: high, limit: 10, priority: high, message: {{en: Many}}}}
"""
DAY = {"path": ["a/count"], "start": "now-1d", "end": "now"}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[iotdb.Cluster]:
    require_service("Apache IoTDB", iotdb.jars() is not None, iotdb.HOW)
    with iotdb.Cluster(tmp_path / "cluster") as cluster:
        monkeypatch.setenv("HEADRACE_IOTDB_PASSWORD_FILE", str(cluster.directory / "password"))
        yield cluster


@pytest.mark.timeout(300)
def test_history_in_a_cluster_outlives_everybody(tmp_path: Path, cluster: iotdb.Cluster) -> None:
    plant, address = tmp_path / "plant.yaml", cluster.url("works")
    with DeviceProcess() as device:
        plant.write_text(PLANT.format(port=device.port))
        with platform_process(tmp_path / "home", "--history", address, "-f", str(plant)) as first:
            client = first.start()
            raised = wait_for(lambda: client.get("/alarms")["alarms"], 20, "the alarm")
            assert raised[0]["rule"] == "a/count:high"
            early = wait_for(lambda: client.get("/history/raw", **DAY)["values"], 20, "samples")
            first.kill()
        assert not (tmp_path / "home" / "history").exists()
        with platform_process(tmp_path / "home", "--history", address) as second:
            client = second.start()
            wait_for(lambda: len(client.get("/history/raw", **DAY)["values"]) > len(early) + 5, 20, "more samples")
            assert client.get("/history/raw", **DAY)["values"][: len(early)] == early
            buckets = client.get("/history/downsample", **DAY, width="1h", aggregate=["min", "max"])
            assert min(x for x in buckets["series"][0]["columns"]["min"] if x is not None) == min(early)
            cluster.kill(1)
            wait_for(lambda: second.lines_about("history takes no samples for now"), 60, "the outage to be told")
            cluster.restart(1)
            wait_for(lambda: second.lines_about("history takes samples again"), 60, "the end of the outage")
            values = client.get("/history/raw", **DAY, limit=50_000)["values"]
            assert values[: len(early)] == early and values == sorted(values)
            assert second.stop() == 0
    back = tmp_path / "back"
    copied = headrace("history", "migrate", "--from", address, "--to", str(back), "--json")
    assert copied.returncode == 0, copied.stderr
    assert '"points":1' in copied.stdout
