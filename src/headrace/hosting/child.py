"""The process of an app: `python -m headrace.hosting.child`, spoken to over its pipes; `process.py` is the other end.

hello ─► what it may import is imported ─► fences ─► the app's module runs for the first time ─► what it declared
call ──► its handler, with a Context that asks ─► done       several at once: the platform says which may
stdin ends ─► so does the process

What it prints goes to its log. Its event loop waits with poll(2), which the fences let through.
"""

from __future__ import annotations

import asyncio
import contextvars
import importlib
import os
import pkgutil
import select
import selectors
import signal
import sys
import time
import traceback
import zoneinfo
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from headrace.hosting.importer import AppImporter
from headrace.hosting.inside import Inside
from headrace.hosting.words import LENGTH, Frames, heard_error, pack, told_error, unpack
from headrace.model.errors import ConfigError, HeadraceError, Unavailable
from headrace.sdk.access import Action
from headrace.sdk.apps import App, Reply, Request
from headrace.sdk.apps.translations import Translations
from headrace.sdk.jail import confine, seal

#: What an app may import of Python: nothing can be read from disk once the fences are up.
READY: Final = (
    "abc", "array", "base64", "binascii", "bisect", "calendar", "cmath", "codecs", "collections", "collections.abc",
    "colorsys", "configparser", "contextlib", "contextvars", "copy", "csv", "dataclasses", "datetime", "decimal",
    "difflib", "email.message", "email.policy", "enum", "fractions", "functools", "gzip", "hashlib", "heapq", "hmac",
    "html", "html.parser", "http", "inspect", "io", "ipaddress", "itertools", "json", "keyword", "locale", "logging",
    "math", "mimetypes", "numbers", "operator", "pathlib", "pickle", "pprint", "queue", "quopri", "random", "re",
    "secrets", "shlex", "statistics", "string", "struct", "tempfile", "textwrap", "time", "timeit", "tomllib",
    "types", "typing", "unicodedata", "urllib.parse", "uuid", "warnings", "weakref", "xml.dom.minidom",
    "xml.etree.ElementTree", "zipfile", "zlib", "zoneinfo", "_strptime",
    "numpy", "numpy.fft", "numpy.linalg", "numpy.random", "pyarrow", "pyarrow.compute", "pyarrow.csv",
    "headrace.sdk.apps", "headrace.sdk.store", "headrace.sdk.services",
)  # fmt: skip
_ENCODINGS: Final = ("ascii", "latin-1", "utf-8", "utf-8-sig", "utf-16", "gbk", "gb18030", "big5", "idna", "cp1252")
_LINES_TOGETHER: Final = 500
WATCH_S: Final = 2.0
BESIDE_BYTES: Final = 48 * 1024 * 1024
_CALL: Final = contextvars.ContextVar("call", default=0)
_ZONES: Final[list[zoneinfo.ZoneInfo]] = []


def ready() -> None:
    """What all apps share: the nursery does this once."""
    import headrace.model

    for name in (*READY, *(f"headrace.model.{one.name}" for one in pkgutil.iter_modules(headrace.model.__path__))):
        importlib.import_module(name)
    for encoding in _ENCODINGS:
        "a".encode(encoding).decode(encoding)
    time.strptime("2026", "%Y")
    time.localtime()
    for zone in sorted(zoneinfo.available_timezones()):
        with suppress(OSError, ValueError):
            _ZONES.append(zoneinfo.ZoneInfo(zone))  # held, so that asking for it again reads no file


def main() -> None:
    if not _ZONES:
        ready()
    source, sink = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    os.close(nothing)
    hello = unpack(_exactly(source, *LENGTH.unpack(_exactly(source, LENGTH.size))), from_app=False)
    loop = asyncio.SelectorEventLoop(selectors.PollSelector())
    asyncio.set_event_loop(loop)
    try:
        for name in hello["imports"]:
            importlib.import_module(name)
        if parent := hello["package"].rpartition(".")[0]:
            importlib.import_module(parent)
        served = Served(loop, source, sink, hello)
        _watch(source)
        fences = _fence(hello["memory_bytes"], trusted=hello["trusted"])
        if not (fences or hello["trusted"] or hello["open_fences"]):
            raise Unavailable("apps that nobody vouches for cannot run here: this system filters no system calls")
        app = _load(hello)
        samples = [list(one.wanted(hello["settings"])) for one in app.sample_handlers]
    except BaseException as error:
        _written(sink, pack({"t": "failed", "error": told_error(_named(error))}))
        os._exit(1)
    served.begin(app, samples, fences)
    loop.run_forever()


