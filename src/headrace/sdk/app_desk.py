"""Apps as those above the rooms see them: what is installed, what of it a tenant has taken in, how that fares.

    install ─► versions on the shelf ─► enable (a tenant accepts what it asks for, fills in its settings) ─► it runs
    update  ─► a tenant follows, unless the new version asks for more: then it is asked, and the old one runs on
    roll back ─► the code of before; tables as they are, or as they were before the update

Who installs answers for the platform (`Action.OPERATE`); who enables answers for one tenant. Decision 0047.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from headrace.model.points import Title
from headrace.sdk.access import Principal
from headrace.sdk.apps.manifest import AppManifest, Page, Permissions
from headrace.sdk.apps.request import Reply, Request
from headrace.sdk.apps.settings import Setting

PACKAGE_BYTES_MAX: Final = 64 * 1024 * 1024


class AppOrigin(StrEnum):
    """Where a version came from; all but packages are trusted because the platform's operator has the machine."""

    BUILT_IN = "built-in"  # ours: comes and goes with the platform
    PACKAGE = "package"  # signed by publishers that the home trusts
    FOLDER = "folder"
    WHEEL = "wheel"


class KeptData(StrEnum):
    """What becomes of an app's tables and documents when it goes."""

    KEEP = "keep"
    DELETE = "delete"


class BackTables(StrEnum):
    """What a roll back does with tables. `RESTORE` brings back the copies from before the update; what was written
    since is set aside, and no more seen."""

    KEEP = "keep"
    RESTORE = "restore"


class AppState(StrEnum):
    """Of an app for one tenant."""

    AVAILABLE = "available"  # installed, not taken in
    DISABLED = "disabled"  # taken in once; settings and data are kept
    STARTING = "starting"
    RUNNING = "running"
    HALTED = "halted"  # it failed too often in a row, or cannot start: `trouble` says why


@dataclass(frozen=True, slots=True)
class AppVersion:
    """`sha256` of what was installed, hex; `signers` by title, none for what is not signed."""

    version: str
    origin: AppOrigin
    sha256: str
    signers: tuple[str, ...]
    added_ns: int
    by: str


@dataclass(frozen=True, slots=True)
class AppUse:
    """What it took since it was started. `cpu_s` and `memory_bytes` are of its process, None where there is none;
    `failure` is what went wrong last; `fences`: the kernel holds it; `jobs` are when each is due next."""

    calls: int = 0
    failures: int = 0
    restarts: int = 0
    call_ms_mean: float = 0.0
    cpu_s: float | None = None
    memory_bytes: int | None = None
    tables_bytes: int = 0
    documents_bytes: int = 0
    started_ns: int | None = None
    failure: str = ""
    failed_ns: int | None = None
    fences: bool = False
    jobs: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class InstalledApp:
    """An app as one tenant sees it. `version` is what runs for it, or would; `manifest` is of the version offered.

    `asks` is what the version offered asks for beyond what was accepted, in words; while there is any, `version` stays.
    A licence key, where an app wants one, is one of its settings.
    """

    manifest: AppManifest
    origin: AppOrigin
    versions: tuple[AppVersion, ...]
    state: AppState
    version: str
    accepted: Permissions | None = None
    asks: tuple[str, ...] = ()
    trouble: str = ""
    by: str = ""
    since_ns: int | None = None
    licence_text: str = ""

    @property
    def name(self) -> str:
        return self.manifest.name


@dataclass(frozen=True, slots=True)
class ShelvedApp:
    """An app as the platform's operator sees it: `tenants` is how many have it enabled."""

    name: str
    title: Title
    owner: str
    offered: str
    versions: tuple[AppVersion, ...]
    tenants: int
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class SettingsForm:
    """What is asked and what was filled in. Secrets are never among `values`: `filled` names those that are kept."""

    settings: Sequence[Setting]
    values: Mapping[str, Any]
    filled: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AppLogLine:
    time_ns: int
    text: str


@dataclass(frozen=True, slots=True)
class AppPage:
    """A page that somebody may see. `title` is of the page, `app_title` of the app."""

    app: str
    app_title: Title
    page: Page
    version: str


class AppDesk(Protocol):
    """`principal` is who asks: their tenant is whose app it is about. An app of another tenant is one that never was.

    Raises from every method: NotFound for an app that is not there for that tenant.
    """

    async def apps(self, principal: Principal) -> Sequence[InstalledApp]:
        """By name."""
        ...

    async def app(self, principal: Principal, name: str) -> InstalledApp: ...

    # --- the platform's operator -------------------------------------------------------------------------------------

    async def shelf(self) -> Sequence[ShelvedApp]:
        """All that is installed, whosever it is."""
        ...

    async def install(self, principal: Principal, package: bytes) -> ShelvedApp:
        """A signed package. Raises: DataError for what is none, is not trusted or was altered; Conflict where it is
        installed, or its needs are not met."""
        ...

    async def install_local(self, principal: Principal, ticket: str, source: str) -> ShelvedApp:
        """A folder or wheel, unsigned; also a newer version. Whoever can write into the home left it there, under this
        ticket; `source` says for the trail what it was. Raises: NotFound without it; ConfigErrors for what is no app;
        Conflict as `update`."""
        ...

    async def update(self, principal: Principal, name: str, package: bytes) -> ShelvedApp:
        """Raises: as `install`; Conflict where it is no newer."""
        ...

    async def roll_back(self, principal: Principal, name: str, tables: BackTables, why: str) -> ShelvedApp:
        """To the version before. Raises: Conflict where there is none, or the tables are ahead of it."""
        ...

    async def uninstall(self, principal: Principal, name: str, data: KeptData) -> None:
        """Of all tenants. Raises: Conflict for what is built in."""
        ...

    # --- a tenant ----------------------------------------------------------------------------------------------------

    async def enable(
        self, principal: Principal, name: str, version: str, settings: Mapping[str, Any] | None = None
    ) -> InstalledApp:
        """Accept what `version` asks for, and let it run. None leaves what was filled in before.

        Raises: Conflict where another version is offered; ConfigErrors for settings that do not fit.
        """
        ...

    async def disable(self, principal: Principal, name: str, data: KeptData) -> InstalledApp:
        """Settings go with the data."""
        ...

    async def settings(self, principal: Principal, name: str) -> SettingsForm: ...

    async def set_settings(self, principal: Principal, name: str, values: Mapping[str, Any]) -> SettingsForm:
        """All of them; a secret that is left out stays, one that is None goes. Raises: ConfigErrors."""
        ...

    async def health(self, principal: Principal, name: str) -> AppUse: ...

    async def log(self, principal: Principal, name: str) -> Sequence[AppLogLine]:
        """What it said, oldest first; the last 1,000 lines since it was started."""
        ...

    async def export(self, principal: Principal, name: str, target: Path) -> None:
        """Write a zip: tables as SQLite, documents, settings without secrets. Raises: Unavailable."""
        ...

    # --- whoever uses it ---------------------------------------------------------------------------------------------

    async def call(self, principal: Principal, name: str, request: Request) -> Reply:
        """Of the app's routes; `user` and `may` of the request are set here.

        Raises: AccessError without the right that the route takes on the assets of the app; what the app raised;
        Unavailable where it does not run.
        """
        ...

    async def pages(self, principal: Principal, name: str | None = None) -> Sequence[AppPage]:
        """Those that somebody may see, of what runs."""
        ...

    async def page_file(self, principal: Principal, name: str, file: str) -> bytes:
        """A file below `pages/`. Raises: NotFound, AccessError where none of the pages is for who asks."""
        ...
