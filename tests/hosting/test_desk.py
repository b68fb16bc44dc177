"""Apps installed, taken in, updated, rolled back and gone: real files and signatures, played processes."""

from __future__ import annotations

import asyncio
import sqlite3
import zipfile
from pathlib import Path
from typing import Any

import pytest
from tests.hosting.house import OWNER, Everybody, House, sql, write_app

from headrace.fleet.packages import new_key
from headrace.hosting.documents import AppDocuments
from headrace.hosting.releases import built_in, packed, read_folder
from headrace.model.areas import Area
from headrace.model.errors import AccessError, ConfigErrors, Conflict, DataError, NotFound, Unavailable
from headrace.sdk.access import Action, Principal
from headrace.sdk.app_desk import AppOrigin, AppState, BackTables, KeptData
from headrace.sdk.apps import Request

TABLE = "CREATE TABLE counts (at INTEGER, n INTEGER)"
COLUMN = "ALTER TABLE counts ADD COLUMN shift TEXT"
READS = '[permissions]\nread = ["acme/**/oil.temperature"]\ntables_mb = 10\n'
READS_MORE = '[permissions]\nread = ["acme/**/oil.temperature"]\nhosts = ["api.acme.com:443"]\ntables_mb = 10\n'
SETTINGS = """
[settings.limit]
kind = "number"
low = 0
[settings.key]
kind = "secret"
optional = true
"""


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path / "home")


async def taken_in(house: House, folder: Path, **settings: Any) -> None:
    made = await house.desk.install(OWNER, house.package(folder))
    await house.desk.enable(OWNER, made.name, made.offered, settings or None)
    await asyncio.sleep(0)


# --- installing ------------------------------------------------------------------------------------------------------


async def test_what_is_signed_is_installed_and_runs_where_it_is_taken_in(house: House, tmp_path: Path) -> None:
    made = await house.desk.install(OWNER, house.package(write_app(tmp_path, more=READS)))
    assert (made.name, made.offered, made.tenants) == ("press-view", "1.0.0", 0)
    assert made.versions[0].signers == ("Acme",)
    assert (await house.desk.app(OWNER, "press-view")).state is AppState.AVAILABLE
    assert not house.played, "nothing of it runs before a tenant says so"

    app = await house.desk.enable(OWNER, "press-view", "1.0.0")
    assert (app.state, app.version, app.by) == (AppState.RUNNING, "1.0.0", "olga")
    assert house.played[-1].wanted.grants.read == ("acme/**/oil.temperature",)
    data = house.trail.last("app.install")
    assert data["signers"] == ["Acme"] and data["sha256"] == made.versions[0].sha256


async def test_a_strangers_signature_opens_nothing(house: House, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not trusted here"):
        await house.desk.install(OWNER, house.package(write_app(tmp_path), new_key()))
    assert not await house.desk.shelf()


async def test_each_flipped_byte_is_noticed(house: House, tmp_path: Path) -> None:
    data = house.package(write_app(tmp_path))
    for at in range(0, len(data), 37):
        with pytest.raises(DataError):
            await house.desk.install(OWNER, data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    assert not await house.desk.shelf()


async def test_the_app_in_a_package_is_the_one_that_was_signed_for(house: House, tmp_path: Path) -> None:
    folder = write_app(tmp_path)
    package = house.package(folder)
    (folder / "manifest.toml").write_text((folder / "manifest.toml").read_text().replace("1.0.0", "1.0.1"))
    assert package != house.package(folder)
    text = 'kind = "app"\nname = "press-view"\nversion = "1.0.0"\n'
    (folder / "package.toml").write_text(text)
    from headrace.fleet.packages import build

    target = tmp_path / "lying.hrpkg"
    build(folder, target, [house.key], __import__("datetime").date(2026, 5, 28))
    with pytest.raises(DataError, match=r"the package is press-view 1.0.0, and the app in it press-view 1.0.1"):
        await house.desk.install(OWNER, target.read_bytes())


async def test_needs_are_met_first(house: House, tmp_path: Path) -> None:
    folder = write_app(tmp_path)
    with pytest.raises(Conflict, match=r"needs energy>=2 \(not here\)"):
        await house.desk.install(OWNER, house.package(folder, needs=["energy>=2", "headrace>=0.1"]))
    await house.desk.install(OWNER, house.package(folder, needs=["headrace>=0.1"]))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ('[[pages]]\nname = "a"\nfile = "pages/a.js"\ntitle = "A"\n', "there is no such file"),
        ('module = "other"\n', "there is no other.py"),
    ],
)
async def test_what_cannot_work_is_refused(house: House, tmp_path: Path, more: str, says: str) -> None:
    with pytest.raises(ConfigErrors, match=says):
        await house.desk.install(OWNER, house.package(write_app(tmp_path, more=more)))