def _watch(source: int) -> None:
    """Ends with the platform, also out of a loop that never comes back to its pipes."""
    ready = select.poll()
    ready.register(source, 0)  # POLLHUP comes unasked

    def look(*_: object) -> None:
        if ready.poll(0):
            os._exit(0)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, WATCH_S, WATCH_S)


def _fence(memory_bytes: int, *, trusted: bool) -> bool:
    """Whether the kernel holds it from now on."""
    if trusted:
        _bound_memory(memory_bytes)
        return False
    _warm()
    numbers = (
        max((int(one.name) for one in Path("/proc/self/fd").iterdir()), default=7) if sys.platform == "linux" else 7
    )
    confine(memory_bytes, _data_bytes(), descriptors=numbers)
    return seal()


def _warm() -> None:
    """Threads and tables that Arrow makes when it is first used."""
    import pyarrow as pa

    pa.set_cpu_count(1)
    table = pa.table({"a": [1, 1], "b": [1.0, 2.0]})
    table.group_by("a").aggregate([("b", "mean")])
    table.filter(pa.compute.greater(table["b"], 1)).sort_by("b")


def _bound_memory(memory_bytes: int) -> None:
    with suppress(ImportError, OSError, ValueError):
        import resource

        held = memory_bytes + _data_bytes()
        resource.setrlimit(resource.RLIMIT_DATA, (held, held))


def _data_bytes() -> int:
    """What Python and the libraries hold before the app has begun, and room for one answer of the platform."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024 + BESIDE_BYTES
    return 256 * 1024 * 1024


def _load(hello: dict[str, Any]) -> App:
    """Raises: whatever the app's module raises; ConfigError where it holds no App."""
    sys.meta_path.insert(0, AppImporter(hello["sources"], hello["package"]))
    module = importlib.import_module(f"{hello['package']}.{hello['module']}")
    found = {id(one): one for one in vars(module).values() if isinstance(one, App)}
    if len(found) != 1:
        raise ConfigError(f"{hello['module']}.py holds {len(found)} apps; write 'app = App()' once, at its top")
    return next(iter(found.values()))


def _named(error: BaseException) -> BaseException:
    """With the line of the app where it came from."""
    if isinstance(error, HeadraceError) and not isinstance(error, ConfigError):
        return error
    lines = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith("/app/")]
    if isinstance(error, SyntaxError):
        return ConfigError(f"{(error.filename or '').removeprefix('/app/')}:{error.lineno}: {error.msg}")
    where = f"{lines[-1].filename.removeprefix('/app/')}:{lines[-1].lineno}: " if lines else ""
    kind = "" if isinstance(error, HeadraceError) else f"{type(error).__name__}: "
    return ConfigError(f"{where}{kind}{error}")


