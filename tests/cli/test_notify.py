"""Notifications from the command line against a running platform."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.shell import headrace
from tests.e2e.platform_process import PlatformProcess, platform_process

PLANT = """\
assets: {acme: {level: site}}
points: {acme/oil: {unit: Cel}}
alarms: {acme/oil:hot: {condition: high, limit: 60}}
channels:
  mail: {kind: email, settings: {host: 127.0.0.1, port: 9, tls: none, from: headrace@acme.example}}
contacts:
  li: {name: 李明, addresses: {email: li@acme.example}}
rosters:
  leaders: {time_zone: UTC, shifts: {always: {from: "00:00", to: "00:00", people: [li]}}}
notifications:
  all: {time_zone: UTC, steps: [{rosters: [leaders], channels: [mail]}]}
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


def test_who_is_on_call(home: Path) -> None:
    told = headrace("notify", "on-call", "--home", str(home))
    assert told.status == 0 and "李明 (li@acme.example)" in told.out, told
    then = headrace("notify", "on-call", "--at", "2027-02-15T23:00:00+08:00", "--home", str(home), "--json")
    assert '"began_on":"2027-02-15"' in then.out


def test_a_test_that_fails_says_why_and_is_in_the_log(home: Path) -> None:
    done = headrace("notify", "test", "mail", "li", "--home", str(home))
    assert done.status == 1 and "'mail' did not take it" in done.err, done
    log = headrace("notify", "log", "--home", str(home), "--json")
    assert '"kind":"test"' in log.out and '"state":"failed"' in log.out, log
    assert headrace("notify", "log", "acme/oil:hot", "--home", str(home)).out.strip() == "nothing told"
