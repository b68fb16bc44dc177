"""Tables as bytes: CSV in the encodings that plants really send, and XLSX; in and out.

bytes ──what is it?──► xlsx ─────────────────────────► rows of cells
            └────────► text: UTF-8, UTF-16, GB18030 ──► delimiter , ; or tab ──► rows of cells
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from headrace.model.errors import ConfigError
from headrace.model.text import guarded, unguarded

SHEET_BYTES_MAX: Final = 64 * 1024 * 1024
ROWS_MAX: Final = 1_000_000
CELL_MAX: Final = 4_096
CELLS_MAX: Final = 10_000_000
#: Of a workbook, unpacked: its text is held as objects, several times as large.
UNPACKED_BYTES_MAX: Final = 4 * SHEET_BYTES_MAX

Row = tuple[int, list[Any]]
"""Row number from 1, and its cells."""


def read_rows(data: bytes, name: str) -> tuple[str, Iterator[Row]]:
    """What the bytes are (`xlsx` or an encoding), and their rows. Raises: ConfigError, also while iterating."""
    if len(data) > SHEET_BYTES_MAX:
        raise ConfigError(f"the sheet has {len(data):,} bytes; at most {SHEET_BYTES_MAX:,} are read", file=name)
    if data[:4] == b"PK\x03\x04":
        return "xlsx", _xlsx_rows(data, name)
    if data[:4] == b"\xd0\xcf\x11\xe0":
        raise ConfigError("this is an old .xls workbook; save it as .xlsx or CSV", file=name)
    text, encoding = _decode(data, name)
    return encoding, _csv_rows(text, name)


def write_csv(names: Sequence[str], records: Sequence[Mapping[str, Any]], bom: bool) -> bytes:
    """UTF-8, with the byte order mark that Excel wants where `bom`. No cell is run as a formula."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(names)
    for record in records:
        writer.writerow([_guarded(record.get(name)) for name in names])
    return out.getvalue().encode("utf-8-sig" if bom else "utf-8")


def write_xlsx(names: Sequence[str], records: Sequence[Mapping[str, Any]]) -> bytes:
    """One sheet, written row by row. No cell is run as a formula."""
    from openpyxl import Workbook
    from openpyxl.cell import WriteOnlyCell

    book = Workbook(write_only=True)
    sheet = book.create_sheet("points")
    sheet.freeze_panes = "B2"
    sheet.append(list(names))
    for record in records:
        row: list[Any] = []
        for name in names:
            value = record.get(name)
            cell = WriteOnlyCell(sheet, value=value)
            if isinstance(value, str):
                cell.data_type = "s"  # a text that begins with '=' stays a text
            row.append(cell)
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def _decode(data: bytes, name: str) -> tuple[str, str]:
    """Text and the encoding's name. What is valid UTF-8 is UTF-8; a mark decides; else GB18030 must fit exactly."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return _strict(data, encoding, name), encoding
    if b"\0" in data[:4096]:
        little = data[1:4096:2].count(0) >= data[0:4096:2].count(0)
        encoding = "utf-16-le" if little else "utf-16-be"
        return _strict(data, encoding, name), encoding
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return _strict(data, "gb18030", name), "gb18030"


def _strict(data: bytes, encoding: str, name: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        raise ConfigError(
            "this text is neither UTF-8, UTF-16 nor GB18030; save the sheet as CSV UTF-8", file=name, line=row
        ) from None
    if "\0" in text:
        raise ConfigError("this is no text file: it has NUL bytes", file=name)
    return text


def _csv_rows(text: str, name: str) -> Iterator[Row]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    csv.field_size_limit(max(csv.field_size_limit(), CELL_MAX))
    try:
        while True:
            start = reader.line_num + 1
            cells = next(reader, None)
            if cells is None:
                return
            yield start, [unguarded(cell) for cell in cells]
    except csv.Error as error:
        raise ConfigError(f"the sheet cannot be read from here on: {error}", file=name, line=start) from None


def _xlsx_rows(data: bytes, name: str) -> Iterator[Row]:
    from zipfile import BadZipFile, ZipFile

    try:
        with ZipFile(io.BytesIO(data)) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
        if unpacked > UNPACKED_BYTES_MAX:
            raise ConfigError(f"the workbook unpacks to {unpacked:,} bytes; that is too much", file=name)
        from openpyxl import load_workbook

        book = load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheet = book.worksheets[0]
        sheet.reset_dimensions()
        rows = [(number, list(cells)) for number, cells in _bounded(sheet.iter_rows(values_only=True), name)]
        book.close()
    except ConfigError:
        raise
    except BadZipFile as error:
        raise ConfigError("this is no whole workbook", file=name, detail=str(error)) from None
    except Exception as error:  # the library meets broken workbooks with errors of every kind
        raise ConfigError("this is no workbook that can be read", file=name, detail=repr(error)) from None
    yield from rows


def _bounded(rows: Iterable[Any], name: str) -> Iterator[Row]:
    """Numbered. A workbook of a kilobyte can have a thousand million empty cells."""
    count = 0
    for number, cells in enumerate(rows, 1):
        count += len(cells) + 1
        if number > ROWS_MAX + 1 or count > CELLS_MAX:
            raise ConfigError(f"the workbook has more than {ROWS_MAX:,} rows or {CELLS_MAX:,} cells", file=name)
        yield number, cells


def _guarded(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    return guarded(value) if isinstance(value, str) else value
