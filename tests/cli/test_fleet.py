"""`headrace device` and `headrace edges` against a running platform, and what the doctor makes of it."""

from __future__ import annotations

import csv
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.shell import headrace, refused
from tests.e2e.platform_process import PlatformProcess, platform_process

from headrace.cli.doctor_fleet import certificate_findings, device_certificate_findings, fleet_findings
from headrace.model.time import DAY_NS, format_time

PLANT = """\
types: {meter: {parameters: {base: 0}, points: {energy: {unit: kW.h, address: {table: input, address: "{base}"}}}}}
connections:
  gate: {driver: modbus, settings: {host: 127.0.0.1, port: 9}, enabled: false}
  far: {driver: modbus, settings: {host: 192.0.2.1}, edge: wuxi}
assets: {acme: {level: site}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    folder = tmp_path_factory.mktemp("fleet")
    (folder / "plant.yaml").write_text(PLANT, "utf-8")
    with platform_process(folder / "home", "-f", str(folder / "plant.yaml")) as platform:
        platform.start()
        yield platform


@pytest.fixture
def home(site: PlatformProcess) -> Path:
    return site.home


def test_a_device_from_its_first_day_to_its_last(home: Path) -> None:
    said = headrace("device", "add", "press-7", "--publish", "a/{device}/#", "--note", "hall 2", "--home", home)
    assert said.status == 0 and said.out.strip().startswith("hrd_")
    assert "is in use" in refused("device", "add", "press-7", "--home", home)
    said = headrace("device", "rotate", "press-7", "--at-once", "--home", home)
    assert said.status == 0 and said.out.strip().startswith("hrd_")
    assert headrace("device", "rename", "press-7", "big", "--home", home).status == 0
    assert headrace("device", "block", "big", "--home", home).status == 0
    shown = headrace("device", "show", "big", "--home", home, "--json").json["device"]
    assert (shown["state"], shown["login"], shown["publish"]) == ("blocked", "press-7", ["a/{device}/#"])
    asset = ("--asset", "acme/big", "--type", "meter", "--connection", "gate", "--parameter", "base=4")
    assert headrace("device", "approve", "big", *asset, "--home", home).status == 0
    assert headrace("points", "list", "acme/big", "--home", home, "--json").json["total"] == 1
    said = headrace("device", "list", "--home", home)
    assert "big" in said.out and "acme/big" in said.out
    assert headrace("device", "remove", "big", "--home", home).status == 0
    assert "there is no device 'big'" in refused("device", "show", "big", "--home", home)


def test_thousands_come_from_a_table_and_their_secrets_are_their_owners_alone(home: Path, tmp_path: Path) -> None:
    table, secrets = tmp_path / "devices.csv", tmp_path / "secrets.csv"
    table.write_text("name,note\nm-1,hall 2\nm/2,\nm-3,\n")
    said = headrace("device", "import", table, "-o", secrets, "--home", home)
    assert said.status == 1 and "devices.csv, row 3: 'm/2' is no name" in said.err
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o600
    assert [row["name"] for row in csv.DictReader(secrets.open())] == ["m-1", "m-3"]
    assert "exists; secrets are not written over" in refused("device", "import", table, "-o", secrets, "--home", home)
    table.write_text("name\nm-4\n")
    said = headrace("device", "import", table, "--home", home)
    assert said.status == 0 and said.out.startswith("name,secret\nm-4,hrd_")
    assert headrace("device", "list", "-q", "hall", "--home", home, "--json").json["total"] == 1


def test_options_that_do_not_go_together(home: Path) -> None:
    assert "--asset needs --type" in refused("device", "approve", "m-1", "--asset", "acme/x", "--home", home)
    assert "belong to --asset" in refused("device", "approve", "m-1", "--type", "x", "--home", home)
    assert "cannot read 'no.pem'" in refused("device", "add", "x", "--certificate", "no.pem", "--home", home)


def test_an_edge_is_invited_and_taken_back(home: Path) -> None:
    said = headrace("edges", "token", "suzhou", "--prefix", "acme/suzhou", "--valid", "10m", "--home", home)
    assert said.status == 0 and said.out.startswith("hre_") and "headrace edge --hub" in said.err
    said = headrace("edges", "list", "--home", home)
    assert "suzhou" in said.out and "invited" in said.out and "'wuxi', which nobody invited" in said.err
    assert headrace("edges", "show", "suzhou", "--home", home, "--json").json["prefix"] == "acme/suzhou"
    assert headrace("edges", "revoke", "suzhou", "--home", home).status == 0
    assert headrace("edges", "remove", "suzhou", "--home", home).status == 0
    assert headrace("edges", "list", "--home", home, "--json").json["edges"] == []
    assert "at least a minute" in refused("edges", "token", "x", "--prefix", "a", "--valid", "1s", "--home", home)


def test_the_doctor_looks_at_them(home: Path) -> None:
    said = headrace("doctor", "--home", home, "--json")
    found = {finding["check"]: finding["found"] for finding in said.json["findings"]}
    assert "runs nowhere" in found["far"]


# --- what the doctor says, case by case -------------------------------------------------------------------------------


def edge(**said: Any) -> dict[str, Any]:
    soon = format_time(time.time_ns() + 300 * DAY_NS)
    return {
        "name": "suzhou", "prefix": "acme/suzhou", "state": "enrolled", "connected": True, "last_contact_at": None,
        "token_ends_at": None, "certificate_ends_at": soon, "desired": 3, "points": 7, "left_out": [],
        "actual": {"revision": 3, "error": ""}, "link": None, **said,
    }  # fmt: skip


LINK = {"latency_ms": 12.0, "spool_used": 0.0, "backlog_s": 0.0, "backlog_samples": 0, "dropped_samples": 0}
COUNTS = {"approved": 0, "quarantined": 0, "blocked": 0, "online": 0}


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (edge(link=LINK), "connected, 7 points, 12 ms"),
        (edge(connected=False), "is not connected; last contact never"),
        (edge(certificate_ends_at=format_time(time.time_ns() + 5 * DAY_NS)), "ends in 5 days"),
        (edge(actual={"revision": 2, "error": "no driver"}), "could not become revision 3: no driver"),
        (edge(actual={"revision": 2, "error": ""}), "should run revision 3 and runs revision 2"),
        (edge(actual=None), "runs nothing yet"),
        (edge(left_out=["acme/far"]), "1 points of its connections are left out, first 'acme/far'"),
        (edge(link={**LINK, "spool_used": 0.9}), "90 % full"),
        (edge(link={**LINK, "backlog_s": 90.0, "backlog_samples": 5}), "5 samples wait there"),
        (edge(link={**LINK, "dropped_samples": 5}), "5 samples were dropped"),
        (edge(state="revoked"), "revoked"),
        (edge(state="invited", token_ends_at=format_time(1)), "its token has expired"),
        (edge(state="invited", token_ends_at=format_time(time.time_ns() + DAY_NS)), "invited"),
    ],
)
def test_what_is_wrong_with_an_edge(one: dict[str, Any], words: str) -> None:
    (finding,) = fleet_findings({"counts": COUNTS}, [], {"edges": [one], "strangers": {}})
    assert words in finding.found and finding.check == "edge suzhou"
    assert bool(finding.advice) == (finding.level == "warn")


def test_what_is_to_be_done_about_devices() -> None:
    counts = {"approved": 5, "quarantined": 2, "blocked": 1, "online": 4}
    refusal = {"login": "old-1", "peer": "192.0.2.7", "count": 9, "reason": "unknown"}
    found = fleet_findings({"counts": counts}, [refusal, refusal], {"edges": [], "strangers": {}})
    assert [finding.level for finding in found] == ["ok", "warn", "warn"]
    assert "'old-1' from 192.0.2.7, 9 times: unknown, and 1 others" in found[2].found
    assert fleet_findings({"counts": COUNTS}, [], {"edges": [], "strangers": {}}) == []


def certificate(kind: str, days: float, *, own: bool) -> dict[str, object]:
    return {"kind": kind, "own": own, "ends_at": format_time(time.time_ns() + int(days * 86_400e9))}


@pytest.mark.clause("62443-3-3 SR 1.8")
def test_the_doctor_warns_before_certificates_end() -> None:
    levels = {
        (kind, days, own): next(iter(certificate_findings([certificate(kind, days, own=own)]))).level
        for kind in ("console", "authority")
        for days in (-1, 10, 25, 60)
        for own in (True, False)
    }
    assert {days: levels["console", days, False] for days in (-1, 10, 25, 60)} == {
        -1: "fail", 10: "warn", 25: "warn", 60: "ok"
    }  # fmt: skip
    assert levels["console", 25, True] == "ok" and levels["authority", 10, True] == "warn"


@pytest.mark.clause("62443-3-3 SR 1.8")
def test_the_doctor_names_devices_whose_certificates_end() -> None:
    ending = [{"device": f"press-{at}", "state": "in use"} for at in range(7)] + [{"device": "old", "state": "ended"}]
    counts = {"good": 9, "ending": 7, "ended": 1, "revoked": 0}
    fine, soon, ended = device_certificate_findings({"counts": counts, "ending": ending})
    assert fine.level == "ok" and "press-0" in soon.found and "2 more" in soon.found and "old" in ended.found
    nothing = {"counts": dict.fromkeys(counts, 0), "ending": []}
    assert list(device_certificate_findings(nothing)) == []
