"""What the platform and the process of an app say to each other: frames, and the platform's own words within them.

    frame     length u32 · a document and columns (`sdk/columns_wire.py`), FRAME_BYTES_MAX at most
    document  t: what it is · id · body

    platform ─► app    hello  what it is             app ─► platform    ready   what it declared; or why it did not load
                       call   do this                                   done    the answer of a call, or its error
                       answer of what it asked                          ask     do this for me
                                                                        log     lines

Bodies are JSON, and beside it bytes, tuples, columns, batches and the dataclasses of `model/` and `sdk/` by name: what
comes back is equal to what was said. An app's own words are bytes of a stranger: the platform reads of them no
dataclass but `_FROM_APPS`, and checks each field where it uses it.
"""

from __future__ import annotations

import dataclasses
import functools
import struct
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.model import alarms, areas, assets, batch, commands, errors, events, guards, points
from headrace.model.batch import TEXT_DTYPE, Batch, ValueKind
from headrace.model.errors import DataError, HeadraceError
from headrace.sdk import columns_wire
from headrace.sdk.access import Action
from headrace.sdk.apps.context import Answer, Document, Resolved, Rows, Samples, Signature, Statement
from headrace.sdk.apps.request import Reply
from headrace.sdk.columns_wire import Columns
from headrace.sdk.services import AlarmRecord
from headrace.sdk.store import Aggregate, Buckets

