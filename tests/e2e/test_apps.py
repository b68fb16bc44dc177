"""An app in a platform as a user runs it: installed, asked, set, updated, rolled back, through kills."""

from __future__ import annotations

import datetime
import json
import sqlite3
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.platform_process import headrace, platform_process, wait_for

from headrace.cli.client import Client
from headrace.fleet.packages import Kind, Publisher, SigningKey, build, new_key
from headrace.model.errors import Conflict, DataError, HeadraceError

APPS = Path(__file__).parent / "apps"
PLANT = """
assets:
  acme: {level: enterprise}
  acme/cell: {level: cell}
  acme/other: {level: cell}
points:
  acme/cell/oil.temperature: {type: float64}
  acme/other/oil.temperature: {type: float64}
"""
TODAY = datetime.datetime.now(datetime.UTC).date()


def trusted(home: Path) -> SigningKey:
    key = new_key()
    folder = home / "keys" / "publishers"
    folder.mkdir(parents=True)
    for path in (home, home / "keys", folder):
        path.chmod(0o700)
    one = Publisher("Acme", key.public, frozenset({Kind.APP}), ("*",), TODAY + datetime.timedelta(days=30))
    (folder / "acme.pub").write_text(one.text())
    (folder / "acme.pub").chmod(0o644)
    return key


def package(tmp_path: Path, version: int, key: SigningKey) -> Path:
    import shutil

    folder = tmp_path / f"source-{version}"
    shutil.copytree(APPS / f"press-view-{version}", folder, dirs_exist_ok=True)
    made = tomllib.loads((folder / "manifest.toml").read_text())
    (folder / "package.toml").write_text(f'kind = "app"\nname = "{made["name"]}"\nversion = "{made["version"]}"\n')
    target = tmp_path / f"press-view-{version}.hrpkg"
    build(folder, target, [key], TODAY)
    return target


def serving(tmp_path: Path) -> tuple[Path, Path]:
    plant = tmp_path / "plant"
    plant.mkdir()
    (plant / "plant.yaml").write_text(PLANT)
    return tmp_path / "home", plant


def until_running(client: Client, version: str = "") -> Any:
    def looked() -> Any:
        one = client.get("/apps/press-view")
        return one if one["state"] == "running" and version in ("", one["version"]) else None

    def why() -> str:
        return f"{client.get('/apps/press-view')} {client.get('/apps/press-view/log')}"

    return wait_for(looked, 60, f"press-view {version} to run", why)


def rows(client: Client) -> list[Any]:
    answer: Any = wait_for(lambda: asked(client, "/apps/press-view/call/counts"), 60, "an answer of the app")
    return [row["n"] for row in answer["rows"]]


def asked(client: Client, route: str) -> Any:
    """None while it starts."""
    try:
        return client.get(route)
    except HeadraceError:
        return None


@pytest.mark.timeout(300)
def test_an_app_lives_through_all_that_happens_to_it(tmp_path: Path) -> None:
    home, plant = serving(tmp_path)
    key = trusted(home)
    first, second = package(tmp_path, 1, key), package(tmp_path, 2, key)
    with platform_process(home, "-f", str(plant)) as platform:
        client = platform.start()
        for made in (headrace("app", "install", str(first), "--home", str(home)),):
            assert made.returncode == 0, made.stderr
        with pytest.raises(HeadraceError, match="'limit' is not filled in"):
            client.post("/apps/press-view/enable", {"version": "1.0.0"})
        client.post("/apps/press-view/enable", {"version": "1.0.0", "settings": {"limit": 80, "key": "hush"}})
        until_running(client)

        assert client.post("/apps/press-view/call/counts", {"n": 5}) == {"key": "hush"}
        answer = client.get("/apps/press-view/call/counts")
        assert (answer["rows"], answer["says"]) == ([{"job_ns": 0, "n": 5}], "above 5")
        assert client.get("/apps/press-view/call/plant") == {"points": ["acme/cell/oil.temperature"]}
        with pytest.raises(DataError, match="'n' is missing"):
            client.post("/apps/press-view/call/counts", {})
        _nothing_of_an_app_is_run_by_a_browser(client)
        assert "started with limit 80" in headrace("app", "log", "press-view", "--home", str(home)).stdout

        platform.kill()
        client = platform.start()
        until_running(client)
        assert rows(client) == [5], "a row that was acknowledged"

        client.send_file("/apps/press-view/update", second.read_bytes())
        platform.kill()  # whatever it has done of that
        client = platform.start()
        until_running(client, "2.0.0")
        assert client.post("/apps/press-view/call/counts", {"n": 7}) == {"key": "hush"}
        assert rows(client) == [5, 7]

        with pytest.raises(Conflict, match=r"0002-shift\.sql"):
            client.post("/apps/press-view/rollback", {})
        said = headrace("app", "rollback", "press-view", "--restore-tables", "--why", "test", "--home", str(home))
        assert said.returncode == 0, said.stderr
        until_running(client, "1.0.0")
        assert rows(client) == [5]
        _all_of_it_is_exported(home, tmp_path)

        said = headrace("app", "disable", "press-view", "--delete-data", "--yes", "--home", str(home))
        assert said.returncode == 0, said.stderr
        assert client.get("/apps/press-view")["state"] == "available"
        assert not (home / "apps/press-view/data/default").exists()
        assert headrace("app", "uninstall", "press-view", "--yes", "--home", str(home)).returncode == 0
        assert client.get("/apps/shelf") == [one for one in client.get("/apps/shelf") if one["name"] != "press-view"]
        acts = [one["action"] for one in client.get("/audit", subject="press-view")["entries"]]
        assert {"app.install", "app.enable", "app.call", "app.update", "app.rollback", "app.export"} <= {*acts}
        assert platform.stop() == 0


