"""The master alarm database as a table, CSV or XLSX, out and in: where a rationalisation workshop does its work.

    rules ──columns──► bytes      bytes ──rows──► specs ──the schema's own readers──► YAML text + errors by row, column

Columns: alarm, condition, limit, reference, hysteresis, on_delay, off_delay, priority, class, latched, suppressed_by,
release_delay, time_to_respond, setpoint_basis, reviewed.on, reviewed.by, and message, cause, consequence and response
by language (`cause.en`). A row is what a rule is, also where a type or a class says so; so what comes in again stands
alone, or overrides a type's alarm with the same. Source: ISA-18.2-2016 §9 (master alarm database).
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headrace.model.alarms import AlarmCondition, AlarmRule
from headrace.model.errors import ConfigError, DataError
from headrace.model.time import SECOND_NS, format_duration
from headrace.registry import text
from headrace.registry.emit import flow, key_text
from headrace.registry.plan import alarm_record
from headrace.registry.problems import Problems, did_you_mean
from headrace.registry.readers import Context
from headrace.registry.schema import ALARM, check_rule
from headrace.registry.sheet_bytes import CELL_MAX, Row, read_rows, write_csv, write_xlsx
from headrace.sdk.services import SourceFile

_TITLES: Final = ("message", "cause", "consequence", "response")
_COLUMNS: Final = (
    "alarm", "when", "condition", "limit", "reference", "hysteresis", "on_delay", "off_delay", "priority", "class",
    "latched", "suppressed_by", "release_delay", "time_to_respond", "setpoint_basis", "reviewed.on", "reviewed.by",
)  # fmt: skip
#: Cells that are numbers or truth values where they look like one; all others are text.
_SCALARS: Final = ("limit", "hysteresis", "latched")


@dataclass(frozen=True, slots=True)
class SheetAlarms:
    """What a sheet says: declarations of its good rows, errors of the others (`line` is the row, from 1)."""

    file: SourceFile
    alarms: Sequence[str]
    errors: Sequence[ConfigError]
    encoding: str


def write_alarms(rules: Iterable[AlarmRule], format: str) -> bytes:
    """Rules as `csv` or `xlsx`, by name. Raises: DataError for another format."""
    records = [_record(rule) for rule in sorted(rules, key=lambda rule: rule.name)]
    used = {name for record in records for name in record}
    names = [*_COLUMNS, *sorted(used - set(_COLUMNS), key=lambda name: (_TITLES.index(name.partition(".")[0]), name))]
    if format == "csv":
        return write_csv(names, records, bom=True)
    if format == "xlsx":
        return write_xlsx(names, records)
    raise DataError(f"alarms are written as csv or xlsx, not '{format}'")


def read_alarms(data: bytes, name: str) -> SheetAlarms:
    """Raises: ConfigError where nothing of it can be read; a wrong row is in `errors` with file, row and column."""
    encoding, rows = read_rows(data, name)
    header_row, header = next(((number, row) for number, row in rows if any(map(_is_filled, row))), (1, []))
    columns = [str(cell).strip() if cell is not None else "" for cell in header]
    _check_header(columns, name, header_row)
    specs: dict[str, dict[str, Any]] = {}
    errors: list[ConfigError] = []
    for number, column, message in _read(rows, columns, specs):
        errors.append(ConfigError(message, file=name, line=number, column=column or None))
    lines = [f"  {key_text(rule)}: {flow(spec)}" for rule, spec in specs.items()]
    body = "alarms:\n" + "\n".join(lines) + "\n" if lines else "alarms: {}\n"
    stem = name.replace("\\", "/").rpartition("/")[2].rpartition(".")[0] or "alarms"
    return SheetAlarms(SourceFile(f"{stem}.yaml", body), tuple(specs), tuple(errors), encoding)


def _read(
    rows: Iterator[Row], columns: Sequence[str], specs: dict[str, dict[str, Any]]
) -> Iterator[tuple[int, int, str]]:
    """Fills `specs`; gives row, column and what is wrong there."""
    for number, row in rows:
        if not any(map(_is_filled, row)):
            continue
        if any(map(_is_filled, row[len(columns) :])):
            yield number, len(columns) + 1, f"this row has {len(row)} cells, the header {len(columns)}"
            continue
        cells = {column: cell for column, cell in zip(columns, row, strict=False) if column and _is_filled(cell)}
        try:
            rule = check_rule(str(cells.pop("alarm", "")).strip())
            if rule in specs:
                raise DataError(f"'{rule}' stands in a row above already")
        except DataError as error:
            yield number, columns.index("alarm") + 1, error.message
            continue
        spec = _spec(cells)
        wrong = _wrong(rule, spec)
        if wrong is None:
            specs[rule] = spec
        else:
            yield number, _column(columns, wrong[0]), wrong[1]


def _check_header(columns: Sequence[str], name: str, row: int) -> None:
    if "alarm" not in columns:
        shown = ", ".join(columns[:6]) or "nothing"
        message = f"the first row must name the columns, 'alarm' among them; it has {shown}"
        raise ConfigError(message, file=name, line=row)
    known = (*_COLUMNS, *(f"{title}.{language}" for title in _TITLES for language in ("en", "zh")))
    for number, column in enumerate(columns, 1):
        of_title = column.partition(".")[0] in _TITLES and "." in column
        if column and column not in known and not of_title:
            message = f"there is no column '{column}'{did_you_mean(column, known)}"
            raise ConfigError(message, file=name, line=row, column=number)
        if column and column in columns[: number - 1]:
            raise ConfigError(f"column '{column}' stands here twice", file=name, line=row, column=number)


def _spec(cells: Mapping[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    for column, cell in cells.items():
        key, dot, part = column.partition(".")
        value = _cell(column, cell)
        if dot:
            spec.setdefault(key, {})[part] = value
        else:
            spec[key] = value
    return spec


def _cell(column: str, cell: Any) -> Any:
    if isinstance(cell, datetime.date):  # a workbook's own; datetime is one, too
        return cell.isoformat()[:10]
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        cell = int(cell)
    if column not in _SCALARS:
        return str(cell) if column.partition(".")[0] in _TITLES else str(cell).strip()
    if not isinstance(cell, str):
        return cell
    value = text.resolve(cell.strip())
    return value if isinstance(value, bool | int | float) else cell.strip()


def _wrong(rule: str, spec: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first key that the schema refuses, and why."""
    for key, value in spec.items():
        if any(len(str(part)) > CELL_MAX for part in (value.values() if isinstance(value, dict) else (value,))):
            return key, f"this cell has more than {CELL_MAX:,} characters"
        problems = Problems()
        tree = text.read(SourceFile("row", f"x: {flow({key: value})}\n"), problems)
        if tree is not None:
            ALARM(tree.entries["x"], rule, Context("row", problems))
        if problems:
            return key, problems.errors()[0].message
    return None


def _column(columns: Sequence[str], key: str) -> int:
    return next((number for number, one in enumerate(columns, 1) if one == key or one.startswith(f"{key}.")), 0)


def _is_filled(cell: Any) -> bool:
    return cell is not None and (not isinstance(cell, str) or bool(cell.strip()))


def _record(rule: AlarmRule) -> dict[str, Any]:
    """A rule by column."""
    spec = {**alarm_record(rule), "latched": rule.latched}
    if rule.condition is AlarmCondition.STALE:
        spec["limit"] = format_duration(round(rule.limit * SECOND_NS))
    record: dict[str, Any] = {"alarm": rule.name}
    for key, value in spec.items():
        if isinstance(value, dict):
            record.update({f"{key}.{part}": one for part, one in value.items()})
        else:
            record[key] = value
    return record
