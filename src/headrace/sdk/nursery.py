"""Processes that start at once: each is a copy of one that has imported what it needs, and has done nothing yet.

    start ─► nursery (imports a module once) ─► fork ─► child: module.main() over two pipes
                  │ nobody asks for `idle_s`: it ends     └─ killed by whoever asked, through its pidfd
                  └ its asker is gone: it ends

A child inherits imports and nothing else: the nursery speaks to nobody but its asker, and runs nothing itself. Where a
system cannot do this (it takes Linux 5.3) a child is a process of its own from the beginning, half a second later.

Sources: fork(2), pidfd_open(2), unix(7) SCM_RIGHTS.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn, Protocol

IDLE_S: Final = 60.0
READY_S: Final = 30.0
_PIPE_BYTES: Final = 1 << 20


class Child(Protocol):
    """A process and its two pipes."""

    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader

    @property
    def pid(self) -> int | None:
        """Its number, for whoever wants to know what it uses; None once it is gone."""
        ...

    def kill(self) -> None:
        """At once, and as often as anybody likes."""
        ...

    async def wait(self) -> None:
        """Until it is gone."""
        ...


class Nursery:
    """Starts processes that run `main()` of a module. Any thread and any event loop may ask."""

    def __init__(self, module: str, environment: Mapping[str, str], idle_s: float = IDLE_S) -> None:
        self._module, self._environment, self._idle_s = module, dict(environment), idle_s
        self._one = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    async def start(self) -> Child:
        """Raises: OSError."""
        if not _able():
            return await _started_alone(self._module, self._environment)
        asked = asyncio.ensure_future(asyncio.to_thread(self._ask))
        try:
            return await _Forked.of(*await asyncio.shield(asked))
        except asyncio.CancelledError:
            asked.add_done_callback(_unwanted)
            raise

    def close(self) -> None:
        """The nursery ends; children that run go on."""
        with self._one:
            self._end()

    def _ask(self) -> tuple[int, int, int]:
        """The child's pidfd, the end to write into and the end to read from."""
        stdin, into = os.pipe()
        out_of, stdout = os.pipe()
        try:
            return self._fork(stdin, stdout), into, out_of
        except BaseException:
            os.close(into)
            os.close(out_of)
            raise
        finally:
            os.close(stdin)
            os.close(stdout)

    def _fork(self, stdin: int, stdout: int) -> int:
        with self._one:
            for last in (False, True):
                try:
                    if self._socket is None:
                        self._socket = self._begin()
                    socket.send_fds(self._socket, [b"+"], [stdin, stdout])
                    said, given, _, _ = socket.recv_fds(self._socket, 1, 1)
                    if said == b"+" and given:
                        return given[0]
                    raise ConnectionError("no process could be started" if said else "the nursery is gone")
                except OSError:  # it had ended for want of work: a new one
                    self._end()
                    if last:
                        raise
        raise AssertionError

    def _begin(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            number = theirs.fileno()
            command = [sys.executable, "-m", __name__, self._module, str(number), str(self._idle_s)]
            try:
                self._process = subprocess.Popen(
                    command, pass_fds=[number], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL, env=self._environment,
                )  # fmt: skip
            except OSError:
                ours.close()
                raise
        ours.settimeout(READY_S)
        return ours

    def _end(self) -> None:
        process, self._process = self._process, None
        held, self._socket = self._socket, None
        if held is not None:
            held.close()
        if process is not None:
            process.kill()
            process.wait()


class _Forked:
    def __init__(self, pidfd: int, stdin: asyncio.StreamWriter, stdout: asyncio.StreamReader) -> None:
        self.stdin, self.stdout = stdin, stdout
        self._pidfd: int | None = pidfd

    @classmethod
    async def of(cls, pidfd: int, into: int, out_of: int) -> _Forked:
        """Takes the three over, whatever happens."""
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(_PIPE_BYTES, loop)
        try:
            sink, protocol = await loop.connect_write_pipe(
                lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader(), loop=loop), os.fdopen(into, "wb", 0)
            )
            await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(out_of, "rb", 0))
        except BaseException:
            _killed(pidfd)
            os.close(pidfd)
            raise
        return cls(pidfd, asyncio.StreamWriter(sink, protocol, None, loop), reader)

    @property
    def pid(self) -> int | None:
        """Source: pidfd_open(2), /proc/[pid]/fdinfo."""
        if self._pidfd is None:
            return None
        with suppress(OSError, ValueError):
            for line in Path(f"/proc/self/fdinfo/{self._pidfd}").read_text().splitlines():
                if line.startswith("Pid:"):
                    pid = int(line.split()[1])
                    return pid if pid > 0 else None
        return None

    def kill(self) -> None:
        if self._pidfd is not None:
            _killed(self._pidfd)

    async def wait(self) -> None:
        """Also gives back what holds it: pipes and pidfd."""
        pidfd, self._pidfd = self._pidfd, None
        if pidfd is None:
            return
        loop, gone = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(pidfd, gone.set)  # a pidfd can be read once its process has ended
        try:
            await gone.wait()
        finally:
            loop.remove_reader(pidfd)
            os.close(pidfd)
            self.stdin.close()
            transport = getattr(self.stdout, "_transport", None)
            if transport is not None:
                transport.close()


class _Alone:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._process, self.stdin, self.stdout = process, process.stdin, process.stdout

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process.returncode is None else None

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    async def wait(self) -> None:
        await self._process.wait()


async def _started_alone(module: str, environment: Mapping[str, str]) -> Child:
    return _Alone(
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", module, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL, env=dict(environment), limit=_PIPE_BYTES,
        )
    )  # fmt: skip


def _able() -> bool:
    """Whether this system knows processes by a number that nobody else gets."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:
        return False
    return True


def _unwanted(asked: asyncio.Future[tuple[int, int, int]]) -> None:
    """A child that came when nobody waited any longer."""
    if asked.cancelled() or asked.exception() is not None:
        return
    _killed(asked.result()[0])
    for number in asked.result():
        os.close(number)


def _killed(pidfd: int) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def _nurse(module: str, number: int, idle_s: float) -> None:
    """The nursery's own life; returns in nobody."""
    main = importlib.import_module(module)
    ready = getattr(main, "ready", None)
    if ready is not None:
        ready()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel buries them
    with socket.socket(fileno=number) as asker:
        while select.select([asker], [], [], idle_s)[0]:
            said, given, _, _ = socket.recv_fds(asker, 1, 2)
            if not said or len(given) != 2:
                return
            pid = os.fork()
            if pid == 0:
                _become(main.main, number, given)
            for one in given:
                os.close(one)
            try:
                pidfd = os.pidfd_open(pid)
            except OSError:  # gone already
                asker.send(b"-")
                continue
            socket.send_fds(asker, [b"+"], [pidfd])
            os.close(pidfd)


def _become(main: object, number: int, given: list[int]) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for at, one in enumerate(given):
        os.dup2(one, at)
    os.closerange(3, max(number, *given) + 1)
    try:
        assert callable(main)
        main()
    except BaseException:
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    _nurse(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
