"""The platform's end of an app's process: starts it, gives it calls, answers what it asks, and ends it.

    start ─ hello ─► ready: what it declared
    call  ─────────► done    in time, or the process is killed: nothing else stops what others wrote
    ask   ◄────────  answer  a few at a time; while more wait, nothing is read, and the app waits in its own pipe

What comes from it is bytes of a stranger: a frame that is none, too long, or about nothing that was asked ends it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from headrace.hosting.words import Frames, heard_error, pack, told_error, unpack
from headrace.model.errors import ConfigError, DataError, HeadraceError, LimitReached, Unavailable
from headrace.sdk.access import Action
from headrace.sdk.apps.context import Rows
from headrace.sdk.apps.request import May
from headrace.sdk.children import bare_environment
from headrace.sdk.clock import Clock
from headrace.sdk.nursery import Child, Nursery

_log = logging.getLogger(__name__)
LOAD_S: Final = 60.0
ASKS_MAX: Final = 16
ASKED_BYTES_MAX: Final = 96 * 1024 * 1024
FRAMES_PER_S_MAX: Final = 5_000
LINES_MAX: Final = 1_000
AT_ONCE_BYTES_MAX: Final = 128 * 1024
CELLS_AT_ONCE_MAX: Final = 5_000
WORDS_AT_ONCE_MAX: Final = 200
_READ_BYTES: Final = 1 << 20
_SINGLE: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
NURSERY: Final = Nursery(
    "headrace.hosting.child",
    {
        **bare_environment(), **_SINGLE, "ARROW_DEFAULT_MEMORY_POOL": "system", "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
    },
)  # fmt: skip
"""All apps are copies of one process that has imported what they share."""


class Household(Protocol):
    """Who answers for the platform."""

    def stamp(self) -> tuple[int, int]:
        """The time now, ns, and the revision of the plant: each message says them."""
        ...

    async def answer(self, what: str, values: Sequence[Any]) -> Any:
        """What an app asked. Raises: HeadraceError, which the app hears."""
        ...

    def logged(self, lines: Sequence[str]) -> None: ...


@dataclass(slots=True)
class _Call:
    done: asyncio.Future[Any]
    may: May | None


class AppProcess:
    """Made by `start`; once `ended` is set it does nothing any more, and `why` says why it ended."""

    def __init__(self, child: Child, household: Household, clock: Clock) -> None:
        self._child, self._household, self._clock = child, household, clock
        self._calls: dict[int, _Call] = {}
        self._number = 0
        self._asked = self._asked_bytes = 0
        self._answering = set[asyncio.Task[None]]()
        self._room = asyncio.Event()
        self._writing = asyncio.Lock()
        self._ready: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._reading = asyncio.create_task(self._read())
        self.ended = asyncio.Event()
        self.why = ""
        self.fences = False
        self.declared: Mapping[str, Any] = {}

    @classmethod
    async def start(
        cls, hello: Mapping[str, Any], household: Household, clock: Clock, *, load_s: float = LOAD_S,
        nursery: Nursery = NURSERY,
    ) -> AppProcess:  # fmt: skip
        """Raises: ConfigError for an app that does not load; Unavailable where it cannot be started or fenced in;
        LimitReached where it takes too long."""
        try:
            child = await nursery.start()
        except OSError as error:
            raise Unavailable("no process could be started for the app", detail=repr(error)) from None
        process = cls(child, household, clock)
        try:
            now_ns, revision = household.stamp()
            async with asyncio.timeout(load_s):
                await process._write(pack({"t": "hello", **hello, "now_ns": now_ns, "revision": revision}))
                said = await process._ready
            if "error" in said:
                raise _as_load_error(heard_error(said["error"]))
            process.fences, process.declared = bool(said["fences"]), said["declared"]
            if not isinstance(process.declared, dict):
                raise DataError("the app declared nothing that can be read")
            return process
        except TimeoutError:
            await process.kill(f"it took longer than {load_s:g} s to load")
            raise LimitReached(f"the app took longer than {load_s:g} s to load") from None
        except (HeadraceError, KeyError) as error:
            await process.kill("it did not load")
            raise error if isinstance(error, HeadraceError) else ConfigError("the app did not load") from None
        except BaseException:
            await process.kill("it was stopped while it loaded")
            raise

    @property
    def pid(self) -> int | None:
        return self._child.pid

    async def call(self, kind: str, body: Any, *, within_s: float, may: May | None = None) -> Any:
        """Raises: what the handler raised, of ours as it is; DataError for anything else; LimitReached where it took
        too long, and Unavailable where the process ended amidst."""
        if self.ended.is_set():
            raise Unavailable(f"the app ended: {self.why}")
        self._number += 1
        number = self._number
        call = self._calls[number] = _Call(asyncio.get_running_loop().create_future(), may)
        now_ns, revision = self._household.stamp()
        data = pack({"t": "call", "id": number, "kind": kind, "body": body, "now_ns": now_ns, "revision": revision})
        try:
            async with asyncio.timeout(within_s):
                await self._write(data)
                return await call.done
        except TimeoutError:
            await self.kill(f"a call of it took longer than {within_s:g} s")
            raise LimitReached(f"the app was stopped: a call of it took longer than {within_s:g} s") from None
        finally:
            self._calls.pop(number, None)
            if call.done.done() and not call.done.cancelled():
                call.done.exception()

    async def kill(self, why: str) -> None:
        """Returns once it is gone."""
        self._end(why)
        self._child.kill()
        for task in (self._reading, *self._answering):
            task.cancel()
        await asyncio.gather(self._reading, *self._answering, return_exceptions=True)
        await self._child.wait()

    def _end(self, why: str) -> None:
        if self.ended.is_set():
            return
        self.why = why
        self.ended.set()
        for call in self._calls.values():
            if not call.done.done():
                call.done.set_exception(Unavailable(f"the app ended: {why}"))
        if not self._ready.done():
            self._ready.set_exception(Unavailable(f"the app ended while it loaded: {why}"))
            self._ready.exception()

    # --- what it says ------------------------------------------------------------------------------------------------

    async def _read(self) -> None:
        frames, count, since_s = Frames(), 0, self._clock.monotonic_s()
        why = "its process is gone: memory, or a crash"
        try:
            while data := await self._child.stdout.read(_READ_BYTES):
                for frame in frames.feed(data):
                    while self._asked >= ASKS_MAX or self._asked_bytes > ASKED_BYTES_MAX:
                        self._room.clear()
                        await self._room.wait()
                    if len(frame) > AT_ONCE_BYTES_MAX:  # in a thread: nobody else waits for a large one
                        said = await asyncio.to_thread(unpack, frame, from_app=True)
                    else:
                        said = unpack(frame, from_app=True)
                    self._heard(said, len(frame))
                    count += 1
                await asyncio.sleep(0)  # one who talks on and on has the loop no longer than others
                if count > FRAMES_PER_S_MAX:
                    past_s = self._clock.monotonic_s() - since_s
                    if past_s < 1:
                        await self._clock.sleep(1 - past_s)
                    count, since_s = 0, self._clock.monotonic_s()
        except DataError as error:
            why = f"it said what is no message: {error}"
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            why = f"it said what is no message: {type(error).__name__}"
        except OSError as error:
            why = f"its pipe broke: {error}"
        self._end(why)
        self._child.kill()

    def _heard(self, said: dict[str, Any], size: int) -> None:
        """Raises: DataError, KeyError, TypeError, ValueError for nonsense."""
        match said["t"]:
            case "ask":
                number, call, what, values = (said[one] for one in ("id", "call", "what", "body"))
                if not (isinstance(number, int) and isinstance(call, int) and isinstance(what, str)):
                    raise DataError("an ask that asks nothing")
                if not isinstance(values, list):
                    raise DataError("an ask without values")
                task = asyncio.create_task(self._answer(number, call, what, values, size))
                self._asked += 1
                self._asked_bytes += size
                self._answering.add(task)
                task.add_done_callback(self._answering.discard)
            case "done":
                call_ = self._calls.get(said["id"])
                if call_ is None or call_.done.done():
                    return  # it was given up meanwhile
                if "error" in said:
                    call_.done.set_exception(heard_error(said["error"]))
                else:
                    call_.done.set_result(said["body"])
            case "log":
                lines = said["lines"]
                if not isinstance(lines, list) or len(lines) > LINES_MAX:
                    raise DataError("a log of no lines")
                self._household.logged([str(one)[:2_000] for one in lines])
            case "ready" | "failed":
                if self._ready.done():
                    raise DataError("it was ready before")
                self._ready.set_result(said)
            case _:
                raise DataError("a message of no kind that there is")

    async def _answer(self, number: int, call: int, what: str, values: list[Any], size: int) -> None:
        try:
            try:
                told = {"body": await self._answered(call, what, values)}
                data = (
                    await asyncio.to_thread(self._packed, number, told)
                    if _is_large(told["body"])
                    else (self._packed(number, told))
                )
            except HeadraceError as error:
                data = self._packed(number, {"error": told_error(error)})
            except Exception:  # ours, so it is told as ours; the app waits no longer
                _log.exception("an app's '%s' could not be answered", what[:60])
                data = self._packed(number, {"error": told_error(Unavailable(f"{what[:60]} could not be answered"))})
            with suppress(ConnectionError, OSError):
                await self._write(data)
        finally:
            self._asked -= 1
            self._asked_bytes -= size
            self._room.set()

    async def _answered(self, call: int, what: str, values: list[Any]) -> Any:
        if what != "may":
            return await self._household.answer(what, values)
        asking = self._calls.get(call)
        if asking is None or asking.may is None:
            return False  # nobody asks any more, or nobody did
        action, path = values if len(values) == 2 else ("", "")
        if not isinstance(path, str) or action not in [one.value for one in Action]:
            raise DataError("a right is asked of an action on a path")
        return await asking.may(Action(action), path)

    def _packed(self, number: int, told: Mapping[str, Any]) -> bytes:
        now_ns, revision = self._household.stamp()
        return pack({"t": "answer", "id": number, **told, "now_ns": now_ns, "revision": revision})

    async def _write(self, data: bytes) -> None:
        async with self._writing:
            if self.ended.is_set():
                return
            try:
                self._child.stdin.write(data)
                await self._child.stdin.drain()
            except OSError:
                self._end(self.why or "its process is gone: memory, or a crash")


def _is_large(answer: Any) -> bool:
    """Whether it takes long to put into words."""
    if isinstance(answer, Rows):
        return len(answer.rows) * len(answer.columns) > CELLS_AT_ONCE_MAX
    return isinstance(answer, Sized) and not isinstance(answer, str | bytes) and len(answer) > WORDS_AT_ONCE_MAX


def _as_load_error(error: HeadraceError) -> HeadraceError:
    return error if isinstance(error, ConfigError | Unavailable) else ConfigError(str(error))
