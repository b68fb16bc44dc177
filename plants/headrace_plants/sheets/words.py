"""What a row of a data sheet says. A row becomes a column of the model, a register or node, and a declared point.

oil.temperature  float64  Cel  0…120  0.1  noise 0.04   "Oil temperature" 油温
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from headrace.model.batch import ValueKind

Title = tuple[str, str]
"""English, Chinese."""


@dataclass(frozen=True, slots=True)
class InterlockRow:
    """A flag of the same machine that must be as `wanted` for a setpoint to be written."""

    point: str
    wanted: bool
    text: Title


@dataclass(frozen=True, slots=True)
class Care:
    """What a write of a critical setpoint must pass: a second person, a greatest step and rate a minute in its unit."""

    step: float
    rate: float
    interlocks: tuple[InterlockRow, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One point of a machine type.

    `low` and `high` are the ends of the transmitter: a reading saturates there. `decimals` is its resolution, `noise`
    the standard deviation of its error, both in `unit` (UCUM). `write` are the limits that the machine itself keeps
    for a setpoint. `start` is the value at power-up. `wire` is the Modbus encoding (OPC UA needs none).
    """

    name: str
    kind: ValueKind
    title: Title
    unit: str = ""
    low: float = 0.0
    high: float = 0.0
    decimals: int = 0
    noise: float = 0.0
    write: tuple[float, float] | None = None
    start: float | str = 0.0
    interval_s: int = 1
    wire: str = ""
    scale: float = 1.0
    care: Care | None = None

    @property
    def writable(self) -> bool:
        return self.write is not None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an alarm is one, and what to do. `minutes`: how soon."""

    cause: Title
    consequence: Title
    response: Title
    minutes: int


@dataclass(frozen=True, slots=True)
class AlarmRow:
    """One alarm of a machine type; `limit` in the point's unit (seconds for stale). Times are seconds."""

    point: str
    rule: str
    condition: str
    limit: float
    message: Title
    priority: str = "medium"
    hysteresis: float = 0.0
    on_delay_s: int = 0
    off_delay_s: int = 0
    reference: str = ""
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Calculated:
    """A number that the platform works out from the machine's own; no device has it."""

    name: str
    title: Title
    unit: str
    low: float
    high: float
    decimals: int
    expression: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """A machine type. `word_order` is that of its Modbus registers."""

    name: str
    title: Title
    rows: tuple[Row, ...]
    alarms: tuple[AlarmRow, ...] = ()
    attributes: dict[str, str] = field(default_factory=dict)
    word_order: str = "ABCD"
    calculated: tuple[Calculated, ...] = ()

    def row(self, name: str) -> Row:
        return next(row for row in self.rows if row.name == name)


def real(
    name: str,
    en: str,
    zh: str,
    unit: str,
    low: float,
    high: float,
    decimals: int = 1,
    noise: float = 0.0,
    *,
    write: tuple[float, float] | None = None,
    start: float = 0.0,
    wire: str = "float32",
    scale: float = 1.0,
    interval_s: int = 1,
    care: Care | None = None,
) -> Row:
    """A measured or set quantity."""
    return Row(
        name, ValueKind.FLOAT64, (en, zh), unit, low, high, decimals, noise, write, start, interval_s, wire, scale, care
    )


def whole(
    name: str,
    en: str,
    zh: str,
    low: int,
    high: int,
    *,
    unit: str = "",
    start: int = 0,
    wire: str = "uint16",
    interval_s: int = 1,
) -> Row:
    """A count, a code or a state."""
    return Row(name, ValueKind.INT64, (en, zh), unit, low, high, start=start, wire=wire, interval_s=interval_s)


def flag(name: str, en: str, zh: str, *, start: bool = False, write: bool = False) -> Row:
    """A yes or no; a writable one is a coil, any other a discrete input."""
    limits = (0.0, 1.0) if write else None
    return Row(name, ValueKind.BOOL, (en, zh), write=limits, start=float(start), wire="bool")


def text(name: str, en: str, zh: str, start: str = "", *, interval_s: int = 5) -> Row:
    """Words, up to 16 bytes of UTF-8 over Modbus."""
    return Row(name, ValueKind.TEXT, (en, zh), start=start, wire="text", interval_s=interval_s)


def production(tool: Title, strokes: Title) -> Sequence[Row]:
    """What every machine that makes parts reports in the same words."""
    return (
        whole("cycle.phase", "Cycle phase", "循环阶段", 0, 9),
        real("cycle.time", "Cycle time", "循环时间", "s", 0, 120, 2, start=10.0),
        whole("cycle.count", "Cycles", "循环次数", 0, 2_000_000_000, wire="uint32"),
        whole("parts.good", "Good parts", "合格件数", 0, 2_000_000_000, wire="uint32"),
        whole("parts.scrap", "Scrap parts", "报废件数", 0, 2_000_000_000, wire="uint32"),
        text("order.number", "Order", "工单号"),
        text("order.product", "Product", "产品"),
        whole("order.target", "Ordered parts", "工单数量", 0, 100_000, wire="uint32", interval_s=5),
        whole("order.done", "Parts done for order", "工单完成数", 0, 100_000, wire="uint32"),
        whole("tool.number", *tool, 0, 9_999, interval_s=5),
        whole("tool.strokes", *strokes, 0, 2_000_000_000, wire="uint32"),
        whole("machine.state", "Machine state", "设备状态", 0, 4),
        text("machine.mode", "Operating mode", "运行模式", "automatic"),
        flag("machine.fault", "Machine fault", "设备故障"),
        text("operator", "Operator", "操作员"),
        flag("setpoint.run", "Run command", "运行指令", start=True, write=True),
        real("energy.total", "Energy used", "累计电能", "kW.h", 0, 10_000_000, 3, wire="float64"),
    )
