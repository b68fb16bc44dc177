"""Apps of a platform put together: who may sign them, what is built in, and what of the rooms each tenant's may use.

<home>/keys/publishers ─► who vouches for a package      <home>/apps ─► what is installed and taken in
headrace/apps/* ─► what is built in                      rooms ─► Abilities of a tenant ─► AppRunner
"""

from __future__ import annotations

import datetime
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from headrace import __version__
from headrace.access.desk import AccessDesk
from headrace.fleet.packages import Kind, Limits, Package, Publishers
from headrace.hosting.abilities import Abilities, Plants, PlatformKey
from headrace.hosting.assets_of import AppAssets
from headrace.hosting.desk import Desk
from headrace.hosting.keeper import Keeper, Runner, Wanted
from headrace.hosting.register import Register
from headrace.hosting.releases import BYTES_MAX, FILES_MAX, Release, Signed, built_in
from headrace.hosting.runner import AppRunner
from headrace.hosting.shelf import Shelf
from headrace.hosting.using import Using
from headrace.model.errors import DataError
from headrace.model.time import SECOND_NS
from headrace.platform.settings import Settings
from headrace.sdk.access import Principal, Tenants
from headrace.sdk.app_desk import PACKAGE_BYTES_MAX, AppOrigin
from headrace.sdk.bus import Bus
from headrace.sdk.clock import Clock
from headrace.sdk.commands import CommandDesk
from headrace.sdk.reach import Reach
from headrace.sdk.secret_files import SecretFiles
from headrace.sdk.services import AlarmDesk, LiveValues
from headrace.sdk.store import HistoryStore
from headrace.sdk.tenancy import Ground, tenant_of_event

WRITES_AS: Final = "operator"
"""The role of an app that writes: what it may write at all is in what it was granted."""
VIA: Final = "app"
OURS: Final = Path(__file__).parents[1] / "apps"
_LIMITS: Final = Limits(package_bytes=PACKAGE_BYTES_MAX, files=FILES_MAX, total_bytes=BYTES_MAX)


@dataclass(frozen=True, slots=True)
class AppHosting:
    """`desk` for those above, `keeper` to be run."""

    desk: Desk
    keeper: Keeper


@dataclass(frozen=True, slots=True)
class Rooms:
    """What apps have to do with."""

    plants: Plants
    live: LiveValues
    history: HistoryStore
    bus: Bus
    alarms: AlarmDesk
    commands: CommandDesk


def app_abilities(tenant: str, tenants: Tenants, rooms: Rooms, reach: Reach, key: PlatformKey) -> Abilities:
    """As far as apps of a tenant may ever get; each gets what it was granted of that."""
    ground = Ground(tenants, tenant)
    return Abilities(
        plants=rooms.plants, live=rooms.live, history=rooms.history, bus=rooms.bus, alarms=rooms.alarms,
        commands=rooms.commands, reach=reach, key=key, owns=ground.owns,
        owns_event=lambda source, subject: tenant_of_event(tenants, source, subject) == tenant,
        principal=lambda app: Principal(f"app:{app}", WRITES_AS, VIA, tenant),
    )  # fmt: skip


class PublishersOfHome:
    """Implements `hosting.releases.SignedPackages` with the keys that a person put into a home."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, data: bytes, at_ns: int, present: Mapping[str, str]) -> Signed:
        day = datetime.datetime.fromtimestamp(at_ns // SECOND_NS, datetime.UTC).date()
        file = io.BytesIO(data)
        verified = Package.open(file, _LIMITS).verify(Publishers.load(self._folder), day)
        made = verified.manifest
        if made.kind is not Kind.APP:
            raise DataError(f"{made.name} {made.version} is a package of kind '{made.kind}', not an app")
        files = {listed.path: b"".join(pieces) for listed, pieces in verified.contents(file)}
        signers = tuple(one.title for one in verified.signers)
        unmet = tuple(made.unmet(present))
        return Signed(made.name, str(made.version), verified.package.sha256, signers, unmet, files)


def apps_of_ours(folder: Path = OURS) -> dict[str, Release]:
    """Those of this installation, by name. Raises: ConfigErrors for a manifest of ours that is wrong."""
    found = {}
    for one in sorted(path for path in folder.iterdir() if path.is_dir()):
        release = built_in(one, f"headrace.apps.{one.name}")
        if release is not None:
            found[release.manifest.name] = release
    return found


def app_hosting(
    settings: Settings, clock: Clock, abilities_of: Callable[[str], Abilities], *, access: AccessDesk,
    tenants: Tenants, secrets: SecretFiles, plants: Plants,
) -> AppHosting:  # fmt: skip
    """Nothing is read but what is built in; `keeper.run` reads the rest. Blocks."""
    register = Register(settings.apps_dir, secrets)
    shelf = Shelf(register, PublishersOfHome(settings.keys_dir / "publishers"), apps_of_ours(), __version__)

    def start(wanted: Wanted) -> Runner:
        release = wanted.release
        return AppRunner(
            release.manifest, release.files, grants=wanted.grants, tenant=wanted.tenant, settings=wanted.settings,
            abilities=abilities_of(wanted.tenant), folder=wanted.folder, clock=clock,
            trusted=release.origin is AppOrigin.BUILT_IN, package=release.module_package,
        )  # fmt: skip

    keeper = Keeper(register, shelf, start, tenants, clock)
    using = Using(keeper, AppAssets(access, plants), access, access)
    desk = Desk(register, shelf, keeper, using, access, tenants, clock, settings.incoming_apps_dir)
    return AppHosting(desk, keeper)
