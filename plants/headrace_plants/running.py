"""The works behind its servers.

every interval: advance the simulation ─► changed values ─► OPC UA nodes
                                       └► whole columns  ─► Modbus registers
                faults of servers ─► cut, slow, clock jump
a client's write ─► Simulation.write (limits of the machine) ─► the next step feels it
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from headrace.model.batch import ValueKind
from headrace.model.time import SECOND_NS
from headrace_plants.faults import Fault
from headrace_plants.layout import POINTS, SERVERS, PlantPoint
from headrace_plants.modbus_server import Memory, ModbusServer, Slot
from headrace_plants.opcua_server import NodeRow, OpcUaServer
from headrace_plants.registers import UNIT, base_of, register_map
from headrace_plants.simulation import STEP_S, Simulation, as_value

log = logging.getLogger(__name__)

STEPS_A_SLICE = 20  # between two looks at the sockets


@dataclass(frozen=True, slots=True)
class Options:
    """`ports` by server name, 0 for any free one; the usual ones where left out. `speed` is simulated s per real s."""

    host: str = "127.0.0.1"
    ports: Mapping[str, int] = field(default_factory=dict)
    seed: int = 1
    speed: float = 1.0
    interval_s: float = 1.0
    scenario: str = "showcase"
    faults: Sequence[Fault] = ()
    ledger: Path | None = None


class RunningWorks:
    """`async with RunningWorks(options) as works:` servers answer; `await works.run()` keeps the works alive."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.simulation = Simulation(
            options.seed,
            epoch_ns=time.time_ns(),
            scenario=options.scenario,
            faults=options.faults,
            ledger_path=options.ledger,
        )
        self.servers: dict[str, _Cell | _Plc] = {}
        for server in SERVERS:
            port = options.ports.get(server.name, server.port)
            points = [point for point in POINTS if point.machine.server == server.name]
            maker = _Cell if server.protocol == "opcua" else _Plc
            self.servers[server.name] = maker(server.name, points, self.simulation, options.host, port)

    @property
    def ports(self) -> dict[str, int]:
        return {name: server.port for name, server in self.servers.items()}

    async def __aenter__(self) -> RunningWorks:
        try:
            # The quick ones first: a port in use is found before the address spaces are built.
            for server in sorted(self.servers.values(), key=lambda server: isinstance(server, _Cell)):
                await server.start()
            await self.publish()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        await asyncio.gather(*(server.stop() for server in self.servers.values()))
        self.simulation.ledger.close()

    async def run(self) -> None:
        """Until cancelled. A machine that sleeps loses plant time rather than catching up in a burst."""
        due = time.monotonic()
        while True:
            due += self.options.interval_s
            late_s = time.monotonic() - due
            if late_s > 5 * self.options.interval_s:
                log.warning("the plant was held up for %.1f s", late_s)
                due = time.monotonic()
            await asyncio.sleep(max(due - time.monotonic(), 0.0))
            await self.advance(self.options.interval_s * self.options.speed)

    async def advance(self, seconds: float) -> None:
        """Step by simulated `seconds`, then publish."""
        for step in range(max(round(seconds / STEP_S), 1)):
            self.simulation.step_once()
            if step % STEPS_A_SLICE == STEPS_A_SLICE - 1:
                await asyncio.sleep(0)
        self.simulation.measure()
        await self.publish()

    async def publish(self) -> None:
        """Show what the sensors say, and let the faults of servers act."""
        now_ns = time.time_ns()
        for name, server in self.servers.items():
            faults = {fault.kind: fault.amount for fault in self.simulation.server_faults(name)}
            await server.suffer(faults)
            await server.show(now_ns + round(faults.get("clock-jump", 0.0) * SECOND_NS))


class _Server:
    """What both kinds of server share: a link that faults can cut and slow."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self._cut = False

    @property
    def port(self) -> int:
        return int(self._server.port)

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    async def suffer(self, faults: Mapping[str, float]) -> None:
        self._server.delay_s = faults.get("slow", 0.0)
        cut = "network-cut" in faults
        if cut != self._cut:
            self._cut = cut
            await (self._server.cut() if cut else self._server.restore())


class _Cell(_Server):
    """A cell controller that speaks OPC UA."""

    def __init__(self, name: str, points: Sequence[PlantPoint], simulation: Simulation, host: str, port: int) -> None:
        numbers = [point for point in points if point.row.kind is not ValueKind.TEXT]
        texts = [point for point in points if point.row.kind is ValueKind.TEXT]
        rows = [
            NodeRow(
                point.path,
                point.machine.name,
                point.row.name,
                f"{point.machine.name}.{point.row.name}",
                point.row.kind,
                point.row.title[0],
                simulation.value(point.path),
                point.row.writable,
            )
            for point in (*numbers, *texts)
        ]
        super().__init__(OpcUaServer(name, rows, simulation.write, host=host, port=port))
        self._simulation = simulation
        self._kinds = [point.row.kind for point in numbers]
        self._number_columns = np.array([point.index for point in numbers], dtype=np.intp)
        self._text_columns = np.array([point.index for point in texts], dtype=np.intp)
        self._shown = np.full(len(numbers), np.nan)
        self._shown_texts = np.full(len(texts), None, dtype=object)

    async def show(self, source_ns: int) -> None:
        numbers = self._simulation.measured[self._number_columns]
        texts = self._simulation.texts[self._text_columns]
        changed = np.flatnonzero(numbers != self._shown).tolist()
        changed_texts = np.flatnonzero(texts != self._shown_texts).tolist()
        values: list[Any] = [
            as_value(self._kinds[position], number)
            for position, number in zip(changed, numbers[changed].tolist(), strict=True)
        ]
        values += [str(texts[position]) for position in changed_texts]
        rows = changed + [len(self._kinds) + position for position in changed_texts]
        self._shown, self._shown_texts = numbers, texts
        await self._server.update(rows, values, source_ns)


class _Plc(_Server):
    """A PLC that speaks Modbus TCP: a press and its meter."""

    def __init__(self, _name: str, points: Sequence[PlantPoint], simulation: Simulation, host: str, port: int) -> None:
        self._memory = Memory([_slot(point) for point in points])
        super().__init__(ModbusServer(self._memory, simulation.write, unit=UNIT, host=host, port=port))
        self._simulation = simulation

    async def show(self, source_ns: int) -> None:  # noqa: ARG002  (Modbus carries no time)
        self._memory.load_numbers(self._simulation.measured)
        self._memory.load_texts(self._simulation.texts)


def _slot(point: PlantPoint) -> Slot:
    place = register_map(point.machine.sheet)[point.row.name]
    base = base_of(point.machine) if place.table == "holding" else 0
    return Slot(
        path=point.path,
        table=place.table,
        address=base + place.address,
        length=place.length,
        encoding=point.row.wire,
        order=point.machine.sheet.word_order,
        scale=point.row.scale,
        column=point.index,
        writable=point.row.writable,
    )
