"""The two servers behind which a recording is shown, row by row: one of OPC UA nodes, one of Modbus registers.

Replay ──show(number)──► OpcUaStage   nodes, each with the row's source time
                     └─► ModbusStage  one register image a row, with `row` and `time` in front
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from headrace.model.batch import ValueKind
from headrace.model.errors import ConfigError, Refused
from headrace.model.points import check_path
from headrace_plants.modbus_server import Memory, ModbusServer, Slot, encode_text
from headrace_plants.recording import Recording

if TYPE_CHECKING:
    from headrace_plants.replay import Replay

TEXT_REGISTERS_MAX = 100
WORDS = {ValueKind.FLOAT64: ("float64", 4), ValueKind.INT64: ("int64", 4)}
ROW, TIME = "row", "time"


def segment(title: str) -> str:
    """A path segment: what it may not hold becomes `-`."""
    name = re.sub(r"[^\w.\-]+", "-", title.strip()).strip("-._")[:90] or "column"
    return check_path(name)


class Stage(Protocol):
    """A server that shows one row at a time."""

    @property
    def port(self) -> int: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def show(self, number: int) -> None: ...
    async def was_read(self) -> None: ...
    def attended(self) -> bool: ...
    def backlog(self) -> int: ...
    def declaration(self) -> str: ...


def _read_only(path: str, _: object) -> None:
    raise Refused(f"{path} is a recording: it cannot be written")


def _declare(replay: Replay, settings: str, points: Sequence[tuple[str, str, ValueKind, str]], interval: str) -> str:
    """`points`: name, title, kind, address."""
    recording, asset = replay.recording, replay.asset
    connection = f"replay-{segment(recording.name)}"
    parents = asset.split("/")[:-1]
    lines = [f"# {recording.name}: {recording.rows} rows, {len(recording.columns)} columns, replayed", "connections:"]
    lines += [f"  {connection}: {{driver: {replay.options.protocol}, settings: {settings}}}", "assets:"]
    for depth in range(len(parents)):
        level = "enterprise" if depth == 0 else "area"
        lines.append(f"  {'/'.join(parents[: depth + 1])}: {{level: {level}}}")
    lines += [f"  {asset}: {{level: equipment, title: {{en: {json.dumps(recording.name)}}}}}", "points:"]
    for name, title, kind, address in points:
        lines.append(f"  {asset}/{name}:")
        lines.append(
            f"    {{title: {{en: {json.dumps(title, ensure_ascii=False)}}}, type: {kind.label}, interval: {interval},"
        )
        lines.append(f"     connection: {connection}, address: {address}}}")
    return "\n".join(lines) + "\n"


class OpcUaStage:
    def __init__(self, replay: Replay) -> None:
        from headrace_plants.opcua_server import NodeRow, OpcUaServer

        self.replay = replay
        columns = replay.recording.columns
        self._names = replay.names()
        # Python lists once, so that showing a row makes no array.
        self._cells: list[list[Any]] = [column.values.tolist() for column in columns]
        self._present = [column.present.tolist() for column in columns]
        rows = [
            NodeRow(f"{replay.asset}/{name}", "replay", name, f"replay.{name}", column.kind, column.name, cells[0])
            for name, column, cells in zip(self._names, columns, self._cells, strict=True)
        ]
        options = replay.options
        self._server = OpcUaServer("replay", rows, _read_only, host=options.host, port=options.port)

    @property
    def port(self) -> int:
        return self._server.port

    async def start(self) -> None:
        await self._server.start()
        absent = [position for position, present in enumerate(self._present) if not present[0]]
        self._server.await_data(absent)
        await self.show(0)

    async def stop(self) -> None:
        await self._server.stop()

    async def show(self, number: int) -> None:
        row = number % self.replay.recording.rows
        rows = [position for position, present in enumerate(self._present) if present[row]]
        values = [self._cells[position][row] for position in rows]
        await self._server.update(rows, values, self.replay.row_time_ns(number), report_all=True)

    async def was_read(self) -> None:
        return

    def attended(self) -> bool:
        return self._server.watched() == len(self._names)

    def backlog(self) -> int:
        return self._server.backlog()

    def declaration(self) -> str:
        points = [
            (name, column.name, column.kind, f'{{node: "ns=2;s=replay.{name}"}}')
            for name, column in zip(self._names, self.replay.recording.columns, strict=True)
        ]
        settings = f'{{url: "opc.tcp://{self.replay.options.host}:{self.port}/", security: none}}'
        return _declare(self.replay, settings, points, "100ms")


class ModbusStage:
    def __init__(self, replay: Replay) -> None:
        self.replay = replay
        recording = replay.recording
        self._slots: list[Slot] = []
        holding = bits = 0
        kinds = [(ROW, ROW, ValueKind.INT64), (TIME, TIME, ValueKind.INT64)]
        kinds += [(name, c.name, c.kind) for name, c in zip(replay.names(), recording.columns, strict=True)]
        self._points = kinds
        for position, (name, _, kind) in enumerate(kinds):
            if kind is ValueKind.BOOL:
                self._slots.append(_slot(name, "discrete", bits, 1, "bool", position))
                bits += 1
                continue
            encoding, length = WORDS.get(kind) or ("text", _text_registers(recording, position - 2))
            self._slots.append(_slot(name, "holding", holding, length, encoding, position))
            holding += length
        self._memory = Memory(self._slots)
        self._images, self._bits = _images(recording, self._slots, holding, bits)
        options = replay.options
        self._server = ModbusServer(self._memory, _read_only, host=options.host, port=options.port)
        self._server.on_read = self._note_read
        self._unread = {"holding": np.ones(holding, dtype=bool), "discrete": np.ones(bits, dtype=bool)}
        self._all_read = asyncio.Event()

    @property
    def port(self) -> int:
        return self._server.port

    async def start(self) -> None:
        await self.show(0)
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop()

    async def show(self, number: int) -> None:
        row = number % self.replay.recording.rows
        self._images[row, 0:4] = np.array([number], dtype=">i8").view(">u2")
        self._images[row, 4:8] = np.array([self.replay.row_time_ns(number)], dtype=">i8").view(">u2")
        self._memory.registers[:] = self._images[row]
        self._memory.bits["discrete"][:] = self._bits[row]
        for unread in self._unread.values():
            unread[:] = True
        self._all_read.clear()

    async def was_read(self) -> None:
        await self._all_read.wait()

    def attended(self) -> bool:
        return self._server.requests > 0

    def backlog(self) -> int:
        return 0

    def _note_read(self, table: str, start: int, count: int) -> None:
        self._unread[table][start : start + count] = False
        if not any(unread.any() for unread in self._unread.values()):
            self._all_read.set()

    def declaration(self) -> str:
        points = []
        for (name, title, kind), slot in zip(self._points, self._slots, strict=True):
            extra = f", length: {slot.length}" if slot.encoding == "text" else ""
            points.append(
                (
                    name,
                    title,
                    kind,
                    f"{{table: {slot.table}, address: {slot.address}, encoding: {slot.encoding}{extra}}}",
                )
            )
        options = self.replay.options
        hold_s = (
            0.4
            if options.step_on_read
            else float(np.median(np.diff(self.replay._due_s)))
            if len(self._images) > 1
            else 1
        )
        interval_ms = min(max(int(hold_s * 250), 20), 1000)
        settings = f"{{host: {options.host}, port: {self.port}, unit: 1}}"
        return _declare(self.replay, settings, points, f"{interval_ms}ms")


def _slot(name: str, table: str, address: int, length: int, encoding: str, column: int) -> Slot:
    return Slot(name, table, address, length, encoding, "ABCD", 1.0, column, writable=False)


def _text_registers(recording: Recording, position: int) -> int:
    column = recording.columns[position]
    longest = max(len(str(text).encode("utf-8")) for text in column.values.tolist())
    if longest > 2 * TEXT_REGISTERS_MAX:
        raise ConfigError(
            f"column '{column.name}' has a text of {longest} bytes; Modbus takes {2 * TEXT_REGISTERS_MAX}"
        )
    return max((longest + 1) // 2, 1)


def _images(
    recording: Recording, slots: Sequence[Slot], holding: int, bits: int
) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """All rows as registers and bits; `row` and `time` are put in when a row is shown. Shape: (rows, width)."""
    registers: NDArray[np.uint16] = np.zeros((recording.rows, holding), dtype=">u2")
    flags = np.zeros((recording.rows, bits), dtype=np.uint8)
    for column, slot in zip(recording.columns, slots[2:], strict=True):
        values = column.values
        if column.kind is ValueKind.FLOAT64:
            values = np.where(column.present, values, np.nan)
        else:
            # The number of the newest filled row at or before each row.
            newest = np.maximum.accumulate(np.where(column.present, np.arange(recording.rows), 0))
            values = values[newest]
        span = slice(slot.address, slot.address + slot.length)
        if column.kind is ValueKind.BOOL:
            flags[:, slot.address] = values
        elif column.kind is ValueKind.TEXT:
            registers[:, span] = [encode_text(str(text), slot.length) for text in values.tolist()]
        else:
            wide = ">f8" if column.kind is ValueKind.FLOAT64 else ">i8"
            registers[:, span] = values.astype(wide).view(">u2").reshape(-1, 4)
    return registers, flags
