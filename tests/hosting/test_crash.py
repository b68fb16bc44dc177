"""Whatever moment the platform dies in: what was acknowledged stands, and the next start finishes what was begun.

A disk that fails at its n-th rename stands for a kill there: nothing after that moment happens, and what a new process
finds is what was durable. Each act is cut at each of its renames.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.hosting.house import OWNER, House, sql, write_app

from headrace.hosting.releases import packed, read_folder
from headrace.model.errors import HeadraceError
from headrace.sdk.app_desk import AppState, BackTables, KeptData

TABLE = "CREATE TABLE counts (at INTEGER, n INTEGER)"
COLUMN = "ALTER TABLE counts ADD COLUMN shift TEXT"


class Killed(BaseException):
    """Nobody catches it, as nobody catches a kill."""


class Killing:
    """From the n-th call of rename on, none happens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
        self.left, self.dead, self.calls = at, False, 0
        real, real_unlink = Path.replace, Path.unlink

        def replace(path: Path, target: Any) -> Any:
            self.calls += 1
            if self.dead or self.calls > self.left:
                self.dead = True
                raise Killed
            return real(path, target)

        def unlink(path: Path, missing_ok: bool = False) -> None:
            if self.dead:
                raise Killed
            real_unlink(path, missing_ok)

        monkeypatch.setattr(Path, "replace", replace)
        monkeypatch.setattr(Path, "unlink", unlink)


async def prepared(tmp_path: Path) -> tuple[House, bytes]:
    """1.0.0 runs with one row; the package of 1.1.0, which changes the tables."""
    house = House(tmp_path / "home")
    await house.desk.install(OWNER, house.package(write_app(tmp_path, migrations=[TABLE])))
    await house.desk.enable(OWNER, "press-view", "1.0.0")
    await asyncio.sleep(0)
    sql(house.tables(), "INSERT INTO counts VALUES (1, 5)")
    return house, house.package(write_app(tmp_path, "1.1.0", migrations=[TABLE, COLUMN]))


async def cut(
    house: House, monkeypatch: pytest.MonkeyPatch, act: Callable[[], Awaitable[Any]], at: int
) -> bool:  # fmt: skip
    """Whether the act was acknowledged; afterwards a new process has looked at everything, twice."""
    acknowledged = True
    with monkeypatch.context() as patch:
        killing = Killing(patch, at)
        try:
            await act()
        except (Killed, BaseExceptionGroup):
            acknowledged = False
    assert acknowledged or killing.dead
    house.reopen()
    for _ in range(2):
        await house.look()
    return acknowledged


@pytest.mark.parametrize("at", range(12))
async def test_an_update_is_whole_or_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    house, newer = await prepared(tmp_path)
    done = await cut(house, monkeypatch, lambda: house.desk.update(OWNER, "press-view", newer), at)
    app = await house.desk.app(OWNER, "press-view")
    assert app.version == app.manifest.version and app.state is AppState.RUNNING and app.trouble == ""
    assert app.version == "1.1.0" if done else app.version in ("1.0.0", "1.1.0")
    assert sql(house.tables(), "SELECT at, n FROM counts") == [(1, 5)]
    assert house.played[-1].wanted.release.version == app.version
    if app.version == "1.1.0":
        before = house.register.before("press-view", "default", "1.0.0")
        assert sql(before, "SELECT * FROM counts") == [(1, 5)]
        assert sql(house.tables(), "SELECT shift FROM counts") == [(None,)]


@pytest.mark.parametrize("at", range(12))
async def test_a_roll_back_loses_no_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    house, newer = await prepared(tmp_path)
    await house.desk.update(OWNER, "press-view", newer)
    await asyncio.sleep(0)
    sql(house.tables(), "INSERT INTO counts VALUES (2, 7, 'A')")

    async def back() -> None:
        await house.desk.roll_back(OWNER, "press-view", BackTables.RESTORE, "")

    done = await cut(house, monkeypatch, back, at)
    app = await house.desk.app(OWNER, "press-view")
    assert app.version == app.manifest.version and app.state is AppState.RUNNING and app.trouble == ""
    if app.version == "1.0.0":
        assert sql(house.tables(), "SELECT * FROM counts") == [(1, 5)]
        left = house.register.before("press-view", "default") / "1.1.0.left.db"
        assert sql(left, "SELECT n FROM counts ORDER BY n") == [(5,), (7,)]
    else:
        assert not done
        assert sql(house.tables(), "SELECT n FROM counts ORDER BY n") == [(5,), (7,)]


@pytest.mark.parametrize("at", range(6))
async def test_a_roll_back_that_was_cut_short_and_is_not_wanted_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    house, newer = await prepared(tmp_path)
    await house.desk.update(OWNER, "press-view", newer)
    await asyncio.sleep(0)
    sql(house.tables(), "INSERT INTO counts VALUES (2, 7, 'A')")
    with monkeypatch.context() as patch:
        Killing(patch, at)
        with contextlib.suppress(Killed):
            await house.desk.roll_back(OWNER, "press-view", BackTables.RESTORE, "")
    house.reopen()
    record = house.register.app("press-view")
    tenant = house.register.tenant("press-view", "default")
    assert record is not None and tenant is not None
    going = list(house.register.before("press-view", "default").glob("*.going.db"))
    house.register.put_app(replace(record, offered="1.1.0", back=None))  # as an update does, before anybody looked
    await house.look()
    app = await house.desk.app(OWNER, "press-view")
    assert (app.version, app.state) == ("1.1.0", AppState.RUNNING)
    if tenant.version == "1.1.0" or going:  # nothing ran on the tables of before
        assert sql(house.tables(), "SELECT n FROM counts ORDER BY n") == [(5,), (7,)]
    else:
        assert sql(house.tables(), "SELECT n FROM counts ORDER BY n") == [(5,)]


@pytest.mark.parametrize("data", list(KeptData))
@pytest.mark.parametrize("at", range(6))
async def test_uninstalled_is_uninstalled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int, data: KeptData
) -> None:  # fmt: skip
    house, _ = await prepared(tmp_path)
    done = await cut(house, monkeypatch, lambda: house.desk.uninstall(OWNER, "press-view", data), at)
    gone = not await house.desk.shelf()
    assert gone if done else True
    assert house.tables().exists() is (not gone or data is KeptData.KEEP)
    if not gone:
        assert (await house.desk.app(OWNER, "press-view")).state is AppState.RUNNING


@pytest.mark.parametrize("at", range(6))
async def test_what_a_tenant_said_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    house, _ = await prepared(tmp_path)
    done = await cut(house, monkeypatch, lambda: house.desk.disable(OWNER, "press-view", KeptData.DELETE), at)
    state = (await house.desk.app(OWNER, "press-view")).state
    assert state is AppState.AVAILABLE if done else state in (AppState.AVAILABLE, AppState.RUNNING)
    assert house.tables().exists() is (state is AppState.RUNNING)


async def test_one_tenants_damage_is_no_other_apps(tmp_path: Path) -> None:
    house, _ = await prepared(tmp_path)
    await house.desk.install(OWNER, house.package(write_app(tmp_path, name="other")))
    await house.desk.enable(OWNER, "other", "1.0.0")
    (house.home / "apps/press-view/tenants/default.json").write_text("{")
    house.reopen()
    await house.look()
    assert [one.wanted.release.manifest.name for one in house.played[-1:]] == ["other"]
    assert "is damaged" in house.keeper.trouble("press-view", "default")
    assert [one.name for one in await house.desk.apps(OWNER)] == ["other"]


@pytest.mark.parametrize("what", ["altered", "revoked", "untrusted"])
async def test_what_is_not_trusted_any_more_does_not_start_again(tmp_path: Path, what: str) -> None:
    house, _ = await prepared(tmp_path)
    if what == "altered":
        kept = house.home / "apps/press-view/shelf/1.0.0"
        data = bytearray(kept.read_bytes())
        data[len(data) // 3] ^= 1
        kept.write_bytes(data)
    elif what == "revoked":
        (house.publishers / "revoked").write_text(f"{house.key.key_id} stolen\n")
    else:
        (house.publishers / "acme.pub").unlink()
    house.played.clear()
    house.reopen()
    await house.look()
    assert not house.played
    assert house.keeper.trouble("press-view", "default")
    (made,) = await house.desk.shelf()
    assert made.trouble and made.tenants == 1


async def test_an_unsigned_one_that_was_altered_does_not_start_either(tmp_path: Path) -> None:
    house = House(tmp_path / "home")
    files = read_folder(write_app(tmp_path))
    await house.desk.install_local(OWNER, house.leave(files), "")
    await house.desk.enable(OWNER, "press-view", "1.0.0")
    kept = house.home / "apps/press-view/shelf/1.0.0"
    kept.write_bytes(packed({**files, "app.py": b"import evil"}))
    house.played.clear()
    house.reopen()
    await house.look()
    assert not house.played
    assert "was altered after it was installed" in house.keeper.trouble("press-view", "default")


async def test_a_full_disk_is_said_and_the_old_version_runs_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house, newer = await prepared(tmp_path)
    real = os.open

    def full(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & os.O_CREAT and "before" not in str(path) and str(path).endswith(".partial"):
            raise OSError(28, "No space left on device")
        return real(path, flags, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        with pytest.raises((HeadraceError, OSError)):
            await house.desk.update(OWNER, "press-view", newer)
    app = await house.desk.app(OWNER, "press-view")
    assert (app.version, app.manifest.version, app.state) == ("1.0.0", "1.0.0", AppState.RUNNING)