async def test_an_sdk_that_is_not_here_is_named(house: House, tmp_path: Path) -> None:
    folder = write_app(tmp_path)
    (folder / "manifest.toml").write_text((folder / "manifest.toml").read_text().replace('"1.0"', '"9.0"'))
    with pytest.raises(ConfigErrors, match=r"is for SDK 9.0"):
        await house.desk.install(OWNER, house.package(folder))


async def test_what_is_not_signed_comes_through_the_home_alone(house: House, tmp_path: Path) -> None:
    files = read_folder(write_app(tmp_path))
    made = await house.desk.install_local(OWNER, house.leave(files), "work/press-view")
    assert made.versions[0].origin is AppOrigin.FOLDER and made.versions[0].signers == ()
    data = house.trail.last("app.install")
    assert data["unsigned"] and data["source"] == "work/press-view"
    assert not list(house.incoming.iterdir()), "what was taken is not left about"

    for ticket in ("1" * 32 + ".folder", "../../press-view", "x", "0" * 32 + ".package"):
        with pytest.raises((NotFound, DataError)):
            await house.desk.install_local(OWNER, ticket, "")


async def test_an_author_tries_the_same_version_again_and_a_publisher_does_not(house: House, tmp_path: Path) -> None:
    folder = write_app(tmp_path)
    await house.desk.install_local(OWNER, house.leave(read_folder(folder)), "")
    await house.desk.enable(OWNER, "press-view", "1.0.0")
    (folder / "app.py").write_text("from headrace.sdk.apps import App\n\napp = App()  # better\n")
    await house.desk.install_local(OWNER, house.leave(read_folder(folder)), "")
    assert b"better" in house.played[-1].wanted.release.files["app.py"]
    with pytest.raises(Conflict, match="give the new content a new version"):
        await house.desk.update(OWNER, "press-view", house.package(folder))


async def test_a_wheel_is_the_one_package_in_it_with_a_manifest(house: House, tmp_path: Path) -> None:
    from headrace.hosting.releases import from_path
    from headrace.model.errors import ConfigError

    files = read_folder(write_app(tmp_path))
    wheel = tmp_path / "press_view-1.0.0-py3-none-any.whl"
    inside = {f"press_view/{name}": data for name, data in files.items()}
    wheel.write_bytes(packed({**inside, "press_view-1.0.0.dist-info/METADATA": b"Name: press-view"}))
    release = from_path(wheel)
    assert (release.origin, dict(release.files)) == (AppOrigin.WHEEL, files)
    wheel.write_bytes(packed({**inside, "other/manifest.toml": b""}))
    with pytest.raises(ConfigError, match="2 apps in it"):
        from_path(wheel)
    wheel.write_bytes(b"PK")
    with pytest.raises(ConfigError, match="no zip file"):
        from_path(wheel)


async def test_names_of_the_platform_are_its_own(house: House, tmp_path: Path) -> None:
    for name in ("shelf", "local", "pages", "headrace.x"):
        with pytest.raises(Conflict, match="the platform's own"):
            await house.desk.install(OWNER, house.package(write_app(tmp_path, name=name)))


# --- taking in -------------------------------------------------------------------------------------------------------


