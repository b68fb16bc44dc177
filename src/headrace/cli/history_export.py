"""`headrace history export`: history as one file, however long, with a bar that knows where it ends.

GET /history/export ─► Arrow stream ─► rows counted ─► *.parquet
                    └► CSV ─────────► lines counted ─► *.csv          written as *.partial, renamed when whole
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from headrace.cli.client import DEFAULT_HOME, HomeOption, JsonOption, ServerOption, connect
from headrace.cli.output import note, print_json
from headrace.cli.progress import RowBar, row_bar
from headrace.model.errors import DataError, Unavailable

PATHS_MAX = 500  # more make a URL that servers refuse


class Form(StrEnum):
    PARQUET = "parquet"
    CSV = "csv"


def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write: *.parquet or *.csv.")],
    paths: Annotated[list[str] | None, typer.Argument(help="Paths of points.")] = None,
    home: HomeOption = DEFAULT_HOME,
    server: ServerOption = None,
    asset: Annotated[str | None, typer.Option(help="All points below this asset instead.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All points of the plant instead.")] = False,
    start: Annotated[str, typer.Option(help="RFC 3339 time, or now-<duration>.")] = "now-1h",
    end: Annotated[str, typer.Option(help="RFC 3339 time, or now; exclusive.")] = "now",
    form: Annotated[Form | None, typer.Option("--format", help="If the file's name does not tell it.")] = None,
    bom: Annotated[bool, typer.Option("--bom", help="Open a CSV with a byte order mark, for Excel.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Write history to a file, exactly: every nanosecond, bit and quality."""
    if bool(paths) + (asset is not None) + everything != 1:
        raise DataError("name points, or --asset, or --all")
    if paths and len(paths) > PATHS_MAX:
        raise DataError(f"{len(paths)} points are more than {PATHS_MAX} at once; name their --asset")
    chosen = form or _form_of(output)
    params: list[tuple[str, str]] = [("path", path) for path in paths or ()]
    params += [] if paths else [("asset", asset or "")]
    params += [("start", start), ("end", end), ("estimate", "true")]
    params += [("format", "arrow" if chosen is Form.PARQUET else "csv"), ("mark", str(bom).lower())]
    client = connect(home, server)
    partial = output.with_name(output.name + ".partial")
    try:
        with client.streaming("GET", "/history/export", params=params) as response:
            total = int(response.headers["X-Headrace-Rows"])
            with row_bar(output.name, total) as bar:
                write = _write_parquet if chosen is Form.PARQUET else _write_csv
                rows = write(response, partial, bar)
        size = partial.stat().st_size
        partial.replace(output)
    finally:
        partial.unlink(missing_ok=True)
    if as_json:
        print_json({"file": str(output), "rows": rows, "bytes": size})
    else:
        note(f"{rows} rows, {size / 1e6:.1f} MB written to {output}")


def _form_of(output: Path) -> Form:
    try:
        return Form(output.suffix.lstrip(".").lower())
    except ValueError:
        raise DataError(f"'{output.name}' should end in .parquet or .csv, or say --format") from None


def _write_parquet(response: httpx.Response, target: Path, bar: RowBar) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = 0
    try:
        with (
            pa.ipc.open_stream(pa.PythonFile(io.BufferedReader(_Body(response.iter_raw())), mode="r")) as reader,
            pq.ParquetWriter(target, reader.schema, compression="zstd") as writer,
        ):
            for batch in reader:
                writer.write_batch(batch)
                rows += batch.num_rows
                bar.advance(batch.num_rows)
    except pa.ArrowInvalid:
        raise Unavailable(
            "the platform broke off in the middle of the export; look at its log, and try again"
        ) from None
    return rows


def _write_csv(response: httpx.Response, target: Path, bar: RowBar) -> int:
    """Counts records: a line end within quotes belongs to a text."""
    records, quotes = 0, 0
    with target.open("wb") as file:
        for chunk in response.iter_bytes():
            file.write(chunk)
            found, quotes = _line_ends(chunk, quotes)
            records += found
            bar.advance(found)
    return max(records - 1, 0)


def _line_ends(chunk: bytes, quotes: int) -> tuple[int, int]:
    """(line ends outside quotes, quotes so far modulo 2)."""
    if quotes == 0 and b'"' not in chunk:
        return chunk.count(b"\n"), 0
    found = 0
    for index, part in enumerate(chunk.split(b'"')):
        if (quotes + index) % 2 == 0:
            found += part.count(b"\n")
    return found, (quotes + chunk.count(b'"')) % 2


class _Body(io.RawIOBase):
    """A response's bytes as a file that Arrow reads."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
