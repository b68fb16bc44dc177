"""Columns to JSON without an object per sample: NumPy arrays go to orjson as they are, or as one `tolist`.

NaN and infinities become null (orjson does that); an int64 beyond ±(2^53−1) becomes text, which only a column that
has one pays for. Arrow is written with every nanosecond and bit kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray
from starlette.responses import Response

from headrace.api.schemas.base import EXACT_INTEGER_MAX, json_value
from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError
from headrace.model.time import MILLISECOND_NS
from headrace.sdk.services import LiveColumns

if TYPE_CHECKING:
    import pyarrow as pa

ARROW_STREAM: Final = "application/vnd.apache.arrow.stream"
_OPTIONS: Final = orjson.OPT_SERIALIZE_NUMPY


def json_bytes(content: Any) -> bytes:
    return orjson.dumps(content, option=_OPTIONS)


def json_columns(content: Any) -> Response:
    """An answer that holds NumPy arrays or plain lists."""
    return Response(json_bytes(content), media_type="application/json")


def epoch_ms(time_ns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Milliseconds with the microseconds that a float keeps; a page does not tell less than that."""
    whole, rest = np.divmod(time_ns, MILLISECOND_NS)
    milliseconds: NDArray[np.float64] = whole.astype(np.float64) + np.round(rest / MILLISECOND_NS, 3)
    return milliseconds


def rfc3339(time_ns: NDArray[np.int64]) -> list[str]:
    """All nine digits: `2026-11-22T08:00:00.250000000Z`."""
    texts: list[str] = np.strings.add(np.datetime_as_string(time_ns.view("M8[ns]")), "Z").tolist()
    return texts


def value_list(batch: Batch) -> list[Any] | NDArray[Any]:
    """The values of one kind, ready for JSON."""
    values = batch.values
    if batch.kind is ValueKind.INT64:
        big = (values > EXACT_INTEGER_MAX) | (values < -EXACT_INTEGER_MAX)
        return [json_value(value) for value in values.tolist()] if big.any() else values
    return values.tolist() if batch.kind is ValueKind.TEXT else values


def mixed_values(values: NDArray[Any]) -> list[Any]:
    """Values of several kinds (object dtype), ready for JSON; orjson itself turns NaN to null."""
    plain: list[Any] = values.tolist()
    try:
        orjson.dumps(plain, option=_OPTIONS | orjson.OPT_STRICT_INTEGER)
    except TypeError:
        return [json_value(value) for value in plain]
    return plain


def live_content(columns: LiveColumns) -> dict[str, Any]:
    """Columns `time_ms`, `received_ms`, `values` and `quality` of newest samples; null times where none came yet."""
    return {
        "time_ms": seen_ms(columns.source_ns, columns.quality),
        "received_ms": seen_ms(columns.received_ns, columns.quality),
        "values": mixed_values(columns.values),
        "quality": np.ascontiguousarray(columns.quality),
    }


def seen_ms(time_ns: NDArray[np.int64], quality: NDArray[np.uint32]) -> NDArray[np.float64]:
    """As `epoch_ms`, with NaN (null in JSON) for a point that was never seen."""
    unseen = (quality == np.uint32(q.BAD_WAITING_FOR_INITIAL_DATA)) & (time_ns == 0)
    return np.where(unseen, np.nan, epoch_ms(time_ns)) if unseen.any() else epoch_ms(time_ns)


def raw_content(path: str, batches: Sequence[Batch], next_cursor: str | None) -> dict[str, Any]:
    columns = [value_list(batch) for batch in batches]
    return {
        "path": path,
        "time": [text for batch in batches for text in rfc3339(batch.source_ns)],
        "values": _joined(columns),
        "quality": np.concatenate([b.quality for b in batches]) if batches else [],
        "next_cursor": next_cursor,
    }


def _joined(columns: list[list[Any] | NDArray[Any]]) -> Any:
    if len(columns) == 1:
        return np.ascontiguousarray(columns[0]) if isinstance(columns[0], np.ndarray) else columns[0]
    return [value for column in columns for value in (column if isinstance(column, list) else column.tolist())]


def raw_arrow(path: str, kind: ValueKind, batches: Sequence[Batch], next_cursor: str | None) -> Response:
    """Columns source_time, received_time, value, quality of one point, exact. Raises: DataError for mixed kinds."""
    import pyarrow as pa

    kinds = {batch.kind for batch in batches}
    if len(kinds) > 1:
        raise DataError(
            f"'{path}' changed its type within this span; ask for less, or use /history/export, which keeps each "
            "type in a column of its own"
        )
    records: list[pa.RecordBatch] = [b.to_arrow() for b in batches] or [Batch.empty(kind).to_arrow()]
    records = [record.select(["source_time", "received_time", "value", "quality"]) for record in records]
    schema = records[0].schema.with_metadata({"path": path.encode(), "next_cursor": (next_cursor or "").encode()})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for record in records:
            writer.write_batch(record)
    headers = {} if next_cursor is None else {"X-Next-Cursor": next_cursor}
    return Response(sink.getvalue().to_pybytes(), media_type=ARROW_STREAM, headers=headers)
