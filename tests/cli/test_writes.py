"""A critical write, its second person, and the lock, from the command line against a running platform."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.cli.shell import headrace
from tests.e2e.modbus_device import DeviceProcess
from tests.e2e.platform_process import PlatformProcess, platform_process, wait_for

from headrace.cli.client import connect

FORCE, RUNNING, OTHER = "acme/press/force", "acme/press/running", "acme/press/other"


def declaration(port: int) -> str:
    return f"""\
connections: {{plc: {{driver: modbus, settings: {{host: 127.0.0.1, port: {port}}}}}}}
assets: {{acme: {{level: site}}, acme/press: {{}}}}
points:
  {RUNNING}: {{type: bool, access: read-write, interval: 100ms, connection: plc, address: {{table: coil, address: 0}}}}
  {OTHER}: {{range: [0, 100], access: read-write, interval: 100ms, connection: plc,
             address: {{table: holding, address: 400, encoding: float32}}}}
  {FORCE}: {{unit: kN, range: [0, 100], access: read-write, interval: 100ms, connection: plc, critical: true,
             limits: {{step: 20}}, interlocks: [{{point: running, is: false, text: {{en: stop the press first}}}}],
             address: {{table: holding, address: 300, encoding: float32}}}}
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PlatformProcess]:
    folder = tmp_path_factory.mktemp("site")
    with DeviceProcess() as device:
        (folder / "plant.yaml").write_text(declaration(device.port), "utf-8")
        with platform_process(folder / "home", "-f", str(folder / "plant.yaml")) as platform:
            client = platform.start()
            wait_for(lambda: client.get("/latest", path=[FORCE, RUNNING])["quality"] == [0] * 2, 20, "values")
            yield platform


@pytest.fixture
def home(site: PlatformProcess) -> Path:
    return site.home


@pytest.fixture
def second(home: Path) -> dict[str, str]:
    """The environment of another person's command: a token that she made after her first sign-in."""
    local = connect(home, None)
    made = local.post("/users", {"name": "li", "role": "owner"})
    password = "a long enough sentence of words"
    with httpx.Client(base_url=f"{local.url}/api/v1", headers={"X-Headrace": "1"}, trust_env=False) as browser:
        browser.post("/session", json={"user": "li", "password": made["one_time_password"]}).raise_for_status()
        change = {"old": made["one_time_password"], "new": password}
        browser.post("/session/password", json=change).raise_for_status()
        token = browser.post("/tokens", json={"name": "li-phone", "role": "owner"}).raise_for_status()
    return {"HEADRACE_TOKEN": token.json()["secret"], "HEADRACE_URL": local.url}


@pytest.mark.clause("62443-3-3 SR 2.1 RE 4")
def test_a_critical_write_from_two_command_lines(home: Path, second: dict[str, str]) -> None:
    said = headrace("write", FORCE, "15", "-r", "new tool", "--no-wait", "--home", home, "--json")
    assert (said.status, said.json["state"]) == (0, "awaiting-approval")
    id = said.json["id"]
    assert id[:8] in headrace("writes", "--waiting", "--home", home).out
    refused = headrace("approve", id[:8], "--home", home)
    assert refused.status == 1 and "nobody in particular" in refused.err
    done = headrace("approve", id[:8], "-r", "looked at the tool", **second)
    assert done.status == 0, done.err
    assert f"confirmed: {FORCE} is 15.0" in done.out
    late = headrace("reject", id, "-r", "no", **second)
    assert late.status == 1 and "waits no more; it is confirmed" in late.err
    again = ("write", FORCE, "30", "-r", "more", "--no-wait", "--home", home, "--json")
    wait_for(lambda: headrace(*again).json["state"] == "awaiting-approval", 10, "the next write of this point")
    (waiting,) = headrace("writes", "--waiting", "--home", home, "--json").json
    assert "withdrawn by" in headrace("withdraw", waiting["id"], "--home", home).out


def test_what_does_not_fit_is_refused_in_plain_words(home: Path) -> None:
    far = headrace("write", FORCE, "99", "-r", "test", "--home", home)
    assert far.status == 1 and "at most 20 kN at once" in far.err
    assert headrace("write", RUNNING, "on", "-r", "test", "--home", home).status == 0
    blocked = headrace("write", FORCE, "16", "-r", "test", "--home", home)
    assert blocked.status == 1 and "interlock: stop the press first" in blocked.err
    off = ("write", RUNNING, "off", "-r", "test", "--home", home)
    wait_for(lambda: headrace(*off).status == 0, 10, "the next write of this point")


@pytest.mark.clause("62443-3-3 SR 2.1")
def test_lock_and_unlock(home: Path) -> None:
    locked = headrace("lock", "acme/press", "-r", "hand in the die", "--home", home)
    assert locked.status == 0 and "locked: acme/press" in locked.out
    refused = headrace("write", OTHER, "5", "-r", "test", "--home", home)
    assert refused.status == 1 and "locked by" in refused.err and "hand in the die" in refused.err
    assert "hand in the die" in headrace("locks", "--home", home).out
    (lock,) = headrace("locks", "--home", home, "--json").json
    assert headrace("unlock", "zz", "-r", "out", "--home", home).status == 1
    assert "released: acme/press" in headrace("unlock", lock["id"][:8], "-r", "out", "--home", home).out
    assert headrace("write", OTHER, "5", "-r", "test", "--home", home).status == 0
