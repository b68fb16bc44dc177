"""An app in a test: a fake plant around it, and a time machine that moves it on. No process, no fences, no waiting.

    async with AppUnderTest.of(FOLDER, plant, settings={"zone": "Asia/Shanghai"}, start="2026-11-26T00:00:00Z") as app:
        await app.run_until("2026-11-26T08:00:00Z")
        assert await app.get("/hours") == [{"asset": "acme/line-1/press-3", "hours": 6.5}]

Samples, events and jobs come in the order of their times, and what the manifest does not grant is refused here as it is
on a platform. `restart` is a crash: what the app has in memory is gone, its tables and documents stay, and the samples
that it was given last come again.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, Final, Self

import numpy as np

from headrace.model.batch import Batch
from headrace.model.errors import AccessError, ConfigError, NotFound
from headrace.model.events import Event
from headrace.model.places import lies_at
from headrace.model.time import SECOND_NS, parse_time_ns
from headrace.sdk.access import DEFAULT_TENANT, Action
from headrace.sdk.apps.app import App, Job
from headrace.sdk.apps.context import Samples
from headrace.sdk.apps.manifest import FILE, AppManifest, read_manifest
from headrace.sdk.apps.reading import LANGUAGES
from headrace.sdk.apps.request import Reply, Request
from headrace.sdk.apps.settings import check_settings
from headrace.sdk.apps.sqlite_tables import SqliteTables, TableLimits
from headrace.sdk.apps.translations import Translations
from headrace.sdk.testing.app_context import KitContext
from headrace.sdk.testing.fake_plant import FakePlant

START: Final = "2026-11-26T00:00:00Z"
_TOGETHER_NS: Final = SECOND_NS
_NUMBERS = count(1)

May = Callable[[Action, str], Awaitable[bool]]


async def anything(action: Action, path: str) -> bool:
    """Who asks may do all."""
    del action, path
    return True


class AppUnderTest:
    """Make one with `of`. `app` is what the module declared; `context` what the app is given."""

    def __init__(
        self, load: Callable[[], App], manifest: AppManifest, migrations: Mapping[str, str], texts: Translations,
        plant: FakePlant, settings: Mapping[str, Any], start_ns: int, tenant: str,
    ) -> None:  # fmt: skip
        self._load, self.manifest, self.plant = load, manifest, plant
        self._now_ns = start_ns
        self._place = tempfile.TemporaryDirectory()
        self._tables = None
        granted = manifest.permissions
        if granted.tables_mb:
            limits = TableLimits(bytes=granted.tables_mb * 1_000_000)
            self._tables = SqliteTables(Path(self._place.name) / "app.db", migrations, limits)
        checked = check_settings(manifest.settings, settings)
        self.context = KitContext(manifest, plant, self._tables, texts, checked, lambda: self._now_ns, tenant)
        self.app = load()
        self._last: dict[str, int] = {}
        self._given: list[Samples] = []

    @classmethod
    def of(
        cls, folder: Path | str, plant: FakePlant | None = None, *, settings: Mapping[str, Any] | None = None,
        start: str = START, tenant: str = DEFAULT_TENANT,
    ) -> AppUnderTest:  # fmt: skip
        """`folder` holds its manifest; or the name of a package that does, `headrace.apps.energy`.

        Raises: ConfigError, as the platform does when it is installed.
        """
        package = folder if isinstance(folder, str) and "/" not in folder else ""
        where = _folder_of(package) if package else Path(folder)
        manifest = read_manifest((where / FILE).read_text("utf-8"), str(where / FILE))
        migrations = {one.name: one.read_text("utf-8") for one in sorted((where / "migrations").glob("*.sql"))}
        locale = {one: where / "locale" / f"{one}.toml" for one in LANGUAGES}
        texts = Translations.read({one: path.read_text("utf-8") for one, path in locale.items() if path.exists()})
        for page in manifest.pages:
            if not (where / page.file).is_file():
                raise ConfigError(f"page '{page.name}' has no file {page.file}", file=str(where / FILE))

        def load() -> App:
            return _app_of(_loaded(where, manifest.module, package), manifest)

        return cls(
            load, manifest, migrations, texts, plant or FakePlant(), settings or {}, parse_time_ns(start), tenant
        )

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for body in self.app.stops:
                await body(self.context)
        if self._tables is not None:
            self._tables.close()
        self._place.cleanup()

    # --- time ---------------------------------------------------------------------------------------------------------

    @property
    def now_ns(self) -> int:
        return self._now_ns

    async def run_until(self, time: str | int) -> None:
        """Everything that comes up to and including a moment. What comes within a second comes together."""
        until_ns = parse_time_ns(time) if isinstance(time, str) else time
        while (at_ns := self._next_ns(until_ns)) is not None:
            samples, events = self.plant.take(min(at_ns, until_ns))
            self._now_ns = max(self._now_ns, at_ns)
            await self._give(samples, events)
            for job, due_ns in self._due(at_ns):
                await self._run(job, due_ns)
        self._now_ns = max(self._now_ns, until_ns)

    async def run_for(self, seconds: float) -> None:
        await self.run_until(self._now_ns + round(seconds * SECOND_NS))

    async def down_until(self, time: str) -> None:
        """It does not run until then; what passes meanwhile it is given afterwards, jobs as they say."""
        until_ns = parse_time_ns(time)
        missed, _ = self.plant.take(until_ns)
        due = {job.name: list(self._times(job, until_ns)) for job in self.app.jobs}
        self._now_ns = until_ns
        await self.restart()
        await self._give(missed, [])
        for job in self.app.jobs:
            times = due.get(job.name, [])
            for due_ns in times if job.catch_up else times[-1:]:
                await self._run(job, due_ns)

    async def restart(self) -> None:
        """As after a crash."""
        self.app = self._load()
        await self._start(again=True)
        given, self._given = self._given[-1:], []
        for samples in given:
            await self._give(samples, [])

    # --- people -------------------------------------------------------------------------------------------------------

    async def request(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None, body: bytes = b"",
        user: str = "anna", language: str = "en", may: May = anything,
    ) -> Reply:  # fmt: skip
        """Raises: NotFound; AccessError where `may` says no to the right of the route on the whole of the app; what the
        route raises."""
        found = self.app.find(method, path)
        if found is None:
            raise NotFound(f"{self.manifest.name} has no route {method} {path}")
        route, params = found
        if not await may(route.action, ""):
            raise AccessError(f"{user} may not {route.action.value} here")
        asked = Request(method, path, params, dict(query or {}), body, "application/json", user, language, may)
        return Reply.of(await route.body(self.context, asked))

    async def get(self, path: str, **asked: Any) -> Any:
        """The JSON that it answers; bytes where that is none."""
        return _plain(await self.request("GET", path, **asked))

    async def post(self, path: str, data: Any = None, *, method: str = "POST", **asked: Any) -> Any:
        body = b"" if data is None else json.dumps(data).encode()
        return _plain(await self.request(method, path, body=body, **asked))

    @property
    def events(self) -> Sequence[Event]:
        """What it told."""
        return self.context.published

    @property
    def log(self) -> Sequence[str]:
        return [line for _, line in self.context.lines]

    def document(self, name: str) -> bytes:
        return self.context.files[name][1]

    # --- how it runs --------------------------------------------------------------------------------------------------

    async def _start(self, *, again: bool = False) -> None:
        if not again:
            self._last = {job.name: self._now_ns for job in self.app.jobs}
        for body in self.app.starts:
            await body(self.context)

    def _next_ns(self, until_ns: int) -> int | None:
        """The next moment at which something is given, at most `until_ns`."""
        comes_ns = self.plant.next_ns()
        found = [next(self._times(job, until_ns), None) for job in self.app.jobs]
        moments = [one for one in found if one is not None]
        if comes_ns is not None and comes_ns <= until_ns:
            together_ns = -(-comes_ns // _TOGETHER_NS) * _TOGETHER_NS
            moments.append(min(together_ns, until_ns))
        return min(moments, default=None)

    def _times(self, job: Job, until_ns: int) -> Any:
        zone = self.context.settings.get("zone") or "UTC"
        for due_ns in job.schedule.after(self._last.get(job.name, self._now_ns), zone):
            if due_ns > until_ns:
                return
            yield due_ns

    def _due(self, at_ns: int) -> list[tuple[Job, int]]:
        return [(job, due_ns) for job in self.app.jobs for due_ns in self._times(job, at_ns)]

    async def _run(self, job: Job, due_ns: int) -> None:
        self._last[job.name] = max(due_ns, self._last.get(job.name, 0))
        await job.body(self.context, due_ns)

    async def _give(self, samples: Samples, events: Sequence[Event]) -> None:
        readable = [path for path in samples.paths.values() if self.manifest.permissions.reads(path)]
        for handler in self.app.sample_handlers:
            places = handler.wanted(self.context.settings)
            mine = [path for path in readable if any(lies_at(path, place) for place in places)]
            chosen = only(samples, mine)
            if len(chosen):
                await handler.body(self.context, chosen)
        if len(samples):
            self._given = [samples]
        for event_handler in self.app.event_handlers:
            heard = [
                one for one in events
                if self.manifest.permissions.hears(one.type) and self.manifest.permissions.sees(one.subject)
                and any(one.type == t or t == "*" or (t.endswith(".*") and one.type.startswith(t[:-1]))
                        for t in event_handler.types)
            ]  # fmt: skip
            if heard:
                await event_handler.body(self.context, heard)


def only(samples: Samples, paths: Sequence[str]) -> Samples:
    """The samples of these points."""
    wanted = np.array([number for number, path in samples.paths.items() if path in set(paths)], np.uint32)
    parts: list[Batch] = []
    for batch in samples.batches:
        keep = np.isin(batch.handles, wanted)
        if keep.any():
            parts.append(batch if keep.all() else batch.take(keep))
    return Samples(parts, {number: path for number, path in samples.paths.items() if path in set(paths)})


def _plain(reply: Reply) -> Any:
    if reply.status == 204:
        return None
    return json.loads(reply.body) if reply.media_type == "application/json" else reply.body


def _folder_of(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ConfigError(f"there is no package {package}")
    return Path(found.submodule_search_locations[0])


def _loaded(folder: Path, module: str, package: str) -> ModuleType:
    """Anew each time: the modules of the app are forgotten first, so that nothing in their memory is left."""
    if package:
        for name in [one for one in sys.modules if one == f"{package}.{module}"]:
            del sys.modules[name]
        return importlib.import_module(f"{package}.{module}")
    name = f"_app_under_test_{next(_NUMBERS)}"
    made = ModuleType(name)
    made.__path__ = [str(folder)]
    sys.modules[name] = made
    try:
        return importlib.import_module(f"{name}.{module}")
    except ModuleNotFoundError as error:
        if error.name == f"{name}.{module}":
            raise ConfigError(f"there is no {module}.py", file=str(folder)) from None
        raise


def _app_of(module: ModuleType, manifest: AppManifest) -> App:
    found = [one for one in vars(module).values() if isinstance(one, App)]
    if len(found) != 1:
        raise ConfigError(f"{manifest.module}.py holds {len(found)} apps; it holds one: `app = App()`")
    return found[0]
