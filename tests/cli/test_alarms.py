"""Alarms from the command line against a running platform: from a sample that raises one to the figures of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.shell import headrace
from tests.e2e.platform_process import PlatformProcess, platform_process, wait_for

from headrace.cli.client import Client, connect

OIL, FLOW = "acme/press/oil", "acme/press/flow"
HOT, LOW = f"{OIL}:hot", f"{FLOW}:low"
PLANT = f"""\
alarm_classes: {{trip: {{latched: true, comment: true, shelve_longest: 1h, priority: high}}}}
assets: {{acme: {{level: site, feeds: []}}, acme/press: {{}}}}
points:
  {OIL}: {{unit: Cel, range: [0, 120]}}
  {FLOW}: {{range: [0, 100]}}
  acme/press/stopped: {{type: bool}}
alarms:
  {HOT}: {{condition: high, limit: 60, class: trip, message: {{en: Oil hot}}, response: {{en: Open the cooler}}}}
  {LOW}: {{condition: low, limit: 10, suppressed_by: stopped}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "plant.yaml").write_text(PLANT, "utf-8")
    with platform_process(folder / "home", "-f", str(folder / "plant.yaml")) as platform:
        platform.start()
        yield platform


@pytest.fixture
def home(site: PlatformProcess) -> Path:
    return site.home


def send(client: Client, path: str, value: Any) -> None:
    answer = client.http.post("/ingest/json", json={"path": path, "value": value})
    assert answer.status_code < 300, answer.text


def states(home: Path) -> dict[str, str]:
    return {one["rule"]: one["state"] for one in connect(home, None).get("/alarms")["alarms"]}


def test_the_master_alarm_database_goes_out_and_in(home: Path, tmp_path: Path) -> None:
    sheet = tmp_path / "alarms.csv"
    assert headrace("alarms", "export", sheet, "--home", home).status == 0
    sheet.write_bytes(sheet.read_bytes().replace(b"Open the cooler", b"Open the cooler and call Li"))
    assert headrace("alarms", "import", sheet, "-f", tmp_path / "plant").status == 0
    assert "and call Li" in (tmp_path / "plant" / "alarms.yaml").read_text("utf-8")
    sheet.write_bytes(sheet.read_bytes().replace(b",high,60,", b",hihg,60,"))
    refused = headrace("alarms", "import", sheet, "-f", tmp_path / "plant")
    assert refused.status == 1 and "alarms.csv:" in refused.err and "high" in refused.err


def test_from_a_sample_to_the_figures(home: Path) -> None:
    client = connect(home, None)
    assert headrace("alarms", "list", "--home", home).out.strip() == "no alarms"
    send(client, "acme/press/stopped", True)
    send(client, FLOW, 5.0)
    send(client, OIL, 80.0)
    wait_for(lambda: states(home) == {HOT: "unack-active", LOW: "suppressed"}, 20, "alarms")

    refused = headrace("alarms", "ack", HOT, "--home", home)
    assert refused.status == 1 and "takes a comment" in refused.err
    too_long = headrace("alarms", "shelve", HOT, "-r", "sensor", "--for", "2h", "--home", home)
    assert too_long.status == 1 and "at most 1h" in too_long.err
    assert "ack-active" in headrace("alarms", "ack", HOT, "-c", "on my way", "--home", home).out
    assert headrace("alarms", "shelve", HOT, "-r", "sensor", "--for", "30m", "--home", home).status == 0
    shown = headrace("alarms", "list", "acme/press", "--folded", "--home", home).out
    assert "shelved, active" in shown and "sensor" in shown
    assert "unack-active" in headrace("alarms", "unshelve", HOT, "--home", home).out

    send(client, OIL, 20.0)
    wait_for(lambda: states(home)[HOT] == "latched-unack", 20, "the latch")
    headrace("alarms", "ack", HOT, "-c", "cooled down", "--home", home)
    assert "normal" in headrace("alarms", "reset", HOT, "--home", home).out
    assert "nothing to do" in headrace("alarms", "reset", HOT, "--home", home).out

    assert headrace("alarms", "remove", LOW, "-r", "overhaul", "--home", home).status == 0
    send(client, "acme/press/stopped", False)
    assert states(home) == {LOW: "out-of-service"}
    assert headrace("alarms", "return", LOW, "--home", home).status == 0
    wait_for(lambda: states(home) == {LOW: "unack-active"}, 20, "what holds beneath")

    figures = headrace("alarms", "kpis", "--operators", "2", "--home", home)
    assert figures.status == 0 and "annunciated" in figures.out
    told = headrace("alarms", "kpis", "acme", "--home", home, "--json").json
    assert (told["annunciated"], told["shelved"], told["out_of_service"], told["suppressed"]) == (3, 1, 1, 1)
    assert told["acknowledged"]["count"] == 2
    actions = [one["action"] for one in client.get("/audit", limit=50)["entries"]]
    for action in ("acknowledge", "shelve", "unshelve", "reset", "remove", "return"):
        assert f"alarm.{action}" in actions
