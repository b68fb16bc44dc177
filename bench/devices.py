"""Devices under load for the benches, each kind in a process of its own so that its CPU is not the platform's.

python -m bench.devices modbus SERVERS POINTS    prints the ports; float32 in holding registers, new values at 20 Hz
python -m bench.devices clock                    prints a port; a float64 at holding 0 is the device's time in seconds
python -m bench.devices opcua POINTS HZ          prints the address; float64 that all change HZ times a second
"""

from __future__ import annotations

import asyncio
import sys
import time

import numpy as np

from headrace.connect.drivers.modbus.simulator import Banks, ModbusServer

UPDATE_S = 0.05
CLOCK_S = 0.002


async def modbus(servers: int, points: int) -> None:
    banks = [Banks() for _ in range(servers)]
    running = [ModbusServer({1: bank}) for bank in banks]
    for server in running:
        await server.start()
    print(" ".join(str(server.port) for server in running), flush=True)
    phase = np.arange(points, dtype=np.float64)
    while True:
        values = (50 + 40 * np.sin(phase / 7 + time.monotonic())).astype(">f4").view(">u2")
        for bank in banks:
            bank.holding[: 2 * points] = values
        await asyncio.sleep(UPDATE_S)


async def clock() -> None:
    banks = Banks()
    async with ModbusServer({1: banks}) as server:
        print(server.port, flush=True)
        while True:
            banks.holding[:4] = np.array([time.time()], ">f8").view(">u2")
            await asyncio.sleep(CLOCK_S)


async def opcua(points: int, hertz: float) -> None:
    from headrace.connect.drivers.opcua.simulator import SimulatedServer

    async with SimulatedServer(0, counters=points) as server:
        print(server.url, flush=True)
        while True:
            began_s = time.monotonic()
            await server.change(points)
            await asyncio.sleep(max(0.0, 1 / hertz - (time.monotonic() - began_s)))


def main() -> None:
    kind, *numbers = sys.argv[1:]
    if kind == "modbus":
        asyncio.run(modbus(int(numbers[0]), int(numbers[1])))
    elif kind == "clock":
        asyncio.run(clock())
    else:
        asyncio.run(opcua(int(numbers[0]), float(numbers[1])))


if __name__ == "__main__":
    main()
