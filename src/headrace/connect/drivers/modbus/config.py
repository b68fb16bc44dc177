"""What an engineer writes for Modbus: settings of a connection, the address of a point, and what fits together."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from headrace.model.batch import ValueKind
from headrace.model.errors import ConfigError

REGISTERS_PER_READ_MAX: Final = 125  # §6.3
REGISTERS_PER_WRITE_MAX: Final = 123  # §6.12
BITS_PER_READ_MAX: Final = 2000  # §6.1
ADDRESSES: Final = 65_536


class Framing(StrEnum):
    TCP = "tcp"
    RTU = "rtu"


class Table(StrEnum):
    """The four tables of §4.3: coils and holding registers can be written."""

    COIL = "coil"
    DISCRETE = "discrete"
    INPUT = "input"
    HOLDING = "holding"

    @property
    def of_bits(self) -> bool:
        return self in (Table.COIL, Table.DISCRETE)

    @property
    def writable(self) -> bool:
        return self in (Table.COIL, Table.HOLDING)


class Encoding(StrEnum):
    BOOL = "bool"
    INT16 = "int16"
    UINT16 = "uint16"
    INT32 = "int32"
    UINT32 = "uint32"
    INT64 = "int64"
    UINT64 = "uint64"
    FLOAT32 = "float32"
    FLOAT64 = "float64"
    TEXT = "text"

    @property
    def registers(self) -> int:
        """How many registers a value takes; a text says so itself and counts 1 here."""
        return {"16": 1, "32": 2, "64": 4}.get(self.value[-2:], 1)

    @property
    def is_float(self) -> bool:
        return self in (Encoding.FLOAT32, Encoding.FLOAT64)


class Order(StrEnum):
    """Where the bytes of a value are, A being the most significant; longer values go on in the same way."""

    ABCD = "ABCD"  # big-endian, as the standard has it
    CDAB = "CDAB"  # words swapped
    BADC = "BADC"  # bytes of each word swapped
    DCBA = "DCBA"  # little-endian

    @property
    def swaps_words(self) -> bool:
        return self in (Order.CDAB, Order.DCBA)

    @property
    def swaps_bytes(self) -> bool:
        return self in (Order.BADC, Order.DCBA)


class Settings(BaseModel):
    """One session with one unit behind one TCP address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: Annotated[str, Field(min_length=1, description="name or address of the device or gateway")]
    port: Annotated[int, Field(ge=1, le=65_535)] = 502
    unit: Annotated[int, Field(ge=0, le=255, description="the device's number behind a gateway")] = 1
    framing: Annotated[Framing, Field(description="tcp, or rtu for serial frames through a transparent gateway")] = (
        Framing.TCP
    )
    timeout_s: Annotated[float, Field(gt=0, le=60, description="how long one answer may take")] = 1.0
    max_gap: Annotated[int, Field(ge=0, le=124, description="unused registers read along to save a request")] = 8
    max_batch: Annotated[int, Field(ge=1, le=REGISTERS_PER_READ_MAX, description="registers a request")] = 125
    in_flight: Annotated[int, Field(ge=1, le=16, description="requests sent before the first answer; tcp only")] = 1
    write_multiple: Annotated[bool, Field(description="use functions 15 and 16 also for single values")] = False
    mask_write: Annotated[bool, Field(description="write one bit of a register with function 22")] = False

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.framing is Framing.RTU and self.in_flight > 1:
            raise ValueError("'in_flight' must be 1 with framing rtu: its answers do not say which request they answer")
        if self.framing is Framing.RTU and not 1 <= self.unit <= 247:
            raise ValueError("'unit' must be 1 to 247 with framing rtu")
        return self