async def test_only_what_was_read_is_accepted(house: House, tmp_path: Path) -> None:
    await house.desk.install(OWNER, house.package(write_app(tmp_path, more=READS)))
    with pytest.raises(Conflict, match=r"press-view 1.0.0 is offered now, not 0.9.0"):
        await house.desk.enable(OWNER, "press-view", "0.9.0")
    assert not house.played


async def test_settings_are_checked_before_it_runs_and_secrets_are_not_shown(house: House, tmp_path: Path) -> None:
    await house.desk.install(OWNER, house.package(write_app(tmp_path, more=SETTINGS)))
    with pytest.raises(ConfigErrors, match="setting 'limit' is not filled in"):
        await house.desk.enable(OWNER, "press-view", "1.0.0")
    with pytest.raises(ConfigErrors, match="not within 0"):
        await house.desk.enable(OWNER, "press-view", "1.0.0", {"limit": -1})
    with pytest.raises(DataError, match="there is no setting 'limits'"):
        await house.desk.enable(OWNER, "press-view", "1.0.0", {"limits": 1})
    assert (await house.desk.app(OWNER, "press-view")).state is AppState.AVAILABLE

    await house.desk.enable(OWNER, "press-view", "1.0.0", {"limit": 80, "key": "hush"})
    assert house.played[-1].wanted.settings == {"limit": 80.0, "key": "hush"}
    form = await house.desk.settings(OWNER, "press-view")
    assert (form.values, form.filled) == ({"limit": 80}, ("key",))

    await house.desk.set_settings(OWNER, "press-view", {"limit": 90})
    assert house.played[-1].wanted.settings == {"limit": 90.0, "key": "hush"}, "what is left out stays, if it is secret"
    assert house.played[-2].stopped.is_set()
    await house.desk.set_settings(OWNER, "press-view", {"limit": 90, "key": None})
    assert house.played[-1].wanted.settings["key"] is None
    started = len(house.played)
    await house.desk.set_settings(OWNER, "press-view", {"limit": 90})
    assert len(house.played) == started, "the same settings are no reason to start anew"
    assert "hush" not in str(house.trail.entries)


async def test_secrets_lie_sealed(tmp_path: Path) -> None:
    from headrace.access.seal import Keyring
    from headrace.sdk.secret_files import SecretFiles

    ring = Keyring([b"k" * 32])
    house = House(tmp_path / "home", files=SecretFiles(ring, tmp_path / "home"))
    await taken_in(house, write_app(tmp_path, more=SETTINGS), limit=80, key="hush hush")
    for path in (tmp_path / "home" / "apps").rglob("*"):
        assert not path.is_file() or b"hush hush" not in path.read_bytes(), path
    house.reopen()
    await house.look()
    assert house.played[-1].wanted.settings["key"] == "hush hush"


async def test_disabled_it_rests_with_its_data_and_goes_with_it_when_asked(house: House, tmp_path: Path) -> None:
    await taken_in(house, write_app(tmp_path, more=SETTINGS, migrations=[TABLE]), limit=80, key="hush")
    sql(house.tables(), "INSERT INTO counts VALUES (1, 5)")
    app = await house.desk.disable(OWNER, "press-view", KeptData.KEEP)
    assert app.state is AppState.DISABLED and house.played[-1].stopped.is_set()
    with pytest.raises(Unavailable, match="enable it first"):
        await house.desk.call(OWNER, "press-view", Request("GET", "/count"))
    await house.desk.enable(OWNER, "press-view", "1.0.0")
    assert house.played[-1].wanted.settings["limit"] == 80.0
    assert sql(house.tables(), "SELECT n FROM counts") == [(5,)]

    app = await house.desk.disable(OWNER, "press-view", KeptData.DELETE)
    assert app.state is AppState.AVAILABLE
    assert not house.tables().exists() and not list((house.home / "apps").rglob("*.secrets"))
    with pytest.raises(ConfigErrors):
        await house.desk.enable(OWNER, "press-view", "1.0.0")


