"""History to files, in bounded memory: batches in, bytes out, at most one row group held.

store.scan ─► Batch ─► table of one row group ─► ParquetFile | ArrowFile | CsvFile ─► bytes for the response

Both keep everything: source and received time to the ns, kind, value, quality. Parquet has a column a kind, of which
exactly one is filled in a row, so that several points and a point that changed its type fit one file.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from headrace.api.columns import ARROW_STREAM, rfc3339
from headrace.model.batch import Batch, ValueKind
from headrace.model.text import guarded

if TYPE_CHECKING:
    import pyarrow as pa

ROW_GROUP: Final = 65_536


class ExportFile(Protocol):
    media_type: str

    def add(self, batch: Batch) -> bytes:
        """Take samples; give what is ready, often nothing."""
        ...

    def finish(self) -> bytes:
        """The rest of the file."""
        ...


def export_schema() -> pa.Schema:
    """Columns path, source_time, received_time, kind, float64, int64, bool, text, quality; what an import takes too."""
    import pyarrow as pa

    stamp, names = pa.timestamp("ns", tz="UTC"), pa.dictionary(pa.int32(), pa.string())
    return pa.schema(
        [
            pa.field("path", names, nullable=False),
            pa.field("source_time", stamp, nullable=False),
            pa.field("received_time", stamp, nullable=False),
            pa.field("kind", names, nullable=False),
            *(pa.field(kind.label, arrow_type) for kind, arrow_type in _arrow_types().items()),
            pa.field("quality", pa.uint32(), nullable=False),
        ]
    )


class _ArrowRows:
    """Gathers samples into tables of about a row group."""

    def __init__(self, paths: Mapping[int, str]) -> None:
        self._points = _Points(paths)
        self._outlet = _Outlet()
        self._schema = export_schema()
        self._pending: list[pa.Table] = []
        self._rows = 0

    def add(self, batch: Batch) -> bytes:
        for start in range(0, len(batch), ROW_GROUP):
            part = batch.take(slice(start, start + ROW_GROUP))
            self._pending.append(self._table(part))
            self._rows += len(part)
            if self._rows >= ROW_GROUP:
                self._flush()
        return self._outlet.take()

    def finish(self) -> bytes:
        self._flush()
        self._close()
        return self._outlet.take()

    def _flush(self) -> None:
        import pyarrow as pa

        if self._pending:
            self._write(pa.concat_tables(self._pending))
        self._pending, self._rows = [], 0

    def _write(self, table: pa.Table) -> None: ...

    def _close(self) -> None: ...

    def _table(self, batch: Batch) -> pa.Table:
        import pyarrow as pa

        record, count = batch.to_arrow(), len(batch)
        labels = [kind.label for kind in ValueKind]
        kinds = np.full(count, labels.index(batch.kind.label), np.int32)
        columns: dict[str, Any] = {
            "path": pa.DictionaryArray.from_arrays(self._points.rows(batch), self._points.arrow_names),
            "source_time": record.column("source_time"),
            "received_time": record.column("received_time"),
            "kind": pa.DictionaryArray.from_arrays(kinds, labels),
            **{kind.label: pa.nulls(count, arrow_type) for kind, arrow_type in _arrow_types().items()},
            "quality": record.column("quality"),
        }
        columns[batch.kind.label] = record.column("value")
        return pa.table(columns, schema=self._schema)


class ParquetFile(_ArrowRows):
    """zstd; a row group is 65,536 rows or a little more."""

    media_type = "application/vnd.apache.parquet"

    def __init__(self, paths: Mapping[int, str]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        super().__init__(paths)
        sink = pa.PythonFile(self._outlet, mode="w")
        self._writer = pq.ParquetWriter(sink, self._schema, compression="zstd")

    def _write(self, table: pa.Table) -> None:
        self._writer.write_table(table, row_group_size=2 * ROW_GROUP)

    def _close(self) -> None:
        self._writer.close()


class ArrowFile(_ArrowRows):
    """An Arrow stream, zstd: what pandas, Polars and `headrace history export` read as it arrives."""

    media_type = ARROW_STREAM

    def __init__(self, paths: Mapping[int, str]) -> None:
        import pyarrow as pa

        super().__init__(paths)
        sink = pa.PythonFile(self._outlet, mode="w")
        self._writer = pa.ipc.new_stream(sink, self._schema, options=pa.ipc.IpcWriteOptions(compression="zstd"))

    def _write(self, table: pa.Table) -> None:
        self._writer.write_table(table.combine_chunks())

    def _close(self) -> None:
        self._writer.close()


class CsvFile:
    """RFC 4180, UTF-8: path, source_time, received_time, kind, value, quality. `mark` opens it with a byte order mark.

    Floats are the shortest text that reads back to the same bits; text is always quoted, so that empty differs
    from none. Text that a spreadsheet would run as a formula has an apostrophe before it, which an import removes.
    """

    media_type = "text/csv; charset=utf-8"

    def __init__(self, paths: Mapping[int, str], *, mark: bool = False) -> None:
        self._points = _Points(paths)
        opening = "\ufeff" if mark else ""
        self._head = f"{opening}path,source_time,received_time,kind,value,quality\r\n".encode()

    def add(self, batch: Batch) -> bytes:
        parts = [self._text(batch.take(slice(at, at + ROW_GROUP))) for at in range(0, len(batch), ROW_GROUP)]
        head, self._head = self._head, b""
        return head + b"".join(parts)

    def finish(self) -> bytes:
        head, self._head = self._head, b""
        return head

    def _text(self, batch: Batch) -> bytes:
        names = self._points.names
        columns = (
            [names[row] for row in self._points.rows(batch).tolist()],
            rfc3339(batch.source_ns),
            rfc3339(batch.received_ns),
            _csv_values(batch),
            batch.quality.tolist(),
        )
        label = batch.kind.label
        lines = [
            f"{path},{t},{r},{label},{value},{quality}\r\n" for path, t, r, value, quality in zip(*columns, strict=True)
        ]
        return "".join(lines).encode()


def _csv_values(batch: Batch) -> list[Any]:
    values = batch.values.tolist()
    if batch.kind is ValueKind.TEXT:
        return ['"' + guarded(value).replace('"', '""') + '"' for value in values]
    if batch.kind is ValueKind.BOOL:
        return ["true" if value else "false" for value in values]
    return [repr(value) for value in values]


class _Points:
    """Handles to rows of a fixed list of names."""

    def __init__(self, paths: Mapping[int, str]) -> None:
        self._handles = np.array(sorted(paths), np.uint32)
        self.names = [paths[handle] for handle in sorted(paths)]

    @cached_property
    def arrow_names(self) -> Any:
        import pyarrow as pa

        return pa.array(self.names, pa.string())

    def rows(self, batch: Batch) -> Any:
        """Shape: (count,) int32."""
        return np.searchsorted(self._handles, batch.handles).astype(np.int32)


class _Outlet:
    """A file to write to whose bytes are taken away as they come."""

    closed = False

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._position = 0

    def write(self, data: Any) -> int:
        chunk = bytes(data)
        self._chunks.append(chunk)
        self._position += len(chunk)
        return len(chunk)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True

    def writable(self) -> bool:
        return True

    def take(self) -> bytes:
        chunks, self._chunks = self._chunks, []
        return b"".join(chunks)


def _arrow_types() -> dict[ValueKind, Any]:
    import pyarrow as pa

    return {
        ValueKind.FLOAT64: pa.float64(),
        ValueKind.INT64: pa.int64(),
        ValueKind.BOOL: pa.bool_(),
        ValueKind.TEXT: pa.string(),
    }
