"""Two network namespaces and a wire of our own between them, that delays, drops and cuts packets; for root on Linux.

    edge in <a> 10.99.0.1 ── tun ──► Wire (this process) ──► tun ── 10.99.0.2 hub in <b>

What is lost is lost for TCP itself, as on a real link; no kernel module for it is needed but tun.
"""

from __future__ import annotations

import asyncio
import ctypes
import fcntl
import os
import random
import struct
import subprocess
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

EDGE, HUB = "10.99.0.1", "10.99.0.2"
_TUNSETIFF, _TUN_WITHOUT_HEADER = 0x400454CA, 0x1001
_CLONE_NEWNET = 0x40000000
_QUEUE = 2_000


class Wire:
    def __init__(self, rng: random.Random) -> None:
        self.delay_s, self.loss, self.cut = 0.0, 0.0, False
        self._rng = rng
        self._names = tuple(f"headrace-{os.getpid()}-{end}" for end in "ab")
        self._ends: list[int] = []
        self._waiting = 0

    def inside(self, end: int) -> tuple[str, ...]:
        return ("ip", "netns", "exec", self._names[end])

    async def __aenter__(self) -> Self:
        for name, address in zip(self._names, (EDGE, HUB), strict=True):
            _ip("netns", "add", name)
            self._ends.append(_open_tun(name))
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", "wire")
            _ip("-n", name, "link", "set", "wire", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        loop = asyncio.get_running_loop()
        for here, there in (self._ends, self._ends[::-1]):
            loop.add_reader(here, self._forward, here, there)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for end in self._ends:
            asyncio.get_running_loop().remove_reader(end)
            os.close(end)
        for name in self._names:
            _ip("netns", "del", name)

    def _forward(self, here: int, there: int) -> None:
        packet = os.read(here, 65_536)
        if self.cut or self._rng.random() < self.loss or self._waiting > _QUEUE:
            return
        self._waiting += 1
        asyncio.get_running_loop().call_later(self.delay_s / 2, self._deliver, there, packet)

    def _deliver(self, there: int, packet: bytes) -> None:
        self._waiting -= 1
        if not self.cut:
            try:
                os.write(there, packet)
            except OSError:
                pass  # the end is not up


def possible() -> str:
    """Why not, where it is not."""
    if os.geteuid() != 0:
        return "it needs root"
    return "" if Path("/dev/net/tun").exists() else "there is no /dev/net/tun"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def _open_tun(namespace: str) -> int:
    """A descriptor of this process for an interface of another namespace."""
    opened: list[int] = []

    def enter() -> None:  # a namespace is of a thread
        with Path(f"/run/netns/{namespace}").open() as target:
            if ctypes.CDLL(None, use_errno=True).setns(target.fileno(), _CLONE_NEWNET) != 0:
                return
        found = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(found, _TUNSETIFF, struct.pack("16sH22x", b"wire", _TUN_WITHOUT_HEADER))
        opened.append(found)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if not opened:
        raise OSError(f"no tun interface can be made in {namespace}")
    return opened[0]
