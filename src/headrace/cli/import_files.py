"""Files of history to rows of an export: CSV in long or wide form, our own Parquet, each also gzipped.

    bytes ─► gunzip? ─► encoding ─► delimiter ─► header ─┬ path, time, value[, quality, received]   long: a sample a row
                                                         └ time, a column a point                   wide
    blocks of rows ─► times, values, a column at a time (Arrow) ─► record batch
                      └ does not fit ─► cell by cell: file:line and why; the rest goes on

Times without an offset are in the caller's time zone. An empty cell is no sample.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

from headrace.cli.import_cells import Clock, qualities, times, values
from headrace.model.batch import ValueKind
from headrace.model.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

CELLS_AT_ONCE: Final = 200_000
ROLES: Final = ("time", "path", "value", "quality", "received")
_ALIASES: Final = {
    "time": ("time", "source_time", "timestamp", "datetime", "date", "ts", "时间"),
    "path": ("path", "point", "tag"),
    "value": ("value",),
    "quality": ("quality",),
    "received": ("received", "received_time"),
}
_IGNORED: Final = frozenset({"kind"})  # of our own CSV: the declaration says it


@dataclass(frozen=True, slots=True)
class Reading:
    """How to understand a file. `columns` maps a header to a role, a path, or '' for a column to leave out."""

    clock: Clock
    points: Mapping[str, ValueKind]
    columns: Mapping[str, str] = field(default_factory=dict)
    asset: str = ""
    encoding: str = ""


@dataclass(slots=True)
class Findings:
    """What was wrong: rows with their place, and names that are no point with how many samples they had."""

    rows: list[str] = field(default_factory=list)
    count: int = 0
    unknown: Counter[str] = field(default_factory=Counter)

    def row(self, file: str, line: int, why: str) -> None:
        self.count += 1
        if len(self.rows) < 1_000:
            self.rows.append(f"{file}:{line}: {why}")


@dataclass(frozen=True, slots=True)
class Block:
    """Rows ready to be sent; `position` in bytes of the file, `rows` of the file that were read for it."""

    batch: pa.RecordBatch
    position: int


def import_schema() -> pa.Schema:
    import pyarrow as pa

    stamp = pa.timestamp("ns", tz="UTC")
    return pa.schema(
        {
            "path": pa.dictionary(pa.int32(), pa.string()),
            "source_time": stamp,
            "received_time": stamp,
            "float64": pa.float64(),
            "int64": pa.int64(),
            "bool": pa.bool_(),
            "text": pa.string(),
            "quality": pa.uint32(),
        }
    )


def read_file(path: Path, reading: Reading, findings: Findings) -> Iterator[Block]:
    """Blocks in the order of the file. Raises: DataError for a file that cannot be understood at all."""
    with path.open("rb") as raw:
        magic = raw.read(4)
        raw.seek(0)
        if magic == b"PAR1":
            yield from _parquet(path, reading, findings)
            return
        plain: Any = gzip.GzipFile(fileobj=raw) if magic[:2] == b"\x1f\x8b" else raw
        try:
            head = plain.read(65_536)
            encoding = reading.encoding or encoding_of(head)
            plain.seek(0)
            text = io.TextIOWrapper(plain, encoding, newline="")
            yield from _csv(path.name, text, raw, reading, findings)
        except UnicodeDecodeError as error:
            raise DataError(
                f"'{path.name}' is not {encoding} throughout ({error.reason}); name its --encoding"
            ) from None
        except (EOFError, gzip.BadGzipFile) as error:
            raise DataError(f"'{path.name}' is a damaged gzip file: {error}") from None
        except csv.Error as error:
            raise DataError(f"'{path.name}' is not CSV: {error}") from None
        except LookupError:
            raise DataError(f"there is no encoding '{reading.encoding}'; try utf-8, gb18030 or utf-16") from None


def encoding_of(head: bytes) -> str:
    """UTF-8 with or without its mark, UTF-16 with one, else GB 18030 (which GBK is part of)."""
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "gb18030"
    return "utf-8-sig"


def _csv(name: str, text: io.TextIOWrapper, raw: IO[bytes], reading: Reading, findings: Findings) -> Iterator[Block]:
    first = text.readline()
    if not first.strip():
        raise DataError(f"'{name}' is empty")
    delimiter = max(",;\t|", key=first.count)
    header = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter))]
    roles = _roles(name, header, reading)
    reader = csv.reader(text, delimiter=delimiter)
    at_once = max(1_000, CELLS_AT_ONCE // len(header))
    rows: list[list[str]] = []
    lines: list[int] = []
    for row in reader:
        if len(row) == len(header):
            rows.append(row)
            lines.append(reader.line_num + 1)
        elif row:
            findings.row(name, reader.line_num + 1, f"{len(row)} cells, but the header has {len(header)}")
        if len(rows) >= at_once:
            yield from _block(name, roles, rows, lines, reading, findings, raw.tell())
            rows, lines = [], []
    if rows:
        yield from _block(name, roles, rows, lines, reading, findings, raw.tell())


def _roles(name: str, header: Sequence[str], reading: Reading) -> dict[int, str]:
    """Column → role or path. Raises: DataError where the time is missing or a --map names no column."""
    for column in reading.columns:
        if column not in header:
            raise DataError(f"'{name}' has no column '{column}'; it has {', '.join(header)[:300]}")
    roles: dict[int, str] = {}
    taken = set(reading.columns.values())
    for role in ROLES:
        if role not in taken:
            folded = {column.casefold(): at for at, column in reversed(list(enumerate(header)))}
            at = next((folded[alias] for alias in _ALIASES[role] if alias in folded), None)
            if at is not None and header[at] not in reading.columns:
                roles[at] = role
    for at, column in enumerate(header):
        if column in reading.columns:
            roles[at] = reading.columns[column]
    found = set(roles.values())
    if "time" not in found:
        raise DataError(
            f"'{name}' has no column of times; name it with --map COLUMN=time. Columns: {', '.join(header)}"
        )
    if "path" in found and "value" in found:
        return {at: role for at, role in roles.items() if role in ROLES}
    wide = {at: role for at, role in roles.items() if role not in ("path", "value")}
    for at, column in enumerate(header):
        if at not in wide and column and column not in _IGNORED:
            wide[at] = f"{reading.asset}/{column}" if reading.asset else column
    return {at: role for at, role in wide.items() if role}


def _block(
    name: str,
    roles: Mapping[int, str],
    rows: list[list[str]],
    lines: list[int],
    reading: Reading,
    findings: Findings,
    position: int,
) -> Iterator[Block]:
    columns = list(zip(*rows, strict=True))
    by_role = {role: columns[at] for at, role in roles.items()}

    def bad(at: int, why: str) -> None:
        findings.row(name, lines[at], why)

    moments, usable = times(by_role["time"], reading.clock, bad)
    codes, fine = qualities(by_role["quality"], bad) if "quality" in by_role else (None, None)
    received, told = times(by_role["received"], reading.clock, bad) if "received" in by_role else (moments, None)
    for mask in (fine, told):
        usable = usable if mask is None else usable & mask
    series: Iterator[tuple[str, Any, Sequence[str]]]
    if "path" in by_role and "value" in by_role:
        series = _by_point(by_role["path"], by_role["value"])
    else:
        every = np.arange(len(rows))
        series = ((role, every, by_role[role]) for role in roles.values() if role not in ROLES)
    parts: list[_Part] = []
    for path, at, cells in series:
        kind = reading.points.get(path)
        if kind is None:
            findings.unknown[path] += len(at)
            continue
        keep_empty = kind is ValueKind.TEXT and "path" in by_role
        column, good = values(kind, cells, keep_empty, lambda row, why, at=at: bad(int(at[row]), why))  # type: ignore[misc]
        chosen = good & usable[at]
        if chosen.any():
            where = at[chosen]
            quality = np.zeros(len(where), np.uint32) if codes is None else codes[where]
            parts.append(_Part(path, kind, moments[where], received[where], column[chosen], quality))
    if parts:
        yield Block(_record(parts), position)


def _by_point(paths: Sequence[str], cells: Sequence[str]) -> Iterator[tuple[str, Any, Sequence[str]]]:
    rows: dict[str, list[int]] = {}
    for at, path in enumerate(paths):
        rows.setdefault(path, []).append(at)
    for path, found in rows.items():
        yield path.strip(), np.array(found), [cells[at] for at in found]


@dataclass(frozen=True, slots=True)
class _Part:
    path: str
    kind: ValueKind
    source_ns: Any
    received_ns: Any
    values: Any
    quality: Any


def _record(parts: Sequence[_Part]) -> pa.RecordBatch:
    import pyarrow as pa

    schema = import_schema()
    names = list(dict.fromkeys(part.path for part in parts))
    lengths = [len(part.source_ns) for part in parts]
    rows = np.repeat([names.index(part.path) for part in parts], lengths).astype(np.int32)
    stamp = schema.field("source_time").type
    arrays: dict[str, Any] = {
        "path": pa.DictionaryArray.from_arrays(pa.array(rows), pa.array(names)),
        "source_time": pa.array(np.concatenate([part.source_ns for part in parts])).view(stamp),
        "received_time": pa.array(np.concatenate([part.received_ns for part in parts])).view(stamp),
        "quality": pa.array(np.concatenate([part.quality for part in parts])),
    }
    for kind in ValueKind:
        arrow_type = schema.field(kind.label).type
        pieces = [
            pa.array(part.values, arrow_type) if part.kind is kind else pa.nulls(length, arrow_type)
            for part, length in zip(parts, lengths, strict=True)
        ]
        arrays[kind.label] = pa.concat_arrays(pieces)
    return pa.RecordBatch.from_arrays([arrays[name] for name in schema.names], schema=schema)


def _parquet(path: Path, reading: Reading, findings: Findings) -> Iterator[Block]:
    """Our own export, as it is; the declared points of it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema, size = import_schema(), path.stat().st_size
        present = set(pq.read_schema(path).names)
        if not {"path", "source_time"} <= present or not present & {kind.label for kind in ValueKind}:
            raise DataError(f"'{path.name}' is Parquet, but not as `history export` writes it; make it a CSV")
        file = pq.ParquetFile(path, read_dictionary=["path"])
        columns = [name for name in schema.names if name in present]
        done = 0
        for record in file.iter_batches(65_536, columns=columns):
            done += record.num_rows
            arrays = [
                record.column(field.name).cast(field.type)
                if field.name in present
                else pa.nulls(len(record), field.type)
                for field in schema
            ]
            names = arrays[0].dictionary.to_pylist()
            known = np.array([name in reading.points for name in names], np.bool_)
            rows = arrays[0].indices.to_numpy(zero_copy_only=False)
            for at, count in zip(*np.unique(rows, return_counts=True), strict=True):
                if not known[at]:
                    findings.unknown[names[at]] += int(count)
            batch = pa.RecordBatch.from_arrays(arrays, schema=schema).filter(pa.array(known[rows]))
            if batch.num_rows:
                yield Block(batch, size * done // max(file.metadata.num_rows, 1))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"'{path.name}' is a damaged Parquet file: {str(error)[:200]}") from None
