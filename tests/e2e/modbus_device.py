"""A counting Modbus device in a process of its own, so that it can die like one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from types import TracebackType
from typing import Self

from tests.e2e.platform_process import environment

_PROGRAM = """
import asyncio, sys
import numpy as np
from headrace.connect.drivers.modbus.simulator import Banks, ModbusServer

async def main(port: int, counters: int) -> None:
    banks = Banks()
    async with ModbusServer({1: banks}, port=port) as server:
        print(server.port, flush=True)
        count = 0
        while True:
            count += 1
            banks.holding[: 2 * counters] = np.tile(np.array([count], ">u4").view(">u2"), counters)
            await asyncio.sleep(0.02)

asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
"""


class DeviceProcess:
    """So many uint32 counters in holding registers 0, 2, 4 …; the same port after each start."""

    def __init__(self, counters: int = 64) -> None:
        self.port = 0
        self.counters = counters
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(self.port), str(self.counters)],
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
