"""What the frames say. Rare ones are JSON, which people can read; those of every second are packed.

Every `of` is for bytes from another machine: it raises DataError for anything that its `payload` would not make.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Self, TypeVar

import zstandard

from headrace.exchange import columns
from headrace.exchange.link.wire import VERSION
from headrace.exchange.spool.state import Held
from headrace.model.batch import Batch, Value, ValueKind
from headrace.model.errors import (
    DataError,
    Garbled,
    HeadraceError,
    LimitReached,
    NotFound,
    Refused,
    Unavailable,
    Unreachable,
)
from headrace.sdk.edges import Actual, Desired

T = TypeVar("T", int, str, float, dict)  # type: ignore[type-arg]
NUMBER_MAX: Final = 2**63 - 1
_DESIRED_BYTES_MAX: Final = 64 * 1024 * 1024
_DATA: Final = struct.Struct("<QqIBB")
_BLOCK: Final = struct.Struct("<BI")
_ACK: Final = struct.Struct("<QQQQ")
_BEAT: Final = struct.Struct("<qqq")
_EVENTS: Final = struct.Struct("<QI")
BACKLOG, LIVE = 0, 1


class Fields:
    """A JSON object of the other end, field by field. Raises: DataError."""

    def __init__(self, payload: bytes | memoryview, what: str) -> None:
        self._what = what
        try:
            found = json.loads(bytes(payload))
            _json({"": found})  # half a character, written as an escape, would break whoever keeps it
        except (ValueError, RecursionError):
            raise DataError(f"{what} is no JSON") from None
        if not isinstance(found, dict):
            raise DataError(f"{what} is no JSON object")
        self._fields: dict[str, Any] = found

    def take(self, name: str, kind: type[T], default: T | None = None) -> T:
        value = self._fields.get(name, default)
        if type(value) is int and kind is float:
            value = float(value)
        if type(value) is not kind or (isinstance(value, float) and not math.isfinite(value)):
            raise DataError(f"{self._what} has no usable '{name}'")
        return value

    def number(self, name: str, default: int | None = None) -> int:
        value = self.take(name, int, default)
        if not 0 <= value <= NUMBER_MAX:
            raise DataError(f"{self._what} has a '{name}' that is out of bounds")
        return value


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Hello:
    """`dictionary` says which spool's numbers of points these are; `revision` is what the edge runs."""

    dictionary: str
    revision: int
    program: str
    version: int = VERSION

    def payload(self) -> bytes:
        return _json(asdict(self))

    @classmethod
    def of(cls, payload: bytes | memoryview) -> Self:
        fields = Fields(payload, "HELLO")
        return cls(
            fields.take("dictionary", str)[:64], fields.number("revision"), fields.take("program", str)[:64],
            fields.number("version"),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class HeldByHub:
    """`names` of the dictionary are known here, if their digest is this; `edge` is who the certificate is of."""

    held: Held
    edge: str
    prefix: str
    names: int
    digest: str

    def payload(self) -> bytes:
        return _json(asdict(self))

    @classmethod
    def of(cls, payload: bytes | memoryview) -> Self:
        fields = Fields(payload, "HELD")
        held = Fields(_json(fields.take("held", dict)), "HELD")
        numbers = Held(*(held.number(name) for name in ("epoch", "backlog", "live", "urgent")))
        return cls(
            numbers, fields.take("edge", str), fields.take("prefix", str), fields.number("names"),
            fields.take("digest", str),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Begin:
    """`start` is where each lane of the epoch begins: what lies before is not of it. `names` are known from before."""

    start: Held
    names: int

    def payload(self) -> bytes:
        return _json(asdict(self))

    @classmethod
    def of(cls, payload: bytes | memoryview) -> Self:
        fields = Fields(payload, "BEGIN")
        start = Fields(_json(fields.take("start", dict)), "BEGIN")
        return cls(
            Held(*(start.number(name) for name in ("epoch", "backlog", "live", "urgent"))), fields.number("names")
        )


@dataclass(frozen=True, slots=True)
class Data:
    """Blocks of one lane up to `sequence`; `newest_ns` is when the newest of them was received at the edge."""

    sequence: int
    newest_ns: int
    samples: int
    lane: int
    packing: int
    body: bytes | memoryview

    def payload(self) -> bytes:
        head = _DATA.pack(self.sequence, self.newest_ns, self.samples, self.lane, self.packing)
        return head + self.body

    @classmethod
    def of(cls, payload: memoryview) -> Self:
        if len(payload) < _DATA.size:
            raise DataError("DATA is cut short")
        sequence, newest_ns, samples, lane, packing = _DATA.unpack_from(payload)
        if lane > LIVE or sequence > NUMBER_MAX:
            raise DataError("DATA names no lane that there is, or a sequence out of bounds")
        return cls(sequence, newest_ns, samples, lane, packing, payload[_DATA.size :])


def join_blocks(payloads: list[bytes]) -> bytes:
    """Payloads of the spool: form u8 and block each."""
    parts: list[bytes] = []
    for payload in payloads:
        parts += (_BLOCK.pack(payload[0], len(payload) - 1), payload[1:])
    return b"".join(parts)


def read_blocks(body: bytes | memoryview) -> list[Batch]:
    """Raises: DataError; also for more samples than a frame may hold."""
    batches: list[Batch] = []
    at, view, left = 0, memoryview(body), columns.SAMPLES_MAX
    while at < len(view):
        if len(view) - at < _BLOCK.size:
            raise DataError("a block of DATA is cut short")
        form, length = _BLOCK.unpack_from(view, at)
        at += _BLOCK.size
        if form > columns.ZSTD or length > len(view) - at:
            raise DataError("a block of DATA is cut short, or of an unknown form")
        found = columns.unpack(form, view[at : at + length])
        left -= sum(map(len, found))
        if left < 0:
            raise DataError(f"DATA holds more than {columns.SAMPLES_MAX} samples")
        batches += found
        at += length
    return batches


def pack_events(sequence: int, payloads: list[bytes]) -> bytes:
    return _EVENTS.pack(sequence, len(payloads)) + b"".join(len(p).to_bytes(4, "little") + p for p in payloads)


def read_events(payload: memoryview) -> tuple[int, list[bytes]]:
    """The sequence of the last, and each event as JSON. Raises: DataError."""
    if len(payload) < _EVENTS.size:
        raise DataError("EVENTS is cut short")
    sequence, count = _EVENTS.unpack_from(payload)
    at, events = _EVENTS.size, list[bytes]()
    while at < len(payload):
        length = int.from_bytes(payload[at : at + 4], "little")
        if at + 4 + length > len(payload):
            raise DataError("EVENTS is cut short")
        events.append(bytes(payload[at + 4 : at + 4 + length]))
        at += 4 + length
    if len(events) != count or sequence > NUMBER_MAX:
        raise DataError("EVENTS holds not as many events as it claims")
    return sequence, events


def pack_ack(held: Held) -> bytes:
    return _ACK.pack(held.epoch, held.backlog, held.live, held.urgent)


def read_ack(payload: memoryview) -> Held:
    if len(payload) != _ACK.size:
        raise DataError("ACK is cut short")
    return Held(*_ACK.unpack(payload))


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """`sent_ns` by the sender's clock; `echo_ns` is the peer's newest `sent_ns`, which was held for `held_ns`."""

    sent_ns: int
    echo_ns: int
    held_ns: int

    def payload(self) -> bytes:
        return _BEAT.pack(self.sent_ns, self.echo_ns, self.held_ns)

    @classmethod
    def of(cls, payload: memoryview) -> Self:
        if len(payload) != _BEAT.size:
            raise DataError("HEARTBEAT is cut short")
        return cls(*_BEAT.unpack(payload))


@dataclass(frozen=True, slots=True)
class Status:
    """How the edge is, each second. `loss` is the share of segments sent again, below 0 where it cannot know."""

    pending_samples: int = 0
    pending_bytes: int = 0
    pending_s: float = 0.0
    used: float = 0.0
    dropped: int = 0
    damaged: int = 0
    loss: float = -1.0
    full: str = ""

    def payload(self) -> bytes:
        return _json(asdict(self))

    @classmethod
    def of(cls, payload: memoryview) -> Self:
        fields = Fields(payload, "STATUS")
        return cls(
            fields.number("pending_samples"), fields.number("pending_bytes"), fields.take("pending_s", float),
            fields.take("used", float), fields.number("dropped"), fields.number("damaged"),
            fields.take("loss", float), fields.take("full", str)[:500],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Order:
    """A COMMAND: write `value` to the point, or (without one) read what its device holds."""

    id: int
    path: str
    timeout_s: float
    kind: str = ""
    value: Value | None = None

    def payload(self) -> bytes:
        return _json(asdict(self))

    @classmethod
    def of(cls, payload: memoryview) -> Self:
        fields = Fields(payload, "COMMAND")
        kind = fields.take("kind", str)
        value: Value | None = None
        if kind:
            types: dict[str, type[Any]] = {"float64": float, "int64": int, "bool": bool, "text": str}
            value = fields.take("value", types.get(kind, dict))
        return cls(fields.number("id"), fields.take("path", str), fields.take("timeout_s", float), kind, value)


def kind_of(value: Value) -> str:
    kinds = {float: ValueKind.FLOAT64, int: ValueKind.INT64, bool: ValueKind.BOOL, str: ValueKind.TEXT}
    return kinds[type(value)].label


_ERRORS: Final[dict[str, type[HeadraceError]]] = {
    error.__name__: error
    for error in (NotFound, Unavailable, Refused, Unreachable, Garbled, DataError, LimitReached)
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Result:
    """Of an order: an error, or (for reading) the sample; its handle means nothing."""

    id: int
    error: HeadraceError | None = None
    sample: Batch | None = None

    def payload(self) -> bytes:
        name = type(self.error).__name__ if self.error is not None else ""
        sample = b"" if self.sample is None else columns.encode([self.sample])
        return _json(
            {
                "id": self.id,
                "error": name if name in _ERRORS or not name else "Unavailable",
                "message": "" if self.error is None else self.error.message,
                "sample": base64.b64encode(sample).decode(),
            }
        )

    @classmethod
    def of(cls, payload: memoryview) -> Self:
        fields = Fields(payload, "RESULT")
        name, message = fields.take("error", str), fields.take("message", str)[:2000]
        try:
            batches = columns.decode(base64.b64decode(fields.take("sample", str), validate=True))
        except ValueError:
            raise DataError("RESULT holds no sample that can be read") from None
        if len(batches) > 1 or any(len(batch) != 1 for batch in batches):
            raise DataError("RESULT holds more than one sample")
        error = _ERRORS.get(name, Unavailable)(message) if name else None
        return cls(fields.number("id"), error, batches[0] if batches else None)


def pack_desired(desired: Desired) -> bytes:
    plain = _json({"revision": desired.revision, "files": dict(desired.files), "devices": desired.devices})
    packed: bytes = zstandard.ZstdCompressor(level=3, write_content_size=True).compress(plain)
    return packed


def read_desired(payload: memoryview) -> Desired:
    try:
        if not 0 <= zstandard.frame_content_size(payload) <= _DESIRED_BYTES_MAX:
            raise DataError("DESIRED claims more bytes than it may have")
        plain = zstandard.ZstdDecompressor().decompress(payload, max_output_size=_DESIRED_BYTES_MAX)
    except zstandard.ZstdError as error:
        raise DataError(f"DESIRED does not decompress: {error}") from None
    fields = Fields(plain, "DESIRED")
    files = fields.take("files", dict)
    if not all(isinstance(text, str) for text in files.values()):
        raise DataError("DESIRED holds a file that is no text")
    return Desired(fields.number("revision"), files, fields.take("devices", str, ""))


def pack_actual(actual: Actual) -> bytes:
    return _json({**asdict(actual), "facts": dict(actual.facts)})


def read_actual(payload: memoryview) -> Actual:
    fields = Fields(payload, "ACTUAL")
    return Actual(
        fields.number("revision"), fields.take("error", str)[:4000], fields.take("version", str)[:64],
        fields.take("facts", dict, {}),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Close:
    """`retry_s` asks the edge to stay away that long."""

    reason: str
    retry_s: float = 0.0

    def payload(self) -> bytes:
        return _json({"reason": self.reason[:500], "retry_s": self.retry_s})

    @classmethod
    def of(cls, payload: memoryview) -> Self:
        fields = Fields(payload, "CLOSE")
        return cls(fields.take("reason", str)[:500], min(max(fields.take("retry_s", float), 0.0), 3600.0))


@dataclass(frozen=True, slots=True)
class Request:
    """ENROL and RENEW: a PKCS #10 request, PEM; the token only for ENROL."""

    request: str
    token: str = field(default="", repr=False)

    def payload(self) -> bytes:
        return _json({"request": self.request, "token": self.token})

    @classmethod
    def of(cls, payload: memoryview) -> Self:
        fields = Fields(payload, "ENROL")
        return cls(fields.take("request", str), fields.take("token", str, ""))
