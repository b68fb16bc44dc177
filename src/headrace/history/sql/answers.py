"""Rows that came out of DuckDB: as many as may be kept, as JSON for people and programs, or as an Arrow stream.

JSON keeps what JSON can: an integer beyond ±(2^53−1) is text, a decimal too, NaN and infinities are null, times are
RFC 3339 in UTC. Arrow keeps all.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    import pyarrow as pa

EXACT_INTEGER_MAX: Final = 2**53 - 1
BATCH_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Answer:
    """`truncated` says that there were more rows, or larger ones, than may be kept."""

    table: pa.Table
    types: tuple[str, ...]
    truncated: bool


def collect(relation: Any, rows_max: int, bytes_max: int) -> Answer:
    """Take rows until there are enough; DuckDB works only as far as it is asked."""
    import pyarrow as pa

    types = tuple(str(kind) for kind in relation.types)
    reader = relation.to_arrow_reader(min(BATCH_ROWS, rows_max + 1))
    kept: list[pa.RecordBatch] = []
    rows = size = 0
    truncated = False
    for batch in reader:
        kept.append(batch.slice(0, rows_max - rows))
        rows, size = rows + kept[-1].num_rows, size + batch.nbytes
        truncated = kept[-1].num_rows < batch.num_rows or size > bytes_max
        if truncated:
            break
    return Answer(pa.Table.from_batches(kept, reader.schema), types, truncated)


def arrow_bytes(answer: Answer) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, answer.table.schema) as writer:
        writer.write_table(answer.table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def json_bytes(answer: Answer) -> bytes:
    """`{"columns": [{"name", "type"}], "rows": [[…]], "truncated"}`."""
    names = answer.table.column_names
    cells = [[_json(value) for value in column.to_pylist()] for column in answer.table.columns]
    return orjson.dumps(
        {
            "columns": [{"name": name, "type": kind} for name, kind in zip(names, answer.types, strict=True)],
            "rows": list(zip(*cells, strict=True)),
            "truncated": answer.truncated,
        }
    )


def _json(value: Any) -> Any:
    match value:
        case None | bool() | str():
            return value
        case int():
            return value if abs(value) <= EXACT_INTEGER_MAX else str(value)
        case float():
            return value if math.isfinite(value) else None
        case dt.datetime():
            text = (value.astimezone(dt.UTC) if value.tzinfo else value).replace(tzinfo=None).isoformat()
            return text + "Z" if value.tzinfo else text
        case dt.date() | dt.time():
            return value.isoformat()
        case decimal.Decimal():
            whole = value == value.to_integral_value()
            return _json(int(value)) if whole else str(value)
        case bytes():
            return value.hex()
        case uuid.UUID() | dt.timedelta():
            return str(value)
        case dict():
            return {str(key): _json(one) for key, one in value.items()}
        case list() | tuple():
            return [_json(one) for one in value]
    return str(value)
