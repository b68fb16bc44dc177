"""Sparkplug payloads as columns: one row a metric, in the order of the messages, before anybody knows what it means.

    payloads ──by_protobuf (here) or shapes.decode──► Metrics        the same columns from both, bit for bit

`by_protobuf` is the plain way, one Python object a metric: the fallback of `shapes.py`, and its oracle in tests.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from headrace.connect.sparkplug.properties import Qualities
from headrace.connect.sparkplug.schema import Field, Payload
from headrace.model.errors import DataError

_DOUBLE: Final = struct.Struct("<d")
_FLOAT: Final = struct.Struct("<f")
_UINT64: Final = struct.Struct("<Q")
_UINT32: Final = struct.Struct("<I")
_DOUBLE_FIELD, _FLOAT_FIELD, _STRING_FIELD = int(Field.DOUBLE), int(Field.FLOAT), int(Field.STRING)

#: Flags of a row.
HAS_ALIAS: Final = 1
HAS_TIME: Final = 2
HISTORICAL: Final = 4
TRANSIENT: Final = 8
NULL: Final = 16

NO_SEQUENCE: Final = -1
SEQUENCE_MAX: Final = 255

#: More than a message of reasonable size has; each costs work.
METRICS_MAX: Final = 65_536

ROW_DTYPES: Final[dict[str, Any]] = {
    "message": np.int64,
    "flags": np.uint8,
    "alias": np.uint64,
    "time_ms": np.uint64,
    "datatype": np.uint32,
    "field": np.uint8,
    "bits": np.uint64,
    "quality": np.uint32,
}

FIELD_OF_ONEOF: Final = {
    "int_value": int(Field.INT),
    "long_value": int(Field.LONG),
    "float_value": int(Field.FLOAT),
    "double_value": int(Field.DOUBLE),
    "boolean_value": int(Field.BOOLEAN),
    "string_value": int(Field.STRING),
    "bytes_value": int(Field.BYTES),
    "dataset_value": int(Field.DATASET),
    "template_value": int(Field.TEMPLATE),
    "extension_value": int(Field.EXTENSION),
}


@dataclass(slots=True)
class Metrics:
    """Shape: `seq`, `sent_ms`, `has_sent` (messages,), the others (rows,); `names` and `texts` by row.

    `field` is the value's field number, 0 for none; `bits` its bits: a whole number as it came, a float or double by
    its IEEE 754 pattern, a boolean 0 or 1. `quality` is what a quality property says, else good.
    `errors` by message; such a message has no rows.
    """

    seq: NDArray[np.int64]
    sent_ms: NDArray[np.uint64]
    has_sent: NDArray[np.bool_]
    message: NDArray[np.int64]
    flags: NDArray[np.uint8]
    alias: NDArray[np.uint64]
    time_ms: NDArray[np.uint64]
    datatype: NDArray[np.uint32]
    field: NDArray[np.uint8]
    bits: NDArray[np.uint64]
    quality: NDArray[np.uint32]
    names: dict[int, str]
    texts: dict[int, str]
    errors: dict[int, DataError]

    @classmethod
    def of(
        cls,
        seq: NDArray[np.int64],
        sent_ms: NDArray[np.uint64],
        has_sent: NDArray[np.bool_],
        columns: Mapping[str, NDArray[Any]],
        names: dict[int, str],
        texts: dict[int, str],
        errors: dict[int, DataError],
    ) -> Metrics:
        """`columns` as `ROW_DTYPES` names them."""
        return cls(seq, sent_ms, has_sent, **columns, names=names, texts=texts, errors=errors)

    def __len__(self) -> int:
        return len(self.message)

    def same_as(self, other: Metrics) -> bool:
        """Every column equal."""
        columns = ("seq", "sent_ms", "has_sent", "message", "flags", "alias", "time_ms", "datatype", "field", "bits")
        return (
            all(np.array_equal(getattr(self, name), getattr(other, name)) for name in (*columns, "quality"))
            and self.names == other.names
            and self.texts == other.texts
            and {at: str(error) for at, error in self.errors.items()}
            == {at: str(error) for at, error in other.errors.items()}
        )


def by_protobuf(payloads: Sequence[bytes], qualities: Qualities) -> Metrics:
    """Every payload through protobuf. A payload that is none, or has text that is no UTF-8, is an error of its own."""
    seq: list[int] = []
    sent: list[int] = []
    has_sent: list[bool] = []
    errors: dict[int, DataError] = {}
    rows = Rows(qualities)
    for at, payload in enumerate(payloads):
        began = len(rows.columns)
        parsed: Any = None
        try:
            parsed = Payload.FromString(payload)
            if len(parsed.metrics) > METRICS_MAX:
                raise DataError(f"it has {len(parsed.metrics)} metrics; {METRICS_MAX} are possible")
            for metric in parsed.metrics:
                rows.add(at, metric)
        except DecodeError as error:
            parsed, errors[at] = None, DataError("it is no Sparkplug B payload", detail=str(error))
        except DataError as error:
            parsed, errors[at] = None, error
        if parsed is None:
            rows.cut(began)
        has_sent.append(parsed is not None and parsed.HasField("timestamp"))
        sent.append(parsed.timestamp if parsed is not None else 0)
        has_seq = parsed is not None and parsed.HasField("seq")
        seq.append(min(parsed.seq, SEQUENCE_MAX + 1) if has_seq else NO_SEQUENCE)
    return Metrics.of(
        np.array(seq, np.int64),
        np.array(sent, np.uint64),
        np.array(has_sent, np.bool_),
        rows.arrays(),
        rows.names,
        rows.texts,
        errors,
    )


class Rows:
    """Rows of metrics that protobuf has parsed."""

    def __init__(self, qualities: Qualities) -> None:
        self._qualities = qualities
        self.columns: list[tuple[int, int, int, int, int, int, int, int]] = []
        self.names: dict[int, str] = {}
        self.texts: dict[int, str] = {}

    def add(self, at: int, metric: Any) -> None:
        """Raises: DataError for text that is no UTF-8, or properties that make no sense."""
        row = len(self.columns)
        # What is not zero is there: asking for presence costs as much as the value.
        alias, time_ms, name = metric.alias, metric.timestamp, metric.name
        flags = HAS_ALIAS if alias or metric.HasField("alias") else 0
        if time_ms or metric.HasField("timestamp"):
            flags |= HAS_TIME
        if metric.is_historical:
            flags |= HISTORICAL
        if metric.is_transient:
            flags |= TRANSIENT
        if metric.is_null:
            flags |= NULL
        if name or metric.HasField("name"):
            self.names[row] = _text(name)
        which = metric.WhichOneof("value")
        field = 0 if which is None else FIELD_OF_ONEOF[which]
        bits = 0
        if field == _DOUBLE_FIELD:
            [bits] = _UINT64.unpack(_DOUBLE.pack(metric.double_value))
        elif field == _FLOAT_FIELD:
            [bits] = _UINT32.unpack(_FLOAT.pack(metric.float_value))
        elif field == _STRING_FIELD:
            self.texts[row] = _text(metric.string_value)
        elif 0 < field < _STRING_FIELD:
            bits = int(getattr(metric, which))
        properties = metric.properties
        quality = self._qualities.of(properties) if properties else 0
        self.columns.append((at, flags, alias, time_ms, metric.datatype, field, bits, quality))

    def cut(self, began: int) -> None:
        """Forget the rows from `began` on."""
        del self.columns[began:]
        for kept in (self.names, self.texts):
            for row in [row for row in kept if row >= began]:
                del kept[row]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """As `ROW_DTYPES` names them."""
        columns: Any = zip(*self.columns, strict=True) if self.columns else ((),) * len(ROW_DTYPES)
        return {
            name: np.array(column, dtype) for column, (name, dtype) in zip(columns, ROW_DTYPES.items(), strict=True)
        }


def _text(given: str | bytes) -> str:
    """Protobuf gives bytes where a string is no UTF-8."""
    if isinstance(given, bytes):
        raise DataError("a name or text in it is no UTF-8")
    return given
