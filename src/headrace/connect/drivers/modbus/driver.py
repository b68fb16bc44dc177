"""The Modbus driver: one session with one unit.

    plan   points ──coalesce──► blocks ──in_flight at a time──► ReadRequest(token=Round)
    read   Round ──link──► payloads ──► batches, dated when they arrived: Modbus knows no source time
    write  value ──encode──► function 5, 6, 15, 16, or one bit: 22, or 3 and then 6

A device that refuses an address (exception 2 or 3) refuses the whole block. The block is then halved until the points
that do not exist are found; they stay bad for this session and the others are read without them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from headrace.connect.drivers.modbus import codec
from headrace.connect.drivers.modbus.blocks import QUALITY_OF_EXCEPTION, Block, Round, block_of, coalesce
from headrace.connect.drivers.modbus.codec import ExceptionCode, ModbusException, Request
from headrace.connect.drivers.modbus.config import Address, Settings, Table, check, kinds_of
from headrace.connect.drivers.modbus.encoding import encode
from headrace.connect.drivers.modbus.link import ModbusLink
from headrace.model import quality as q
from headrace.model.batch import Batch, Value, ValueKind
from headrace.model.errors import DataError, Refused
from headrace.sdk.driver import DriverContext, DriverType, PointBinding, ReadRequest

_LASTING = (ExceptionCode.ILLEGAL_FUNCTION, ExceptionCode.ILLEGAL_DATA_ADDRESS, ExceptionCode.ILLEGAL_DATA_VALUE)


class ModbusDriver:
    """`Polled` and `Writable`."""

    def __init__(self, settings: Settings, context: DriverContext) -> None:
        self._name, self._settings, self._clock = context.connection, settings, context.clock
        self._link = ModbusLink(context.connection, settings, context.reach)

    async def connect(self) -> None:
        await self._link.open()

    async def close(self) -> None:
        self._link.close()

    # --- reading --------------------------------------------------------------------------------------------------

    def plan(self, points: Sequence[PointBinding]) -> Sequence[ReadRequest]:
        fitting = [point for point in points if point.kind in kinds_of(point.address)]
        misfits = {point: q.BAD_TYPE_MISMATCH for point in points if point.kind not in kinds_of(point.address)}
        blocks = coalesce(fitting, self._settings)
        window = self._settings.in_flight
        rounds = [Round(blocks[first : first + window]) for first in range(0, len(blocks), window)]
        if misfits:
            rounds.append(Round((), misfits))
        return [ReadRequest(_handles(round_), round_) for round_ in rounds]

    async def read(self, request: ReadRequest) -> Sequence[Batch]:
        round_: Round = request.token
        answers = await self._link.ask([block.request for block in round_.blocks]) if round_.blocks else []
        if any(isinstance(answer, ModbusException) and answer.code in _LASTING for answer in answers):
            await self._learn(round_, answers)
            answers = await self._link.ask([block.request for block in round_.blocks]) if round_.blocks else []
        return round_.batches(answers, self._clock.now_ns())

    async def _learn(self, round_: Round, answers: Sequence[bytes | ModbusException]) -> None:
        """Find out which points of the refused blocks do not exist, and do not ask for them again."""
        blocks: list[Block] = []
        bad: dict[PointBinding, int] = {}
        for block, answer in zip(round_.blocks, answers, strict=True):
            if isinstance(answer, ModbusException) and answer.code in _LASTING:
                blocks += await self._join(await self._halve(block, answer, bad))
            else:
                blocks.append(block)
        round_.revise(blocks, bad)

    async def _halve(self, block: Block, refusal: ModbusException, bad: dict[PointBinding, int]) -> list[Block]:
        """The largest blocks within this refused one that the device answers; single refused points go to `bad`."""
        if len(block.points) == 1 or refusal.code == ExceptionCode.ILLEGAL_FUNCTION:
            bad.update(dict.fromkeys(block.points, QUALITY_OF_EXCEPTION[refusal.code]))
            return []
        found: list[Block] = []
        middle = len(block.points) // 2
        for half in (block_of(block.points[:middle]), block_of(block.points[middle:])):
            refused = await self._refused(half)
            found += [half] if refused is None else await self._halve(half, refused, bad)
        return found

    async def _join(self, blocks: Sequence[Block]) -> list[Block]:
        """Halving leaves splinters: put neighbours together again where the device answers them as one.

        Asking settles it: some devices refuse a read across the border of two areas, or of more than they buffer.
        """
        joined: list[Block] = []
        for block in blocks:
            if joined and block.start <= joined[-1].start + joined[-1].count:
                both = block_of([*joined[-1].points, *block.points])
                if await self._refused(both) is None:
                    joined[-1] = both
                    continue
            joined.append(block)
        return joined

    async def _refused(self, block: Block) -> ModbusException | None:
        """The device's lasting refusal of a block, None where it gives it or may give it later."""
        [answer] = await self._link.ask([block.request])
        return answer if isinstance(answer, ModbusException) and answer.code in _LASTING else None

    # --- writing --------------------------------------------------------------------------------------------------

    async def write(self, point: PointBinding, value: Value) -> None:
        address: Address = point.address
        check_value(point, value)
        if not address.table.writable:
            raise Refused(f"'{point.path}': table '{address.table}' can only be read")
        if address.bit is not None:
            await self._write_bit(point, address, bool(value))
            return
        try:
            data = encode(address, value)
        except DataError as error:
            raise DataError(f"'{point.path}': {error.message}") from None
        await self._command(point, self._write_request(address, data))

    def _write_request(self, address: Address, data: bytes) -> Request:
        many = self._settings.write_multiple or len(data) > 2
        if address.table is Table.COIL:
            value = any(data)
            return codec.write_coils(address.address, [value]) if many else codec.write_coil(address.address, value)
        if many:
            return codec.write_registers(address.address, data)
        return codec.write_register(address.address, data)

    async def _write_bit(self, point: PointBinding, address: Address, value: bool) -> None:
        """One bit of a register, the others as they are."""
        assert address.bit is not None
        place = address.bit ^ 8 if address.order.swaps_bytes else address.bit
        mask = 1 << place
        if self._settings.mask_write:
            await self._command(point, codec.mask_write(address.address, 0xFFFF ^ mask, mask if value else 0))
            return
        function = codec.Function.READ_HOLDING_REGISTERS
        held = int.from_bytes(await self._command(point, codec.read_request(function, address.address, 1)), "big")
        wanted = held | mask if value else held & ~mask
        await self._command(point, self._write_request(address, wanted.to_bytes(2, "big")))

    async def read_back(self, point: PointBinding) -> Batch:
        block = block_of([point])
        payload = await self._command(point, block.request)
        [batch] = Round([block]).batches([payload], self._clock.now_ns())
        return batch

    async def _command(self, point: PointBinding, request: Request) -> bytes:
        [answer] = await self._link.ask([request])
        if isinstance(answer, ModbusException):
            raise Refused(f"'{self._name}' refused function {request.pdu[0]} for '{point.path}': {answer}")
        return answer


def check_value(point: PointBinding, value: Value) -> None:
    """Whether a value is of the point's kind; an int may stand for a float. Raises: DataError."""
    wanted: Any = {ValueKind.BOOL: bool, ValueKind.INT64: int, ValueKind.TEXT: str}.get(point.kind, (int, float))
    if not isinstance(value, wanted) or (isinstance(value, bool) and point.kind is not ValueKind.BOOL):
        raise DataError(f"'{point.path}' is {point.kind.label}; {value!r} is not")


def _handles(round_: Round) -> list[int]:
    return [point.handle for block in round_.blocks for point in block.points] + [point.handle for point in round_.bad]


DRIVER = DriverType("modbus", "Modbus TCP and RTU over TCP", Settings, Address, ModbusDriver, check=check)
