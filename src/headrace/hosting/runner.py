"""One app of one tenant at work: a process of its own, held to what it was granted.

    run ─► its tables, documents, positions ─► process ─ load, fences ─► start ─┬─ samples   each at least once
                          ▲                                                     ├─ events    from now on
                          │ after a while, longer each time                     ├─ jobs      when they are due
                          └───────── it ended: memory, a crash, too slow ◄──────┴─ requests  of people and programs
                                     └─ too often in a row: halted, with the reason

One call at a time in the order of their coming; requests that only read go beside. What a handler raises is counted,
shown and told to whoever asked, and the app goes on. What its process may not: `sdk/jail.py`; what it is answered:
`answers.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from headrace.hosting import declaring
from headrace.hosting.abilities import Abilities, AppHealth, AppState, Declared
from headrace.hosting.answers import Answers
from headrace.hosting.documents import AppDocuments
from headrace.hosting.figures import Figures, use_of
from headrace.hosting.giving import Giver
from headrace.hosting.granted import Granted
from headrace.hosting.http import AppHttp
from headrace.hosting.importer import PACKAGE
from headrace.hosting.process import AppProcess
from headrace.hosting.tables import AppTables, migrations_of
from headrace.model.errors import ConfigError, DataError, HeadraceError, LimitReached, NotFound, Unavailable
from headrace.sdk.apps import AppManifest, Permissions, Reply, Request
from headrace.sdk.apps.app import find_route
from headrace.sdk.apps.request import REPLY_BYTES_MAX
from headrace.sdk.clock import Clock

ENDS_MAX: Final = 5
"""So often in a row it may end before it is halted."""
STEADY_S: Final = 60.0
BACK_OFF_S: Final = (1.0, 2.0, 5.0, 15.0, 30.0)
PING_S: Final = 30.0
STOP_S: Final = 10.0
WAITING_MAX: Final = 64
LOAD_S: Final = 60.0


class AppRunner:
    """Make one, `run` it in a task, `stop` it; it is not run twice."""

    def __init__(
        self, manifest: AppManifest, sources: Mapping[str, bytes], *, grants: Permissions, tenant: str,
        settings: Mapping[str, Any], abilities: Abilities, folder: Path, clock: Clock, trusted: bool = False,
        package: str = "", open_fences: bool = False,
    ) -> None:  # fmt: skip
        """`sources`: all files of the app by their path within its folder (`app.py`, `migrations/0001-a.sql`).
        `folder`: where what it keeps lies, of this app and tenant alone. `settings` are checked ones, secrets opened.
        `trusted`: no fences. `package`: the name under which its modules import each other, for one that is part of
        this platform (`headrace.apps.energy`). `open_fences`: run it also where the system filters no system calls.

        Raises: ConfigError for migrations that are no text.
        """
        self.manifest, self.tenant, self._folder, self._clock = manifest, tenant, folder, clock
        self._settings, self._abilities = settings, abilities
        self._hello = {
            "app": manifest.name, "tenant": tenant, "module": manifest.module, "package": package or PACKAGE,
            "imports": list(manifest.imports), "sources": dict(sources), "settings": dict(settings),
            "memory_bytes": manifest.limits.memory_mb * 1_000_000, "trusted": trusted, "open_fences": open_fences,
        }  # fmt: skip
        call_s = manifest.limits.call_s
        self._granted = Granted(grants, abilities, clock)
        self.tables = AppTables(folder, migrations_of(sources), megabytes=grants.tables_mb, call_s=call_s)
        self.documents = AppDocuments(folder, megabytes=grants.documents_mb, now_ns=clock.now_ns)
        self._http = AppHttp(grants.hosts, abilities.reach)
        self._answers = Answers(
            manifest.name, tenant, self._granted, abilities, self.tables, self.documents, self._http, clock
        )
        zone = settings.get("zone")
        self._giver = Giver(
            manifest.name, tenant, self._granted, abilities, folder, clock,
            zone if isinstance(zone, str) and zone else "UTC", self._given,
        )  # fmt: skip
        self._loaded = declaring.Loaded(Declared(), ())
        self._process: AppProcess | None = None
        self._life: asyncio.Future[str] | None = None
        self._wrong = False
        self._turn, self._waiting = asyncio.Lock(), 0
        self._calling = set[asyncio.Task[Any]]()
        self._state, self._reason = AppState.STARTING, ""
        self._started_ns: int | None = None
        self._changed, self._stopping, self._again = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._figures = Figures(clock)
        self._done = asyncio.Event()

    # --- its life ----------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until stopped. Raises nothing for what the app does: `health` says how it fares."""
        pumping: asyncio.Task[None] | None = None
        try:
            if await self._opened():
                pumping = asyncio.create_task(self._giver.pump())
                await self._supervise()
        finally:
            if pumping is not None:
                pumping.cancel()
                await asyncio.gather(pumping, return_exceptions=True)
            self._set(AppState.STOPPED if self._stopping.is_set() else self._state, self._reason)
            await self._closed()
            self._done.set()

    async def stop(self) -> None:
        """In good order: `on_stop` is called; what it was given is kept. Returns once its process is gone."""
        self._stopping.set()
        self._again.set()
        if self._life is not None and self._state is AppState.STARTING:
            self._life.cancel()
        await self._done.wait()

    def restart(self) -> None:
        """Also one that is halted."""
        self._again.set()

    async def wait_until_running(self) -> None:
        """Raises: Unavailable with the reason where it halts or is stopped."""
        while self._state is not AppState.RUNNING:
            if self._state in (AppState.HALTED, AppState.STOPPED):
                raise Unavailable(f"{self.manifest.name} does not run: {self._reason or self._state.value}")
            self._changed.clear()
            await self._changed.wait()

    async def _opened(self) -> bool:
        """What it keeps, before anything of it runs. Until it can be: halted, and tried again when somebody says so."""
        while not self._stopping.is_set():
            try:
                await self.tables.open()
                await self.documents.open()
                await self._granted.refresh()
                await self._giver.open()
                return True
            except (HeadraceError, OSError) as error:
                self._figures.fail(str(error))
                await self._halt(str(error))
        return False

    async def _closed(self) -> None:
        await self._giver.close()
        await self._http.close()
        await self.tables.close()

    async def _supervise(self) -> None:
        ends = 0
        while not self._stopping.is_set():
            self._again.clear()
            self._set(AppState.STARTING, self._reason)
            started_s = self._clock.monotonic_s()
            self._life = asyncio.ensure_future(self._lived())
            try:
                why = await self._life
            except asyncio.CancelledError:
                if not self._life.cancelled() or not self._stopping.is_set():
                    self._life.cancel()
                    await asyncio.gather(self._life, return_exceptions=True)
                    raise
                return
            if self._stopping.is_set():
                return
            self._figures.restarts += 1
            if self._again.is_set():  # somebody asked for it
                ends = 0
                continue
            if self._clock.monotonic_s() - started_s > STEADY_S:
                ends = 0
            ends += 1
            self._figures.fail(why)
            self._figures.said([f"ended: {why}"])
            if ends >= ENDS_MAX or self._wrong:
                await self._halt(why if self._wrong else f"it ended {ends} times in a row; the last time, {why}")
                ends = 0
                continue
            self._set(AppState.WAITING, why)
            await self._pause(BACK_OFF_S[min(ends, len(BACK_OFF_S)) - 1])

    async def _lived(self) -> str:
        """From its start to its end; why it ended. `_wrong` says that it would end so again."""
        self._wrong = False
        try:
            process = await AppProcess.start(self._hello, self, self._clock, load_s=LOAD_S)
        except HeadraceError as error:
            self._wrong = isinstance(error, ConfigError)
            return f"it does not load: {error}"
        self._process = process
        try:
            self._loaded = declaring.read(process.declared)
            workers = await self._giver.want(self._loaded)
            await self._call("start", "start", None, process)
            self._started_ns = self._clock.now_ns()
            self._set(AppState.RUNNING, "")
            await self._fed(process, workers)
            why = process.why
            if self._stopping.is_set() and not process.ended.is_set():
                await self._leave(process)
        except HeadraceError as error:
            why, self._wrong = str(error), isinstance(error, ConfigError)
        except OSError as error:
            why = f"what it keeps cannot be written: {error}"
        finally:
            self._process, self._started_ns = None, None
            await asyncio.shield(process.kill("it was stopped"))
        return why or "it was stopped"

    async def _fed(self, process: AppProcess, workers: Sequence[Callable[[], Awaitable[None]]]) -> None:
        """Gives it what comes, until it ends or is to stop. Raises: HeadraceError, OSError."""
        every: list[Callable[[], Awaitable[None]]] = [partial(self._ping, process), *workers]
        working = [asyncio.ensure_future(one()) for one in every]
        ends = [asyncio.create_task(one.wait()) for one in (process.ended, self._again)]
        try:
            while not any(one.done() for one in ends):
                waiting = [*ends, *(one for one in working if not one.done())]
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for one in done:
                    error = one.exception()
                    if error is not None and not process.ended.is_set():
                        raise error
        finally:
            for one in (*working, *ends):
                one.cancel()
            await asyncio.gather(*working, *ends, return_exceptions=True)
        await self._giver.keep()

    async def _leave(self, process: AppProcess) -> None:
        within_s = min(STOP_S, self.manifest.limits.call_s)
        try:
            async with asyncio.timeout(within_s):
                async with self._turn:
                    with self._figures.counted("stop"):
                        await process.call("stop", None, within_s=within_s)
        except (HeadraceError, TimeoutError) as error:
            self._figures.said([f"on_stop: {error}"])

    async def _halt(self, why: str) -> None:
        self._set(AppState.HALTED, why)
        await self._again.wait()
        self._again.clear()

    async def _pause(self, delay_s: float) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(delay_s))
        waiting = asyncio.ensure_future(self._again.wait())
        try:
            await asyncio.wait({sleeping, waiting}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            waiting.cancel()

    def _set(self, state: AppState, reason: str) -> None:
        self._state, self._reason = state, reason
        self._changed.set()

    # --- what it is given --------------------------------------------------------------------------------------------

    async def _call(self, counted: str, kind: str, body: Any, process: AppProcess | None = None, **more: Any) -> Any:
        """Raises: as `AppProcess.call`; Unavailable where it does not run."""
        process = process or self._process
        if process is None:
            raise Unavailable(f"{self.manifest.name} does not run: {self._reason or self._state.value}")
        with self._figures.counted(counted):
            return await process.call(kind, body, within_s=self.manifest.limits.call_s, **more)

    async def _given(self, counted: str, kind: str, body: Any) -> None:
        """A call of ours, in its turn. Raises only where the process ended amidst: then it is to be given again."""
        process = self._process
        try:
            await self._in_turn(counted, kind, body, process)
        except HeadraceError:
            if process is None or process.ended.is_set():
                raise

    async def _in_turn(self, counted: str, kind: str, body: Any, process: AppProcess | None, **more: Any) -> Any:
        """To its end: who gives up meanwhile lets nobody in before it is done. Raises: as `_call`."""

        async def alone() -> Any:
            async with self._turn:
                return await self._call(counted, kind, body, process, **more)

        calling = asyncio.create_task(alone())
        self._calling.add(calling)
        calling.add_done_callback(self._called)
        return await asyncio.shield(calling)

    def _called(self, calling: asyncio.Task[Any]) -> None:
        self._calling.discard(calling)
        if not calling.cancelled():
            calling.exception()  # whoever waited has heard it

    async def _ping(self, process: AppProcess) -> None:
        """One that waits for nothing and answers nothing is noticed too."""
        while True:
            await self._clock.sleep(PING_S)
            await self._granted.refresh()
            await process.call("ping", None, within_s=max(self.manifest.limits.call_s, STOP_S))

    async def request(self, request: Request) -> Reply:
        """Raises: NotFound for no route; Unavailable while it does not run, or was stopped amidst; LimitReached where
        it takes too long or too many wait; whatever HeadraceError the route raised; DataError for another exception."""
        process = self._process
        if process is None or self._state is not AppState.RUNNING:
            raise Unavailable(f"{self.manifest.name} does not run: {self._reason or self._state.value}")
        routes = self._loaded.declared.routes
        found = find_route(routes, request.method, request.path)
        if found is None:
            raise NotFound(f"{self.manifest.name} has no {request.method} {request.path}")
        route, params = found
        if self._waiting >= WAITING_MAX:
            raise LimitReached(f"{self.manifest.name} is asked more than it answers; ask again later")
        fields = {
            "method": request.method, "path": request.path, "params": params, "query": dict(request.query),
            "body": request.body, "media_type": request.media_type, "user": request.user, "language": request.language,
        }  # fmt: skip
        self._waiting += 1
        try:
            call = self._call if request.method == "GET" else self._in_turn
            body = [routes.index(route), fields]
            answer = await call(f"{route.method} {route.path}", "request", body, process, may=request.may)
        finally:
            self._waiting -= 1
        return _checked(answer)

    # --- what it asks (process.Household) ----------------------------------------------------------------------------

    def stamp(self) -> tuple[int, int]:
        return self._clock.now_ns(), self._granted.revision

    async def answer(self, what: str, values: Sequence[Any]) -> Any:
        self._figures.asks += 1
        try:
            return await self._answers.answer(what, values)
        except HeadraceError:
            self._figures.asks_refused += 1
            raise

    def logged(self, lines: Sequence[str]) -> None:
        self._figures.said(lines)

    # --- what is known of it -----------------------------------------------------------------------------------------

    @property
    def declared(self) -> Declared:
        """Empty until it was loaded for the first time."""
        return replace(self._loaded.declared, jobs=self._giver.jobs())

    def health(self) -> AppHealth:
        process, figures, feed = self._process, self._figures, self._giver.feed
        cpu_s, memory_bytes = use_of(None if process is None else process.pid)
        return AppHealth(
            self._state, self._reason, figures.failure, figures.failed_ns, self._started_ns,
            process is not None and process.fences, figures.restarts, cpu_s, memory_bytes, figures.calls(),
            0 if feed is None else feed.given, 0 if feed is None else feed.from_history,
            self._giver.events_given, self._giver.events_dropped, figures.asks, figures.asks_refused,
            self.tables.held_bytes, self.documents.held_bytes, tuple(figures.log),
        )  # fmt: skip


def _checked(answer: Any) -> Reply:
    """Raises: DataError for what is no answer of a route: `api/` sends it as it is."""
    if not isinstance(answer, Reply) or not isinstance(answer.body, bytes) or len(answer.body) > REPLY_BYTES_MAX:
        raise DataError("the app answered something that is no answer")
    texts = (answer.media_type, answer.file)
    if not all(isinstance(one, str) and len(one) < 256 and one.isprintable() for one in texts):
        raise DataError("the app answered with a media type or a file name that is none")
    if type(answer.status) is not int or not 200 <= answer.status < 300:
        raise DataError("the app answered with a status that is none of success")
    return answer