async def test_enabling_one_that_halted_starts_it_again(house: House, tmp_path: Path) -> None:
    await taken_in(house, write_app(tmp_path))
    house.played[-1].halted = True
    app = await house.desk.app(OWNER, "press-view")
    assert (app.state, app.trouble) == (AppState.HALTED, "it failed")
    await house.desk.enable(OWNER, "press-view", "1.0.0")
    assert house.played[-1].restarted and len(house.played) == 1


# --- updating --------------------------------------------------------------------------------------------------------


async def test_an_update_that_asks_no_more_is_followed_with_a_copy_of_the_tables(house: House, tmp_path: Path) -> None:
    await taken_in(house, write_app(tmp_path, more=READS, migrations=[TABLE]))
    sql(house.tables(), "INSERT INTO counts VALUES (1, 5)")
    newer = write_app(tmp_path, "1.1.0", READS, migrations=[TABLE, COLUMN])
    await house.desk.update(OWNER, "press-view", house.package(newer))
    await asyncio.sleep(0)
    assert house.played[0].stopped.is_set()
    assert [one.wanted.release.version for one in house.played] == ["1.0.0", "1.1.0"]
    assert sql(house.tables(), "SELECT n, shift FROM counts") == [(5, None)]
    before = house.register.before("press-view", "default", "1.0.0")
    assert sql(before, "SELECT * FROM counts") == [(1, 5)]


async def test_an_update_that_asks_for_more_waits_for_the_tenant(house: House, tmp_path: Path) -> None:
    await taken_in(house, write_app(tmp_path, more=READS))
    await house.desk.update(OWNER, "press-view", house.package(write_app(tmp_path, "1.1.0", READS_MORE)))
    app = await house.desk.app(OWNER, "press-view")
    assert (app.version, app.manifest.version, app.asks) == ("1.0.0", "1.1.0", ("hosts: api.acme.com:443",))
    assert "asks for more: hosts: api.acme.com:443" in app.trouble and app.state is AppState.RUNNING
    assert house.trail.last("app.update")["asks_more"] == ["hosts: api.acme.com:443"]
    assert len(house.played) == 1 and not house.played[0].stopped.is_set(), "the old one runs on"

    app = await house.desk.enable(OWNER, "press-view", "1.1.0")
    assert (app.version, app.asks, app.trouble) == ("1.1.0", (), "")
    assert house.trail.last("app.enable")["accepted"] == ["hosts: api.acme.com:443"]
    assert house.played[-1].wanted.grants.hosts == ("api.acme.com:443",)


async def test_an_update_with_a_new_setting_waits_until_it_is_filled_in(house: House, tmp_path: Path) -> None:
    await taken_in(house, write_app(tmp_path))
    await house.desk.update(OWNER, "press-view", house.package(write_app(tmp_path, "1.1.0", SETTINGS)))
    app = await house.desk.app(OWNER, "press-view")
    assert app.version == "1.0.0" and "waits for settings: setting 'limit' is not filled in" in app.trouble
    await house.desk.set_settings(OWNER, "press-view", {"limit": 5})
    assert (await house.desk.app(OWNER, "press-view")).version == "1.1.0"


async def test_never_back_unasked(house: House, tmp_path: Path) -> None:
    await house.desk.install(OWNER, house.package(write_app(tmp_path, "1.1.0")))
    with pytest.raises(Conflict, match=r"1\.0\.0 is older; roll back instead"):
        await house.desk.update(OWNER, "press-view", house.package(write_app(tmp_path, "1.0.0")))
    with pytest.raises(Conflict, match="is installed already"):
        await house.desk.install(OWNER, house.package(write_app(tmp_path, "1.2.0")))
    with pytest.raises(Conflict, match="this is other, not press-view"):
        await house.desk.update(OWNER, "press-view", house.package(write_app(tmp_path, name="other")))


async def test_old_versions_are_let_go_but_not_one_that_somebody_is_on(house: House, tmp_path: Path) -> None:
    await taken_in(house, write_app(tmp_path, "1.0.0", READS))
    for minor in range(1, 9):
        folder = write_app(tmp_path, f"1.{minor}.0", READS_MORE)
        await house.desk.update(OWNER, "press-view", house.package(folder))
    (made,) = await house.desk.shelf()
    assert [one.version for one in made.versions] == ["1.0.0", "1.4.0", "1.5.0", "1.6.0", "1.7.0", "1.8.0"]
    assert sorted(one.name for one in (house.home / "apps/press-view/shelf").iterdir()) == [
        one.version for one in made.versions
    ]


# --- rolling back ----------------------------------------------------------------------------------------------------


async def test_code_goes_back_and_tables_stay_where_they_fit(house: House, tmp_path: Path) -> None:
    await taken_in(house, write_app(tmp_path, migrations=[TABLE]))
    await house.desk.update(OWNER, "press-view", house.package(write_app(tmp_path, "1.1.0", migrations=[TABLE])))
    await asyncio.sleep(0)
    sql(house.tables(), "INSERT INTO counts VALUES (2, 7)")
    made = await house.desk.roll_back(OWNER, "press-view", BackTables.KEEP, "it miscounts")
    assert made.offered == "1.0.0"
    assert house.played[-1].wanted.release.version == "1.0.0"
    assert sql(house.tables(), "SELECT n FROM counts") == [(7,)]
    assert house.trail.last("app.rollback")["why"] == "it miscounts"
    with pytest.raises(Conflict, match="there is none to go back to"):
        await house.desk.roll_back(OWNER, "press-view", BackTables.KEEP, "")


async def test_migrations_go_forward_only_so_the_tables_of_before_come_back(house: House, tmp_path: Path) -> None:
    await taken_in(house, write_app(tmp_path, migrations=[TABLE]))
    sql(house.tables(), "INSERT INTO counts VALUES (1, 5)")
    newer = write_app(tmp_path, "1.1.0", migrations=[TABLE, COLUMN])
    await house.desk.update(OWNER, "press-view", house.package(newer))
    await asyncio.sleep(0)
    sql(house.tables(), "INSERT INTO counts VALUES (2, 7, 'A')")
    with pytest.raises(Conflict, match=r"took the tables through 0002-step.sql, which 1.0.0 does not know"):
        await house.desk.roll_back(OWNER, "press-view", BackTables.KEEP, "")
    assert house.played[-1].wanted.release.version == "1.1.0", "a refusal changes nothing"

    await house.desk.roll_back(OWNER, "press-view", BackTables.RESTORE, "")
    await asyncio.sleep(0)
    assert sql(house.tables(), "SELECT * FROM counts") == [(1, 5)]
    left = house.register.before("press-view", "default") / "1.1.0.left.db"
    assert sql(left, "SELECT n, shift FROM counts ORDER BY n") == [(5, None), (7, "A")], "nothing is lost"

    await house.desk.update(OWNER, "press-view", house.package(newer))  # mended elsewhere: forward again
    await asyncio.sleep(0)
    assert sql(house.tables(), "SELECT * FROM counts") == [(1, 5, None)]


async def test_a_tenant_that_came_with_the_new_version_has_nothing_of_before(house: House, tmp_path: Path) -> None:
    await house.desk.install(OWNER, house.package(write_app(tmp_path, migrations=[TABLE])))
    newer = write_app(tmp_path, "1.1.0", migrations=[TABLE, COLUMN])
    await house.desk.update(OWNER, "press-view", house.package(newer))
    await house.desk.enable(OWNER, "press-view", "1.1.0")
    await asyncio.sleep(0)
    sql(house.tables(), "INSERT INTO counts VALUES (2, 7, 'A')")
    await house.desk.roll_back(OWNER, "press-view", BackTables.RESTORE, "")
    await asyncio.sleep(0)
    assert sql(house.tables(), "SELECT * FROM counts") == []
    left = house.register.before("press-view", "default") / "1.1.0.left.db"
    assert sql(left, "SELECT n FROM counts") == [(7,)]


# --- going -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data", list(KeptData))
async def test_uninstalled_it_is_gone_and_its_data_as_was_said(house: House, tmp_path: Path, data: KeptData) -> None:
    folder = write_app(tmp_path, migrations=[TABLE])
    await taken_in(house, folder)
    sql(house.tables(), "INSERT INTO counts VALUES (1, 5)")
    await house.desk.uninstall(OWNER, "press-view", data)
    assert house.played[-1].stopped.is_set()
    assert not await house.desk.shelf() and not await house.desk.apps(OWNER)
    with pytest.raises(NotFound, match="there is no app 'press-view'"):
        await house.desk.app(OWNER, "press-view")
    assert house.tables().exists() is (data is KeptData.KEEP)

    await house.desk.install(OWNER, house.package(folder))
    kept = data is KeptData.KEEP
    assert (await house.desk.app(OWNER, "press-view")).state is (AppState.DISABLED if kept else AppState.AVAILABLE)
    await house.desk.enable(OWNER, "press-view", "1.0.0")
    await asyncio.sleep(0)
    assert sql(house.tables(), "SELECT n FROM counts") == ([(5,)] if kept else [])


async def test_what_is_kept_can_be_taken_along(house: House, tmp_path: Path) -> None:
    await taken_in(house, write_app(tmp_path, more=SETTINGS, migrations=[TABLE]), limit=80, key="hush")
    sql(house.tables(), "INSERT INTO counts VALUES (1, 5)")
    folder = house.register.data("press-view", "default")
    documents = AppDocuments(folder, megabytes=1, now_ns=house.clock.now_ns)
    await documents.put("reports/may.pdf", b"%PDF", "application/pdf")
    (folder / "documents" / "stray").write_bytes(b"none of the app's")
    await house.desk.export(OWNER, "press-view", tmp_path / "out.zip")
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        names = archive.namelist()
        assert sorted(names) == ["app.json", "documents/reports/may.pdf", "tables.db"]
        assert b'"limit": 80' in archive.read("app.json") and b"hush" not in archive.read("app.json")
        assert archive.read("documents/reports/may.pdf") == b"%PDF"
        archive.extract("tables.db", tmp_path)
    assert sqlite3.connect(tmp_path / "tables.db").execute("SELECT n FROM counts").fetchall() == [(5,)]


# --- our own ---------------------------------------------------------------------------------------------------------


async def test_ours_are_there_and_go_with_the_platform(tmp_path: Path) -> None:
    one = built_in(write_app(tmp_path, "1.0.0", READS, name="energy"), "headrace.apps.energy")
    assert one is not None
    house = House(tmp_path / "home", built_in={"energy": one})
    (shown,) = await house.desk.apps(OWNER)
    assert (shown.name, shown.origin, shown.state) == ("energy", AppOrigin.BUILT_IN, AppState.AVAILABLE)
    await house.desk.enable(OWNER, "energy", "1.0.0")
    for act in (
        house.desk.update(OWNER, "energy", b""), house.desk.uninstall(OWNER, "energy", KeptData.KEEP),
        house.desk.roll_back(OWNER, "energy", BackTables.KEEP, ""),
    ):  # fmt: skip
        with pytest.raises(Conflict, match="is built in"):
            await act
    with pytest.raises(Conflict, match="the platform's own"):
        await house.desk.install(OWNER, house.package(write_app(tmp_path, "2.0.0", name="energy")))

    newer = built_in(write_app(tmp_path, "1.1.0", READS_MORE, name="energy"), "headrace.apps.energy")
    assert newer is not None
    house.built_in = {"energy": newer}
    house.reopen()
    await house.look()
    shown = await house.desk.app(OWNER, "energy")
    assert (shown.version, shown.asks, shown.state) == ("1.1.0", ("hosts: api.acme.com:443",), AppState.RUNNING)
    assert house.played[-1].wanted.grants.hosts == (), "it runs with what was accepted"


# --- using -----------------------------------------------------------------------------------------------------------

PAGE = '[[pages]]\nname = "line"\nfile = "pages/line.js"\ntitle = "Line"\naction = "acknowledge"\n'