LENGTH: Final = struct.Struct("<I")
FRAME_BYTES_MAX: Final = 48 * 1024 * 1024
APP_DOCUMENT_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of a frame from an app, beside its columns: as objects it takes some thirty times as much."""
MESSAGE_CHARACTERS_MAX: Final = 2_000
_TAG: Final = "@"

_FROM_APPS: Final[Mapping[str, type]] = {one.__name__: one for one in (Statement, Signature, Reply)}
_FROM_US: Final[Mapping[str, type]] = {
    one.__name__: one
    for one in (
        Statement, Signature, Reply, Answer, Document, Resolved, Rows, Samples, AlarmRecord, Buckets, Action, Aggregate,
        ValueKind, areas.Area, assets.Asset, assets.Level, points.Point, points.Access, points.Range, guards.Guard,
        guards.WriteLimits, events.Event, commands.Command, commands.CommandState, alarms.AlarmRule,
        alarms.AlarmTransition,
        alarms.AlarmState, alarms.AlarmAction, alarms.AlarmClass, alarms.AlarmCondition, alarms.Priority,
        alarms.Rationale,
    )
}  # fmt: skip
_ERRORS: Final[Mapping[str, type[HeadraceError]]] = {
    one.__name__: one
    for one in vars(errors).values()
    if isinstance(one, type) and issubclass(one, HeadraceError) and one is not errors.ConfigErrors
}


def pack(document: Mapping[str, Any], *, from_app: bool = False) -> bytes:
    """One frame, its length before it. Raises: TypeError for what has no word; LimitReached for what is too long."""
    columns: Columns = {}
    data = columns_wire.encode({key: _plain(value, columns) for key, value in document.items()}, columns)
    if len(data) > FRAME_BYTES_MAX:
        raise errors.LimitReached(f"{len(data):,} bytes are too many at once; {FRAME_BYTES_MAX:,} is the most")
    if from_app and columns_wire.document_bytes(data) > APP_DOCUMENT_BYTES_MAX:
        raise errors.LimitReached(f"more than {APP_DOCUMENT_BYTES_MAX:,} bytes at once; give it in parts, or as bytes")
    return LENGTH.pack(len(data)) + data


def unpack(data: bytes, *, from_app: bool) -> dict[str, Any]:
    """The document of a frame without its length. Raises: DataError."""
    most = APP_DOCUMENT_BYTES_MAX if from_app else FRAME_BYTES_MAX
    document, columns = columns_wire.decode(data, document_bytes_max=most)
    known = _FROM_APPS if from_app else _FROM_US
    try:
        return {key: _rich(value, columns, known) for key, value in document.items()}
    except HeadraceError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError, OverflowError) as error:
        raise DataError(f"a message cannot be read: {type(error).__name__}: {error}") from None


class Frames:
    """Bytes as they come, into frames; no I/O."""

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._buffer, self._max = bytearray(), frame_bytes_max

    def feed(self, data: bytes) -> list[bytes]:
        """All that are whole now. Raises: DataError for one that says it is too long."""
        self._buffer += data
        found = []
        while len(self._buffer) >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._buffer)
            if length > self._max:
                raise DataError(f"a message of {length:,} bytes; {self._max:,} is the most")
            end = LENGTH.size + length
            if len(self._buffer) < end:
                break
            found.append(bytes(memoryview(self._buffer)[LENGTH.size : end]))
            del self._buffer[:end]
        return found


def told_error(error: BaseException) -> list[str]:
    """What the other side hears of it: kind and public message."""
    kind = type(error).__name__ if isinstance(error, HeadraceError) else ""
    if not kind:
        return ["", f"{type(error).__name__}: {error}"[:MESSAGE_CHARACTERS_MAX]]
    return [kind if kind in _ERRORS else "ConfigError", str(error)[:MESSAGE_CHARACTERS_MAX]]


def heard_error(told: Any) -> HeadraceError:
    """The inverse; an exception that is none of ours is a DataError. Raises: DataError for what is no error."""
    if not isinstance(told, list) or len(told) != 2 or not all(isinstance(one, str) for one in told):
        raise DataError("an error that is none")
    kind, message = told
    return _ERRORS.get(kind, DataError)(message[:MESSAGE_CHARACTERS_MAX])


# --- values -----------------------------------------------------------------------------------------------------------


def _plain(value: Any, columns: Columns) -> Any:
    if value is None or (isinstance(value, (bool, int, float, str)) and not isinstance(value, (Enum, np.generic))):
        return value
    if isinstance(value, Enum):
        return {_TAG: [type(value).__name__, value.value]}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list):
        return [_plain(one, columns) for one in value]
    if isinstance(value, tuple):
        return {_TAG: ["tuple", [_plain(one, columns) for one in value]]}
    if isinstance(value, (bytes, bytearray, memoryview)):
        return {_TAG: ["bytes", _column(np.frombuffer(value, np.uint8), columns)]}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and key != _TAG and not key.startswith("\0") for key in value):
            return {key: _plain(one, columns) for key, one in value.items()}
        return {_TAG: ["dict", [[_plain(key, columns), _plain(one, columns)] for key, one in value.items()]]}
    if isinstance(value, Rows):  # as many as a million cells: no word for each row
        cells = [_plain(cell, columns) for row in value.rows for cell in row]
        return {_TAG: ["rows", [list(value.columns), cells]]}
    if isinstance(value, Batch):
        return {_TAG: ["batch", _told_batch(value, columns)]}
    if isinstance(value, np.ndarray):
        return {_TAG: ["array", _column(value, columns)]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {}
        for name, default in _fields(type(value)):
            given = getattr(value, name)
            if given is not default and not (type(given) is type(default) and given == default):
                fields[name] = _plain(given, columns)
        return {_TAG: [type(value).__name__, fields]}
    raise TypeError(
        f"a {type(value).__name__} cannot be given to the platform; use numbers, texts, bytes, lists and dicts"
    )


def _rich(value: Any, columns: Columns, known: Mapping[str, type]) -> Any:
    if isinstance(value, list):
        return [_rich(one, columns, known) for one in value]
    if not isinstance(value, dict):
        return value
    if _TAG not in value:
        return {key: _rich(one, columns, known) for key, one in value.items()}
    kind, told = value[_TAG]
    match kind:
        case "tuple":
            return tuple(_rich(one, columns, known) for one in told)
        case "bytes":
            return _bytes(columns.pop(told))  # each column is said once: to say it often would cost nothing
        case "array":
            return columns.pop(told)
        case "dict":
            return {_rich(key, columns, known): _rich(one, columns, known) for key, one in told}
        case "rows":
            names, cells = told
            parts = iter(_rich(cells, columns, known))
            return Rows(tuple(names), list(zip(*[parts] * len(names), strict=True)))
        case "batch":
            return _heard_batch(told, columns)
    made = known[kind]
    if issubclass(made, Enum):
        return made(told)
    return made(**{str(key): _rich(one, columns, known) for key, one in told.items()})


@functools.cache
def _fields(kind: Any) -> tuple[tuple[str, Any], ...]:
    """Of a dataclass, and what each is where nothing is said: a plant of points is mostly that."""
    found = []
    for one in dataclasses.fields(kind):
        made = one.default_factory() if one.default_factory is not dataclasses.MISSING else one.default
        if one.init:
            found.append((one.name, made))
    return tuple(found)


def _column(array: NDArray[Any], columns: Columns) -> str:
    name = str(len(columns))
    columns[name] = array
    return name


def _bytes(column: NDArray[Any]) -> bytes:
    if column.dtype != np.uint8 or column.ndim != 1:
        raise ValueError("bytes are a column of bytes")
    return column.tobytes()


def _told_batch(given: Batch, columns: Columns) -> list[Any]:
    values: list[NDArray[Any]] = [given.values]
    if given.kind is ValueKind.TEXT:
        texts = [text.encode() for text in given.values.tolist()]
        lengths = np.fromiter(map(len, texts), np.uint32, len(texts))
        values = [lengths, np.frombuffer(b"".join(texts), np.uint8)]
    every: list[NDArray[Any]] = [given.handles, given.source_ns, given.received_ns, given.quality, *values]
    return [int(given.kind), *(_column(one, columns) for one in every)]


def _heard_batch(told: Any, columns: Columns) -> Batch:
    """Raises: DataError, ValueError, KeyError."""
    kind = ValueKind(told[0])
    handles, source_ns, received_ns, quality, *rest = (columns.pop(one) for one in told[1:])
    values: Any = rest[0]
    if kind is ValueKind.TEXT:
        lengths, joined = rest[0], _bytes(rest[1])
        ends = np.cumsum(lengths, dtype=np.int64).tolist()
        values = np.array(
            [joined[start:end].decode() for start, end in zip([0, *ends[:-1]], ends, strict=False)], TEXT_DTYPE
        )
    return batch.Batch.of(kind, handles, source_ns, values, quality, received_ns)
