"""Points as a table: CSV and XLSX, in and out.

    bytes ──decode, sniff──► rows ──by column──► specs ──the schema's own readers──► YAML text + errors with row, column

Columns: path, type, unit, low, high, access, interval, connection, retention, decimals, title.<language>, write_low,
write_high, critical, approval, limits, interlocks and machine (JSON), expression, and `address.<word>` for each word of
a driver's address (or one column `address` with JSON). A wrong row is told and left out; the good ones go on. The text
that comes out is a declaration file: assets that the points need are in `missing_assets`, for a person to declare.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headrace.model.errors import ConfigError, DataError
from headrace.model.plant import PlantModel
from headrace.model.points import Point, check_path
from headrace.model.units import check_unit
from headrace.registry.emit import flow, key_text
from headrace.registry.plan import point_record
from headrace.registry.problems import Problems, did_you_mean
from headrace.registry.readers import Context
from headrace.registry.schema import POINT
from headrace.registry.sheet_bytes import CELL_MAX, Row, read_rows, write_csv, write_xlsx
from headrace.registry.text import Mapping as MapNode
from headrace.registry.text import Node, Scalar
from headrace.registry.text import Sequence as ListNode
from headrace.sdk.services import SourceFile

_COLUMNS: Final[tuple[str, ...]] = (
    "path",
    "type",
    "unit",
    "low",
    "high",
    "access",
    "write_low",
    "write_high",
    "interval",
    "decimals",
    "connection",
    "retention",
    "critical",
    "approval",
    "limits",
    "interlocks",
    "expression",
    "machine",
)
_OPEN_COLUMNS: Final[tuple[str, ...]] = ("title.", "address.")
_NUMBER = re.compile(r"[-+]?(?:0|[1-9]\d{0,17})(?:\.\d+)?(?:[eE][-+]?\d{1,3})?|[-+]?\.\d+")


@dataclass(frozen=True, slots=True)
class SheetPoints:
    """What a sheet says: declarations of its good rows, errors of the others (`line` is the row, from 1).

    `paths` are the points accepted, in order.
    """

    file: SourceFile
    paths: Sequence[str]
    errors: Sequence[ConfigError]
    encoding: str


def read_points(data: bytes, name: str) -> SheetPoints:
    """Points of a `.csv` or `.xlsx` file, as text that `plan` and `apply` take. Raises: ConfigError where nothing of
    it can be read; a wrong row is in `errors` with file, row and column."""
    encoding, rows = read_rows(data, name)
    specs, errors = _specs(rows, name)
    stem = name.replace("\\", "/").rpartition("/")[2].rpartition(".")[0] or "points"
    lines = [f"  {key_text(path)}: {flow(spec)}" for path, spec in specs.items()]
    body = "points:\n" + "\n".join(lines) + "\n" if lines else "points: {}\n"
    return SheetPoints(SourceFile(f"{stem}.yaml", body), tuple(specs), tuple(errors), encoding)


def missing_assets(points: Iterable[str], known: Iterable[str]) -> list[str]:
    """Assets that these points need and nobody declared, parents first."""
    declared = set(known)
    wanted: set[str] = set()
    for path in points:
        parent = path.rpartition("/")[0]
        while parent and parent not in declared and parent not in wanted:
            wanted.add(parent)
            parent = parent.rpartition("/")[0]
    return sorted(wanted)


def write_points(points: PlantModel | Iterable[Point], format: str, *, bom: bool = True) -> bytes:
    """Points as `csv` (UTF-8, with the mark that Excel wants unless `bom` is false) or `xlsx`.

    Text that a spreadsheet would run as a formula is written so that it does not, and read back as it was.
    Raises: DataError for another format.
    """
    chosen = list(points.points.values()) if isinstance(points, PlantModel) else list(points)
    records = [_record(point) for point in chosen]
    used = {name for record in records for name in record}
    names = [name for name in _COLUMNS if name == "path" or name in used]
    names += sorted(name for name in used if name.startswith("title."))
    names += sorted(name for name in used if name.startswith("address."))
    if format == "csv":
        return write_csv(names, records, bom)
    if format == "xlsx":
        return write_xlsx(names, records)
    raise DataError(f"points are written as csv or xlsx, not '{format}'")


def _specs(rows: Iterator[Row], name: str) -> tuple[dict[str, dict[str, Any]], list[ConfigError]]:
    header_row, header = next(((number, row) for number, row in rows if any(_filled(row))), (1, []))
    columns = [str(cell).strip() if cell is not None else "" for cell in header]
    _check_header(columns, name, header_row)
    specs: dict[str, dict[str, Any]] = {}
    first: dict[str, int] = {}
    errors: list[ConfigError] = []
    for number, row in rows:
        if not any(_filled(row)):
            continue
        column = 0
        try:
            if len(row) > len(columns) and any(_filled(row[len(columns) :])):
                column = len(columns) + 1
                raise DataError(f"this row has {len(row)} cells, the header {len(columns)}")
            cells = {}
            for index, (column_name, cell) in enumerate(zip(columns, row, strict=False), 1):
                column = index
                if column_name and _is_filled(cell):
                    cells[column_name] = _cell(column_name, cell)
            column = columns.index("path") + 1
            if "path" not in cells:
                raise DataError("the path is missing")
            path = cells.pop("path")
            if path in first:
                raise DataError(f"'{path}' stands in row {first[path]} already")
            spec = _spec(cells)
            column, problem = _check(path, spec, columns)
            if problem is not None:
                raise DataError(problem)
        except DataError as error:
            errors.append(ConfigError(error.message, file=name, line=number, column=column or None))
            continue
        first[path] = number
        specs[path] = spec
    return specs, errors


def _check_header(columns: Sequence[str], name: str, row: int) -> None:
    known = (*_COLUMNS, "address", "title.en", "title.zh")
    if "path" not in columns:
        shown = ", ".join(columns[:6]) or "nothing"
        raise ConfigError(
            f"the first row must name the columns, 'path' among them; it has {shown}", file=name, line=row
        )
    for number, column in enumerate(columns, 1):
        if column and column not in known and not column.startswith(_OPEN_COLUMNS):
            raise ConfigError(
                f"there is no column '{column}'{did_you_mean(column, known)}", file=name, line=row, column=number
            )
        if column and column in columns[: number - 1]:
            raise ConfigError(f"column '{column}' stands here twice", file=name, line=row, column=number)


def _cell(column: str, cell: Any) -> Any:
    """A cell's value as its column wants it. Raises: DataError."""
    if isinstance(cell, str) and len(cell) > CELL_MAX:
        raise DataError(f"this cell has {len(cell):,} characters; at most {CELL_MAX:,} are read")
    if column == "path":
        return check_path(str(cell).strip())
    if column == "address":
        try:
            address = json.loads(str(cell))
        except ValueError:
            raise DataError('\'address\' must be a JSON object, such as {"table": "holding", "address": 4}') from None
        if not isinstance(address, dict):
            raise DataError("'address' must be a JSON object")
        return address
    if column in ("limits", "interlocks", "machine"):
        wanted, noun = (list, "list") if column == "interlocks" else (dict, "object")
        try:
            part = json.loads(str(cell))
        except ValueError:
            part = None
        if not isinstance(part, wanted):
            raise DataError(f"'{column}' must be a JSON {noun}, as the export writes it")
        return part
    if column == "critical":
        return _number(cell)
    if column in ("low", "high", "write_low", "write_high", "decimals"):
        value = _number(cell)
        if isinstance(value, str):
            raise DataError(f"'{column}' must be a number, not '{cell}'")
        return value
    if column.startswith("address."):
        return _number(cell)
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return str(cell).strip() if not column.startswith("title.") else str(cell)


