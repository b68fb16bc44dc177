"""A desk over a folder, with real signatures and real files; what would be a process is a `Played` one.

`Played` does with its tables what a runner does: each migration once, in order. Its routes are the app's `routes.json`.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from headrace.fleet.packages import Kind, Publisher, SigningKey, build, new_key
from headrace.hosting.abilities import AppHealth, AppState, Declared, DeclaredRoute, Plants
from headrace.hosting.assets_of import AppAssets
from headrace.hosting.desk import Desk
from headrace.hosting.keeper import Keeper, Wanted
from headrace.hosting.register import Register
from headrace.hosting.releases import Release, packed
from headrace.hosting.shelf import Shelf
from headrace.hosting.tables import FILE as TABLES
from headrace.hosting.using import Using
from headrace.model.areas import EVERYWHERE, NOWHERE, Area
from headrace.model.errors import AccessError, ConfigError
from headrace.model.plant import PlantModel
from headrace.platform.app_hosting import PublishersOfHome
from headrace.sdk.access import Action, AuditLog, Authorizer, Principal, Rights, Tenants
from headrace.sdk.apps import Reply, Request
from headrace.sdk.clock import Clock
from headrace.sdk.secret_files import PLAIN, SecretFiles
from headrace.sdk.tenancy import ONE_TENANT
from headrace.sdk.testing.clock import FakeClock

OWNER = Principal("olga", "owner", "session")
TODAY = datetime.date(2026, 5, 28)

MANIFEST = """
name = "{name}"
version = "{version}"
sdk = "1.0"
licence = "Apache-2.0"
title = {{ en = "Press view", zh = "压机视图" }}
{more}
"""
ROUTES = [["GET", "/count", "view"], ["POST", "/count", "write"], ["GET", "/page", "view"]]


class Played:
    """Implements `keeper.Runner`."""

    def __init__(self, wanted: Wanted, answers: Mapping[str, Any] | None = None) -> None:
        self.wanted, self.answers = wanted, answers or {}
        self.requests: list[Request] = []
        self.halted = False
        self.stopped, self.restarted = asyncio.Event(), False
        self.gone = False

    async def run(self) -> None:
        migrate(self.wanted.folder / TABLES, self.wanted.release)
        await self.stopped.wait()

    async def request(self, request: Request) -> Reply:
        self.requests.append(request)
        answer = self.answers.get(request.path, {"user": request.user, "version": self.wanted.release.version})
        if isinstance(answer, Exception):
            raise answer
        return Reply.of(answer)

    @property
    def declared(self) -> Declared:
        given = json.loads(self.wanted.release.files.get("routes.json", b"[]"))
        return Declared(tuple(DeclaredRoute(method, path, Action(action)) for method, path, action in given))

    def health(self) -> AppHealth:
        state = AppState.HALTED if self.halted else AppState.RUNNING
        said = "it failed" if self.halted else ""
        return AppHealth(state, said, log=((1, "started"),), cpu_s=0.5, memory_bytes=20_000_000)

    async def stop(self) -> None:
        self.stopped.set()

    def restart(self) -> None:
        self.restarted = True


def migrate(file: Path, release: Release) -> None:
    """Raises: ConfigError where the file went through what the app does not know, as the real one does."""
    with sqlite3.connect(file) as tables:
        tables.execute("PRAGMA journal_mode = WAL")
        tables.execute("CREATE TABLE IF NOT EXISTS done (name TEXT)")
        done = {name for (name,) in tables.execute("SELECT name FROM done")}
        if done - set(release.migrations):
            raise ConfigError("the tables are ahead of the app")
        for name in release.migrations:
            if name not in done:
                tables.executescript(release.files[f"migrations/{name}"].decode())
                tables.execute("INSERT INTO done VALUES (?)", (name,))
    tables.close()


def sql(file: Path, *statements: str) -> list[Any]:
    """Each executed; the rows of the last."""
    with sqlite3.connect(file) as tables:
        rows: list[Any] = []
        for one in statements:
            rows = tables.execute(one).fetchall()
    tables.close()
    return rows


class Everybody:
    """Implements `Authorizer`: roles as they are, on the whole tenant; `parts` narrows somebody to an area."""

    def __init__(self) -> None:
        self.parts: dict[str, tuple[Area, frozenset[Action]]] = {}

    def check(self, principal: Principal, action: Action, path: str) -> None:
        area = self.rights(principal).area(action)
        if not area or (area != EVERYWHERE and not (path and area.covers(path))):
            raise AccessError(f"{principal.name} may not {action.value} at {path or 'the whole plant'}")

    def rights(self, principal: Principal) -> Rights:
        area, actions = self.parts.get(principal.name, (EVERYWHERE, frozenset(Action)))
        return Rights({action: area if action in actions else NOWHERE for action in Action})


class Trail:
    """Implements `AuditLog`."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, str, str, str, dict[str, Any]]] = []

    async def record(
        self, actor: str, action: str, subject: str, outcome: str, data: Mapping[str, Any] | None = None, *,
        tenant: str = "default",
    ) -> None:  # fmt: skip
        self.entries.append((tenant, actor, action, subject, outcome, dict(data or {})))

    def last(self, action: str) -> dict[str, Any]:
        return next(data for _, _, what, _, _, data in reversed(self.entries) if what == action)


