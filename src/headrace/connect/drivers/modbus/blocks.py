"""Points to few requests, and their answers to batches.

points ──sort by table, address──► blocks (gaps ≤ max_gap, size ≤ max_batch) ──in_flight at a time──► Round
Round: requests out … payloads joined ──one gather an encoding──► one Batch a kind
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from headrace.connect.drivers.modbus.codec import Function, ModbusException, Request, read_request
from headrace.connect.drivers.modbus.config import BITS_PER_READ_MAX, Address, Encoding, Order, Settings, Table
from headrace.connect.drivers.modbus.encoding import AnyGather, BitGather, Gather, TextGather
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.sdk.driver import PointBinding

READ_FUNCTIONS: Final = {
    Table.COIL: Function.READ_COILS,
    Table.DISCRETE: Function.READ_DISCRETE_INPUTS,
    Table.HOLDING: Function.READ_HOLDING_REGISTERS,
    Table.INPUT: Function.READ_INPUT_REGISTERS,
}
#: What a point is worth whose read was answered with an exception; 2 and 3 are looked into first, see driver.py.
QUALITY_OF_EXCEPTION: Final = {
    1: q.BAD_NOT_SUPPORTED,
    2: q.BAD_NODE_ID_UNKNOWN,
    3: q.BAD_CONFIGURATION_ERROR,
    4: q.BAD_DEVICE_FAILURE,
    5: q.BAD_TIMEOUT,  # acknowledged, not done: no value in time
    6: q.BAD_TIMEOUT,  # busy
    8: q.BAD_DEVICE_FAILURE,
    10: q.BAD_NO_COMMUNICATION,  # the gateway cannot reach the device behind it
    11: q.BAD_NO_COMMUNICATION,
}


@dataclass(frozen=True, slots=True)
class Block:
    """One request. `count` in registers, or in bits for coils and discrete inputs."""

    table: Table
    start: int
    count: int
    points: tuple[PointBinding, ...]
    request: Request


def block_of(points: Sequence[PointBinding]) -> Block:
    """The smallest block that holds these points of one table."""
    table = points[0].address.table
    start = min(point.address.address for point in points)
    count = max(point.address.address + point.address.width for point in points) - start
    return Block(table, start, count, tuple(points), read_request(READ_FUNCTIONS[table], start, count))


def coalesce(points: Sequence[PointBinding], settings: Settings) -> list[Block]:
    """Blocks in the order of table and address; a gap is worth reading where that saves a request."""
    tables: dict[Table, list[PointBinding]] = defaultdict(list)
    for point in points:
        tables[point.address.table].append(point)
    blocks: list[Block] = []
    for table, members in tables.items():
        size_max, gap_max = settings.max_batch, settings.max_gap
        if table.of_bits:
            size_max, gap_max = min(16 * size_max, BITS_PER_READ_MAX), 16 * gap_max
        members.sort(key=lambda point: (point.address.address, point.address.width))
        run: list[PointBinding] = []
        first = end = 0
        for point in members:
            address: Address = point.address
            new_end = max(end, address.address + address.width)
            if run and (address.address - end > gap_max or new_end - first > size_max):
                blocks.append(block_of(run))
                run = []
            if not run:
                first, new_end = address.address, address.address + address.width
            run.append(point)
            end = new_end
        blocks.append(block_of(run))
    return blocks


class Round:
    """The blocks of one read request. It learns which points the device does not have (`revise`)."""

    def __init__(self, blocks: Sequence[Block], bad: Mapping[PointBinding, int] | None = None) -> None:
        """`bad`: points that are not asked for, and the quality that they have."""
        self.bad: dict[PointBinding, int] = {}
        self.revise(blocks, bad or {})

    def revise(self, blocks: Sequence[Block], bad: Mapping[PointBinding, int]) -> None:
        """Ask for these blocks from now on, and no longer for the points in `bad`."""
        self.blocks = tuple(blocks)
        self.bad = {**self.bad, **bad}
        self._compiled = _Decoder(self.blocks)

    def batches(self, answers: Sequence[bytes | ModbusException], now_ns: int) -> list[Batch]:
        """One batch a kind, and one for bad points of a kind. `answers` belong to `blocks`, in order."""
        decoder, bad = self._compiled, self.bad
        payloads = [answer for answer in answers if isinstance(answer, bytes)]
        if len(payloads) < len(answers):
            good: list[Block] = []
            bad = dict(bad)
            for block, answer in zip(self.blocks, answers, strict=True):
                if isinstance(answer, ModbusException):
                    bad.update(dict.fromkeys(block.points, QUALITY_OF_EXCEPTION.get(answer.code, q.BAD)))
                else:
                    good.append(block)
            decoder = _Decoder(good)
        batches = decoder.decode(payloads[0] if len(payloads) == 1 else b"".join(payloads), now_ns)
        if bad:
            batches += _bad_batches(bad, now_ns)
        return batches


class _Decoder:
    """The gathers of some blocks, prepared once: for each kind the handles, and where each gather's values go."""

    def __init__(self, blocks: Sequence[Block]) -> None:
        registers: dict[tuple[ValueKind, Encoding, Order], list[tuple[PointBinding, int]]] = defaultdict(list)
        bits: list[tuple[PointBinding, tuple[int, int]]] = []
        base = 0
        for block in blocks:
            for point in block.points:
                place = point.address.address - block.start
                if block.table.of_bits:
                    bits.append((point, (base + place // 8, place % 8)))
                else:
                    key = (point.kind, point.address.encoding, point.address.order)
                    registers[key].append((point, base + 2 * place))
            base += block.request.payload_bytes
        gathers: list[tuple[AnyGather, list[int]]] = []
        for (kind, encoding, order), members in registers.items():
            places = [(start, point.address) for point, start in members]
            gather = TextGather(places) if encoding is Encoding.TEXT else Gather(encoding, order, kind, places)
            gathers.append((gather, [point.handle for point, _ in members]))
        if bits:
            gathers.append((BitGather([place for _, place in bits]), [point.handle for point, _ in bits]))
        self._kinds = []
        for kind in ValueKind:
            mine = [(gather, handles) for gather, handles in gathers if gather.kind is kind]
            if mine:
                handles = np.array([handle for _, column in mine for handle in column], np.uint32)
                self._kinds.append((kind, handles, np.zeros(len(handles), np.uint32), [gather for gather, _ in mine]))

    def decode(self, payload: bytes, now_ns: int) -> list[Batch]:
        raw = np.frombuffer(payload, np.uint8)
        batches = []
        for kind, handles, all_good, gathers in self._kinds:
            columns = [gather.decode(raw) for gather in gathers]
            values: Any = columns[0][0] if len(columns) == 1 else np.concatenate([column for column, _ in columns])
            quality = all_good
            if any(flags is not None for _, flags in columns):
                quality = np.concatenate(
                    [np.zeros(len(column), np.uint32) if flags is None else flags for column, flags in columns]
                )
            time_ns = np.full(len(handles), now_ns, np.int64)
            batches.append(Batch(kind, handles, time_ns, time_ns, values, quality))
        return batches


def _bad_batches(bad: Mapping[PointBinding, int], now_ns: int) -> list[Batch]:
    groups: dict[ValueKind, list[tuple[int, int]]] = defaultdict(list)
    for point, quality in bad.items():
        groups[point.kind].append((point.handle, quality))
    return [
        Batch.bad(kind, [handle for handle, _ in members], now_ns, 0).with_quality(
            np.array([quality for _, quality in members], np.uint32)
        )
        for kind, members in groups.items()
    ]