def _number(cell: Any) -> Any:
    """Numbers and truth values as such, other cells as text: `TRUE` is what spreadsheets write."""
    if isinstance(cell, bool | int):
        return cell
    if isinstance(cell, float):
        return int(cell) if cell.is_integer() and abs(cell) < 2**53 else cell
    text = str(cell).strip()
    if text.casefold() in ("true", "false"):
        return text.casefold() == "true"
    if _NUMBER.fullmatch(text):
        value = float(text) if any(mark in text for mark in ".eE") else int(text)
        return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value
    return text


def _spec(cells: Mapping[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    for name in (
        "type",
        "unit",
        "access",
        "interval",
        "decimals",
        "connection",
        "retention",
        "critical",
        "approval",
        "limits",
        "interlocks",
        "expression",
        "machine",
    ):
        if name in cells:
            spec[name] = cells[name]
    for name, low, high in (("range", "low", "high"), ("write_range", "write_low", "write_high")):
        if (low in cells) != (high in cells):
            raise DataError(f"'{low}' and '{high}' belong together; one is empty")
        if low in cells:
            spec[name] = [cells[low], cells[high]]
    title = {name.removeprefix("title."): cell for name, cell in cells.items() if name.startswith("title.")}
    words = {name.removeprefix("address."): cell for name, cell in cells.items() if name.startswith("address.")}
    if title:
        spec["title"] = title
    address = {**cells.get("address", {}), **words}
    if address:
        spec["address"] = address
    return spec


def _check(path: str, spec: Mapping[str, Any], columns: Sequence[str]) -> tuple[int, str | None]:
    """The first thing that the schema refuses, with its column; (0, None) where all is well."""
    named = {"range": "low", "write_range": "write_low"}
    if "unit" in spec:
        try:
            check_unit(spec["unit"])
        except DataError as error:
            return _column(columns, "unit"), error.message
    for key, value in spec.items():
        problems = Problems()
        POINT(_node({key: value}), path, Context("row", problems))
        if problems:
            return _column(columns, named.get(key, key)), problems.errors()[0].message
    return 0, None


def _column(columns: Sequence[str], name: str) -> int:
    return next((number for number, one in enumerate(columns, 1) if one == name or one.startswith(f"{name}.")), 0)


def _filled(row: Sequence[Any]) -> Iterator[bool]:
    return (_is_filled(cell) for cell in row)


def _is_filled(cell: Any) -> bool:
    return cell is not None and (not isinstance(cell, str) or bool(cell.strip()))


def _node(value: Any) -> Node:
    """Plain data as if it stood in a declaration file, for the schema's readers."""
    if isinstance(value, dict):
        return MapNode(0, 0, {key: _node(part) for key, part in value.items()}, dict.fromkeys(value, (0, 0)))
    if isinstance(value, list):
        return ListNode([_node(part) for part in value], 0, 0)
    if isinstance(value, str):
        return Scalar(value, False, 0, 0)
    return Scalar(flow(value), True, 0, 0)


def _record(point: Point) -> dict[str, Any]:
    """A point by column."""
    record: dict[str, Any] = {"path": point.path}
    for name, value in point_record(point).items():
        if name in ("range", "write_range"):
            prefix = "write_" if name == "write_range" else ""
            record[f"{prefix}low"], record[f"{prefix}high"] = value
        elif name in ("title", "address"):
            for word, part in value.items():
                record[f"{name}.{word}"] = part if not isinstance(part, dict | list) else json.dumps(part)
        elif name in ("limits", "interlocks", "machine"):
            record[name] = json.dumps(value, ensure_ascii=False)
        else:
            record[name] = value
    return record