async def test_a_route_takes_its_right_on_the_assets_of_the_app(tmp_path: Path) -> None:
    everybody = Everybody()
    house = House(tmp_path / "home", authorizer=everybody)
    files = {"pages/line.js": "export {}"}
    await taken_in(house, write_app(tmp_path, more=READS + PAGE, files=files))
    press, other = Area(("acme/suzhou/press-shop/line-1/press-1",)), Area(("elsewhere",))
    everybody.parts = {
        "vera": (press, frozenset({Action.VIEW})), "otto": (press, frozenset({Action.VIEW, Action.WRITE})),
        "far": (other, frozenset(Action)), "nobody": (Area(), frozenset()),
    }  # fmt: skip
    who = {name: Principal(name, "member", "session") for name in everybody.parts}

    reply = await house.desk.call(who["vera"], "press-view", Request("GET", "/count", user="forged"))
    assert reply.body == b'{"user": "vera", "version": "1.0.0"}'
    may = house.played[-1].requests[-1].may
    assert await may(Action.VIEW, "acme/suzhou/press-shop/line-1/press-1")
    assert not await may(Action.VIEW, "acme/suzhou/press-shop/line-1/press-2")
    assert not await may(Action.WRITE, "acme/suzhou/press-shop/line-1/press-1")
    with pytest.raises(AccessError, match="takes the right to write on the assets of the app; vera has it on none"):
        await house.desk.call(who["vera"], "press-view", Request("POST", "/count"))
    await house.desk.call(who["otto"], "press-view", Request("POST", "/count"))
    assert house.trail.last("app.call") == {"method": "POST", "path": "/count", "version": "1.0.0"}
    for name in ("far", "nobody"):
        with pytest.raises(AccessError):
            await house.desk.call(who[name], "press-view", Request("GET", "/count"))
    with pytest.raises(NotFound, match="has no route DELETE /count"):
        await house.desk.call(OWNER, "press-view", Request("DELETE", "/count"))

    assert not await house.desk.pages(who["vera"]), "her right to view is not the one that the page takes"
    everybody.parts["vera"] = (press, frozenset({Action.ACKNOWLEDGE}))
    assert [one.page.name for one in await house.desk.pages(who["vera"])] == ["line"]
    assert await house.desk.page_file(who["vera"], "press-view", "line.js") == b"export {}"
    with pytest.raises(AccessError):
        await house.desk.page_file(who["far"], "press-view", "line.js")


@pytest.mark.parametrize("file", ["../app.py", "..%2fapp.py", "/etc/passwd", "", "line.js/", "../../../keys/seal.key"])
async def test_files_of_pages_are_those_and_no_others(house: House, tmp_path: Path, file: str) -> None:
    page = PAGE.replace("acknowledge", "view")
    await taken_in(house, write_app(tmp_path, more=page, files={"pages/line.js": "export {}"}))
    with pytest.raises(NotFound):
        await house.desk.page_file(OWNER, "press-view", file)


async def test_an_app_without_assets_takes_rights_on_the_whole(tmp_path: Path) -> None:
    everybody = Everybody()
    house = House(tmp_path / "home", authorizer=everybody)
    await taken_in(house, write_app(tmp_path))
    everybody.parts = {"vera": (Area(("acme",)), frozenset(Action))}
    with pytest.raises(AccessError):
        await house.desk.call(Principal("vera", "member", "session"), "press-view", Request("GET", "/count"))


async def test_what_the_app_refuses_is_told_and_in_the_trail(tmp_path: Path) -> None:
    house = House(tmp_path / "home", answers={"/count": DataError("'n' is missing")})
    await taken_in(house, write_app(tmp_path))
    with pytest.raises(DataError, match="'n' is missing"):
        await house.desk.call(OWNER, "press-view", Request("POST", "/count"))
    outcomes = [outcome for _, _, action, _, outcome, _ in house.trail.entries if action == "app.call"]
    assert outcomes == ["refused"]