class OnePlant:
    def __init__(self, model: PlantModel) -> None:
        self.declared = model

    async def model(self) -> PlantModel:
        return self.declared


def the_plant() -> PlantModel:
    from tests.api.fakes import plant  # which may have asked for a house

    return plant()


@dataclass
class House:
    """`desk` as the platform would have it. `reopen` is what a restart does, with nothing carried over in memory."""

    home: Path
    tenants: Tenants = ONE_TENANT
    clock: Clock = field(default_factory=FakeClock)
    authorizer: Authorizer = field(default_factory=Everybody)
    trail: AuditLog = field(default_factory=Trail)
    files: SecretFiles = PLAIN
    built_in: Mapping[str, Release] = field(default_factory=dict)
    answers: Mapping[str, Any] = field(default_factory=dict)
    plants: Plants = field(default_factory=lambda: OnePlant(the_plant()))
    played: list[Played] = field(default_factory=list)
    platform: str = "0.1.0"

    def __post_init__(self) -> None:
        self.key: SigningKey = new_key()
        self.publishers = self.home / "keys" / "publishers"
        self.publishers.mkdir(parents=True, exist_ok=True)
        self.trust(self.key, "Acme")
        self.reopen()

    def reopen(self) -> None:
        self.register = Register(self.home / "apps", self.files)
        shelf = Shelf(self.register, PublishersOfHome(self.publishers), self.built_in, self.platform)
        self.keeper = Keeper(self.register, shelf, self._start, self.tenants, self.clock)
        assets = AppAssets(self.authorizer, self.plants)
        using = Using(self.keeper, assets, self.authorizer, self.trail)
        self.incoming = self.home / "run" / "apps"
        self.desk = Desk(
            self.register, shelf, self.keeper, using, self.trail, self.tenants, self.clock, self.incoming
        )  # fmt: skip

    def _start(self, wanted: Wanted) -> Played:
        self.played.append(Played(wanted, self.answers))
        return self.played[-1]

    async def look(self) -> None:
        for name in self.register.names():
            await self.keeper.look_at(name)
        await asyncio.sleep(0)

    def trust(self, key: SigningKey, title: str, names: Sequence[str] = ("*",)) -> None:
        until = TODAY + datetime.timedelta(days=700)
        one = Publisher(title, key.public, frozenset({Kind.APP}), tuple(names), until)
        path = self.publishers / f"{title.lower()}.pub"
        path.write_text(one.text())
        path.chmod(0o644)

    def package(self, folder: Path, key: SigningKey | None = None, needs: Sequence[str] = ()) -> bytes:
        import tomllib

        made = tomllib.loads((folder / "manifest.toml").read_text())
        listed = ", ".join(f'"{one}"' for one in needs)
        text = f'kind = "app"\nname = "{made["name"]}"\nversion = "{made["version"]}"\nneeds = [{listed}]\n'
        (folder / "package.toml").write_text(text)
        target = folder.parent / f"{folder.name}.hrpkg"
        build(folder, target, [key or self.key], TODAY)
        (folder / "package.toml").unlink()
        return target.read_bytes()

    def leave(self, files: Mapping[str, bytes], ticket: str = "0" * 32 + ".folder") -> str:
        """As the local command does."""
        self.incoming.mkdir(parents=True, exist_ok=True)
        (self.incoming / ticket).write_bytes(packed(files))
        return ticket

    def tables(self, name: str = "press-view", tenant: str = "default") -> Path:
        return self.register.data(name, tenant) / TABLES


def write_app(
    folder: Path, version: str = "1.0.0", more: str = "", *, name: str = "press-view", migrations: Sequence[str] = (),
    routes: Any = ROUTES, files: Mapping[str, str] | None = None,
) -> Path:  # fmt: skip
    """A folder of an app. `migrations` are statements, one a file."""
    folder = folder / f"{name}-{version}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.toml").write_text(MANIFEST.format(name=name, version=version, more=more))
    (folder / "app.py").write_text("from headrace.sdk.apps import App\n\napp = App()\n")
    (folder / "routes.json").write_text(json.dumps(routes))
    every = {f"migrations/{at:04d}-step.sql": text for at, text in enumerate(migrations, 1)} | dict(files or {})
    for path, text in every.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder
