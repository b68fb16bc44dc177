"""Apps put together for a home: who vouches for a package, and what is built in."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from tests.hosting.house import TODAY, House, write_app

from headrace.fleet.packages import build
from headrace.model.errors import ConfigErrors, DataError
from headrace.model.time import SECOND_NS
from headrace.platform.app_hosting import PublishersOfHome, apps_of_ours
from headrace.sdk.app_desk import AppOrigin

DAY_NS = int(datetime.datetime.combine(TODAY, datetime.time(), datetime.UTC).timestamp()) * SECOND_NS


def test_a_package_is_judged_by_the_keys_of_the_home(tmp_path: Path) -> None:
    house = House(tmp_path / "home")
    folder = write_app(tmp_path)
    signed = PublishersOfHome(house.publishers).read(house.package(folder, needs=["energy>=2"]), DAY_NS, {})
    assert (signed.name, signed.version, signed.signers) == ("press-view", "1.0.0", ("Acme",))
    assert signed.unmet == ("energy>=2 (not here)",)
    assert signed.files["app.py"] == (folder / "app.py").read_bytes()
    with pytest.raises(DataError, match="not trusted here"):
        PublishersOfHome(tmp_path / "none").read(house.package(folder), DAY_NS, {})
    years_ns = 3 * 365 * 86_400 * SECOND_NS
    with pytest.raises(DataError, match="ended on"):
        PublishersOfHome(house.publishers).read(house.package(folder), DAY_NS + years_ns, {})


def test_a_package_of_another_kind_is_no_app(tmp_path: Path) -> None:
    house = House(tmp_path / "home")
    text = (house.publishers / "acme.pub").read_text().replace('["app"]', '["app", "update"]')
    (house.publishers / "acme.pub").write_text(text)
    folder = write_app(tmp_path)
    (folder / "package.toml").write_text('kind = "update"\nname = "press-view"\nversion = "1.0.0"\n')
    build(folder, tmp_path / "update.hrpkg", [house.key], TODAY)
    with pytest.raises(DataError, match="is a package of kind 'update', not an app"):
        PublishersOfHome(house.publishers).read((tmp_path / "update.hrpkg").read_bytes(), DAY_NS, {})


def test_ours_are_the_folders_that_have_a_manifest(tmp_path: Path) -> None:
    write_app(tmp_path, name="energy").rename(tmp_path / "energy")
    (tmp_path / "empty").mkdir()
    (found,) = apps_of_ours(tmp_path).values()
    assert (found.manifest.name, found.origin, found.module_package) == (
        "energy", AppOrigin.BUILT_IN, "headrace.apps.energy",
    )  # fmt: skip
    (tmp_path / "energy" / "app.py").unlink()
    with pytest.raises(ConfigErrors, match=r"there is no app\.py"):
        apps_of_ours(tmp_path)


def test_all_of_this_installation_are_whole() -> None:
    for name, release in apps_of_ours().items():
        assert name == release.manifest.name and release.sha256