def _nothing_of_an_app_is_run_by_a_browser(client: Client) -> None:
    page = client._request("GET", "/apps/press-view/call/html")
    assert page.headers["content-type"] == "application/octet-stream"
    assert page.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    wait_for(
        lambda: asked_bytes(client, "/apps/press-view/call/ticks"),
        30,
        "the job to run",
        lambda: str((client.get("/apps/press-view/health"), client.get("/apps/press-view/log"))),
    )
    ticks = client._request("GET", "/apps/press-view/call/ticks")
    assert ticks.headers["content-disposition"] == "attachment; filename=\"ticks.txt\"; filename*=UTF-8''ticks.txt"
    assert ticks.content.isdigit()


def asked_bytes(client: Client, route: str) -> bytes:
    try:
        return client.get_bytes(route)
    except HeadraceError:
        return b""


def _all_of_it_is_exported(home: Path, tmp_path: Path) -> None:
    target = tmp_path / "out.zip"
    said = headrace("app", "export", "press-view", "-o", str(target), "--home", str(home))
    assert said.returncode == 0, said.stderr
    with zipfile.ZipFile(target) as archive:
        names = archive.namelist()
        assert {"app.json", "tables.db", "documents/ticks.txt", "before/1.0.0.db", "before/2.0.0.left.db"} <= {*names}
        archive.extract("before/2.0.0.left.db", tmp_path)
    tables = sqlite3.connect(tmp_path / "before/2.0.0.left.db")
    assert tables.execute("SELECT n FROM counts ORDER BY n").fetchall() == [(5,), (7,)]
    tables.close()


@pytest.mark.timeout(120)
def test_a_folder_is_installed_by_who_owns_the_home_alone(tmp_path: Path) -> None:
    home, plant = serving(tmp_path)
    with platform_process(home, "-f", str(plant)) as platform:
        client = platform.start()
        folder = APPS / "press-view-1"
        away = headrace("app", "install", str(folder), "--home", str(tmp_path / "none"), "--server", client.url)
        assert away.returncode == 1 and "is not signed" in away.stderr
        said = headrace("app", "install", str(folder), "--home", str(home))
        assert said.returncode == 0, said.stderr
        said = headrace("app", "enable", "press-view", "--yes", "--set", "limit=80", "--home", str(home))
        assert said.returncode == 0, said.stderr
        until_running(client)
        (entry,) = client.get("/audit", action="app.install")["entries"]
        assert entry["data"]["unsigned"] and entry["data"]["source"] == str(folder.resolve())
        shown = headrace("app", "show", "press-view", "--home", str(home))
        assert "folder" in shown.stdout and "running" in shown.stdout
        _the_commands_speak_with_it(home)
        until_running(client, "2.0.0")
        assert platform.stop() == 0, "with an app that runs"


def _the_commands_speak_with_it(home: Path) -> None:
    def said(*words: str, status: int = 0) -> str:
        done = headrace("app", *words, "--home", str(home))
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    assert "press-view" in said("list") and "default" in said("list", "--all")
    assert "not within 0" in said("settings", "press-view", "--set", "limit=-1", status=1)
    assert "there is no setting 'limits'" in said("settings", "press-view", "--set", "limits=1", status=1)
    assert "70" in said("settings", "press-view", "--set", "limit=70", "--set", "key=hush")
    shown = json.loads(said("settings", "press-view", "--json"))
    assert (shown["values"], shown["secrets"]) == ({"limit": 70}, ["key"]) and "hush" not in str(shown)
    assert "is press-view, not other" in said("update", "other", str(APPS / "press-view-2"), status=1)
    assert "2.0.0 is offered; enabled for 1 of the tenants" in said("update", "press-view", str(APPS / "press-view-2"))
    assert "there is no app 'nobody'" in said("show", "nobody", status=1)
    assert not list((home / "run" / "apps").iterdir())


@pytest.mark.timeout(180)
def test_ours_run_where_they_are_taken_in(tmp_path: Path) -> None:
    home, plant = serving(tmp_path)
    with platform_process(home, "-f", str(plant)) as platform:
        client = platform.start()
        ours = {one["name"]: one for one in client.get("/apps")}
        assert {"energy", "operations", "outcomes"} <= ours.keys()
        assert {one["origin"] for one in ours.values()} == {"built-in"}
        for name, one in ours.items():
            client.post(f"/apps/{name}/enable", {"version": one["offered"]})
        for name in ours:
            wait_for(
                lambda name=name: client.get(f"/apps/{name}")["state"] == "running", 90, f"{name} to run",
                lambda name=name: str(client.get(f"/apps/{name}")),
            )  # fmt: skip
        with pytest.raises(Conflict, match="is built in"):
            client.delete("/apps/energy")
        assert platform.stop() == 0