class Served:
    """The app's side of the pipes, in its event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, source: int, sink: int, hello: dict[str, Any]) -> None:
        self._loop, self._source, self._sink = loop, source, sink
        self._frames, self._out, self._lines = Frames(), bytearray(), list[str]()
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._asks, self._tasks = 0, set[asyncio.Task[None]]()
        self._app: App = App()
        texts = Translations.read(
            {
                file.removeprefix("locale/").removesuffix(".toml"): data.decode()
                for file, data in hello["sources"].items()
                if file.startswith("locale/") and file.endswith(".toml")
            }
        )
        self.context = Inside(hello["app"], hello["tenant"], hello["settings"], texts, self._ask, self._log)
        self.context.heard(hello["now_ns"], hello["revision"])
        os.set_blocking(source, False)
        os.set_blocking(sink, False)
        sys.stdout = sys.stderr = _Printed(self._log)

    def begin(self, app: App, samples: list[list[str]], fences: bool) -> None:
        """`samples`: of each of its handlers, the places."""
        self._app = app
        self._loop.add_reader(self._source, self._readable)
        declared = {
            "routes": [[one.method, one.path, one.action.value] for one in app.routes],
            "jobs": [_job(one) for one in app.jobs],
            "samples": samples,
            "events": [list(one.types) for one in app.event_handlers],
        }
        self._send({"t": "ready", "fences": fences, "declared": declared})

    # --- pipes -------------------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        try:
            data = os.read(self._source, 1 << 20)
        except BlockingIOError:
            return
        if not data:
            os._exit(0)  # the platform has ended, or wants no more
        try:
            for frame in self._frames.feed(data):
                self._heard(unpack(frame, from_app=False))
        except HeadraceError as error:  # a word of the platform that we do not know
            self._log(f"this platform said what cannot be read: {error}")
            self._tell_lines()
            os._exit(1)

    def _heard(self, said: dict[str, Any]) -> None:
        self.context.heard(said["now_ns"], said["revision"])
        if said["t"] == "call":
            task = self._loop.create_task(self._call(said["id"], said["kind"], said["body"]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        waiting = self._asked.pop(said["id"], None)
        if waiting is None or waiting.done():
            return
        if "error" in said:
            waiting.set_exception(heard_error(said["error"]))
        else:
            waiting.set_result(said["body"])

    def _send(self, document: dict[str, Any]) -> None:
        data = pack(document, from_app=True)
        self._tell_lines()  # before it: what was logged comes before what it led to
        self._out += data
        self._flush()

    def _flush(self) -> None:
        try:
            while self._out:
                del self._out[: os.write(self._sink, memoryview(self._out)[: 1 << 16])]
        except BlockingIOError:
            self._loop.add_writer(self._sink, self._flush)
            return
        except BrokenPipeError:
            os._exit(0)
        self._loop.remove_writer(self._sink)

    # --- what is asked of the platform -------------------------------------------------------------------------------

    async def _ask(self, what: str, *values: Any) -> Any:
        self._asks += 1
        number = self._asks
        waiting = self._asked[number] = self._loop.create_future()
        try:
            self._send({"t": "ask", "id": number, "call": _CALL.get(), "what": what, "body": list(values)})
            return await waiting
        finally:
            self._asked.pop(number, None)

    def _log(self, message: str) -> None:
        """With others of the same moment: many lines are one message."""
        if not self._lines:
            self._loop.call_soon(self._tell_lines)
        self._lines += [line[:2_000] for line in message.splitlines()[:200]]
        if len(self._lines) >= _LINES_TOGETHER:
            self._tell_lines()

    def _tell_lines(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self._out += pack({"t": "log", "lines": lines}, from_app=True)
            self._flush()

    # --- what the platform asks --------------------------------------------------------------------------------------

    async def _call(self, number: int, kind: str, body: Any) -> None:
        _CALL.set(number)
        try:
            answer = await self._answer(kind, body)
            self._send({"t": "done", "id": number, "body": answer})
        except (Exception, SystemExit, KeyboardInterrupt) as error:  # what is the app's own ends the call, not the app
            if not isinstance(error, HeadraceError):
                self._log("".join(traceback.format_exception(error, limit=-6)))
            self._send({"t": "done", "id": number, "error": told_error(error)})

    async def _answer(self, kind: str, body: Any) -> Any:
        app, context = self._app, self.context
        match kind:
            case "start":
                for start in app.starts:
                    await start(context)
            case "samples":
                await app.sample_handlers[body[0]].body(context, body[1])
            case "events":
                await app.event_handlers[body[0]].body(context, body[1])
            case "job":
                await app.jobs[body[0]].body(context, body[1])
            case "request":
                return await self._request(body)
            case "stop":
                for stop in app.stops:
                    await stop(context)
        return None

    async def _request(self, body: Any) -> Reply:
        at, fields = body

        async def may(action: Action, path: str) -> bool:
            allowed: bool = await self._ask("may", action.value, path)
            return allowed

        return Reply.of(await self._app.routes[at].body(self.context, Request(**fields, may=may)))


class _Printed:
    """Text as a file takes it, by lines to the log."""

    encoding, errors, closed = "utf-8", "replace", False

    def __init__(self, log: Callable[[str], None]) -> None:
        self._log, self._begun = log, ""

    def write(self, text: str) -> int:
        whole, newline, self._begun = (self._begun + text).rpartition("\n")
        if newline and whole:
            self._log(whole)
        if len(self._begun) > 10_000:
            self._begun = self._begun[-10_000:]
        return len(text)

    def flush(self) -> None:
        if self._begun:
            self._log(self._begun)
            self._begun = ""

    def isatty(self) -> bool:
        return False


def _job(job: Any) -> list[Any]:
    schedule = job.schedule
    times = [schedule.every_ns, list(schedule.minutes), sorted(schedule.weekdays), sorted(schedule.month_days)]
    return [job.name, job.catch_up, [*times, schedule.zone]]


def _exactly(source: int, count: int) -> bytes:
    found = bytearray()
    while len(found) < count:
        part = os.read(source, min(count - len(found), 1 << 20))
        if not part:
            os._exit(0)
        found += part
    return bytes(found)


def _written(sink: int, data: bytes) -> None:
    """All of it; the fences let nobody change how a pipe waits."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(sink, view) :]
        except BlockingIOError:
            time.sleep(0.01)


if __name__ == "__main__":
    main()