class Address(BaseModel):
    """Where a value is. `address` counts from 0: holding register 40001 is table holding, address 0."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    table: Table
    address: int
    encoding: Annotated[Encoding, Field(description="bool for coil and discrete, else uint16")] = Encoding.UINT16
    order: Order = Order.ABCD
    bit: Annotated[int | None, Field(description="one bit of a register, 0 the least significant")] = None
    length: Annotated[int | None, Field(description="registers of a text, two bytes each")] = None
    scale: float = 1.0
    offset: float = 0.0

    @field_validator("address", mode="before")
    @classmethod
    def _number(cls, given: object) -> object:
        """A template's `"{base+4}"` arrives as text once it is filled in."""
        return int(given) if isinstance(given, str) and given.strip().isascii() and given.strip().isdigit() else given

    @model_validator(mode="before")
    @classmethod
    def _default_encoding(cls, given: object) -> object:
        if isinstance(given, dict) and "encoding" not in given:
            is_bool = given.get("table") in ("coil", "discrete") or given.get("bit") is not None
            return {**given, "encoding": "bool" if is_bool else "uint16"}
        return given

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.table.of_bits:
            if self.encoding is not Encoding.BOOL:
                raise ValueError(f"table '{self.table}' holds single bits: use encoding bool, not {self.encoding}")
            if self.bit is not None:
                raise ValueError(f"'bit' picks a bit of a register; table '{self.table}' holds single bits already")
        if self.bit is not None:
            if not 0 <= self.bit <= 15:
                raise ValueError(f"'bit' is 0 to 15; this is {self.bit}")
            if self.encoding is not Encoding.BOOL:
                raise ValueError(f"one bit of a register is a bool, not {self.encoding}")
        if (self.encoding is Encoding.TEXT) != (self.length is not None):
            raise ValueError("'length' (in registers) belongs to encoding text, and a text needs it")
        if self.length is not None and not 1 <= self.length <= REGISTERS_PER_READ_MAX:
            raise ValueError(f"a text has 1 to {REGISTERS_PER_READ_MAX} registers; this has {self.length}")
        if not (math.isfinite(self.scale) and math.isfinite(self.offset)) or self.scale == 0:
            raise ValueError("'scale' and 'offset' are finite numbers, and 'scale' is not 0")
        if self.scaled and self.encoding in (Encoding.BOOL, Encoding.TEXT):
            raise ValueError(f"'scale' and 'offset' are for numbers, not for {self.encoding}")
        if self.address < 0 or self.address + self.width > ADDRESSES:
            last = f" to {self.address + self.width - 1}" if self.width > 1 else ""
            raise ValueError(f"addresses are 0 to 65535; this needs {self.address}{last}")
        return self

    @property
    def width(self) -> int:
        """Registers, or 1 for a single bit."""
        return self.length if self.length is not None else self.encoding.registers

    @property
    def scaled(self) -> bool:
        return self.scale != 1.0 or self.offset != 0.0


def check(address: Address, kind: ValueKind, writable: bool) -> None:
    """Whether a point of this kind and access can live there. Raises: ConfigError in plain words."""
    if kind not in kinds_of(address):
        allowed = " or ".join(known.label for known in kinds_of(address))
        held = f"{address.encoding}{' with a scale or offset' if address.scaled else ''}"
        raise ConfigError(f"the point is {kind.label}, but its address holds {held}: declare it {allowed}")
    if writable and not address.table.writable:
        raise ConfigError(f"table '{address.table}' can only be read: declare the point 'access: read'")
    if writable and address.width > REGISTERS_PER_WRITE_MAX:
        raise ConfigError(f"at most {REGISTERS_PER_WRITE_MAX} registers can be written at once")


def kinds_of(address: Address) -> tuple[ValueKind, ...]:
    """The kinds in which a value of this address can be kept."""
    if address.encoding is Encoding.BOOL:
        return (ValueKind.BOOL,)
    if address.encoding is Encoding.TEXT:
        return (ValueKind.TEXT,)
    if address.encoding.is_float or address.scaled:
        return (ValueKind.FLOAT64,)
    return (ValueKind.INT64, ValueKind.FLOAT64)
