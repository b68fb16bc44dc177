"""Many devices as a table: the rows of a CSV file or a workbook to what each of them asks for.

    name, secret, certificate, publish, subscribe, messages_per_s, note       of the device; only name is needed
    asset, type, connection, title, parameter.<name> …                        of the asset that it declares, if any

Every wrong row is told with what is wrong; the others go on.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.fleet.devices.credentials import check_certificate, check_secret
from headrace.fleet.devices.topics import check_filters, check_name
from headrace.model.errors import ConfigError, DataError
from headrace.model.points import check_path
from headrace.sdk.fleet import NewAsset, NewDevice, RowError

ROWS_MAX: Final = 50_000
COLUMNS_MAX: Final = 100
ERRORS_MAX: Final = 200
_DEVICE: Final = ("name", "secret", "certificate", "publish", "subscribe", "messages_per_s", "note")
_ASSET: Final = ("asset", "type", "connection", "title")
_PARAMETER: Final = "parameter."
RATE_MAX: Final = 1_000_000.0
NOTE_CHARACTERS_MAX: Final = 1_000

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")

Row = tuple[int, Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Wanted:
    row: int
    device: NewDevice
    asset: NewAsset | None = None


@dataclass(slots=True)
class Sheet:
    wanted: list[Wanted] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    more: int = 0

    def wrong(self, row: int, message: str) -> None:
        if len(self.errors) < ERRORS_MAX:
            self.errors.append(RowError(row, message))
        else:
            self.more += 1


def read(rows: Iterable[Row], rows_max: int = ROWS_MAX) -> Sheet:
    """Raises: DataError where there is no usable header, or too much of it."""
    columns: dict[int, str] | None = None
    sheet, names, paths = Sheet(), dict[str, int](), dict[str, int]()
    for count, (row, cells) in enumerate(_read(rows)):
        if columns is None:
            columns = _header(cells)
            continue
        if count > rows_max:
            raise DataError(f"more than {rows_max:,} rows at once; split the table")
        texts = {columns[at]: _text(cell) for at, cell in enumerate(cells) if at in columns}
        texts = {name: text for name, text in texts.items() if text}
        if not texts:
            continue
        try:
            wanted = _wanted(row, texts)
            _first(names, wanted.device.name, row)
            if wanted.asset is not None:
                _first(paths, wanted.asset.path, row)
            sheet.wanted.append(wanted)
        except DataError as error:
            sheet.wrong(row, error.message)
    if columns is None:
        raise DataError("the table is empty; its first row names the columns, at least 'name'")
    return sheet


def check_rate(rate: float) -> float:
    """Raises: DataError."""
    if not math.isfinite(rate) or not 0 < rate <= RATE_MAX:
        raise DataError(f"messages_per_s is a number above 0 and at most {RATE_MAX:,.0f}, not {rate:g}")
    return rate


def check_note(note: str) -> str:
    """Raises: DataError."""
    if len(note) > NOTE_CHARACTERS_MAX:
        raise DataError(f"a note has at most {NOTE_CHARACTERS_MAX} characters; this has {len(note)}")
    if _UNSTORABLE.search(note):
        raise DataError("the note has characters that cannot be kept")
    return note


def _first(seen: dict[str, int], name: str, row: int) -> None:
    first = seen.setdefault(name, row)
    if first != row:
        raise DataError(f"'{name}' stands in row {first} already")


def _read(rows: Iterable[Row]) -> Iterator[Row]:
    try:
        yield from rows
    except ConfigError as error:
        raise DataError(str(error)) from None


def _header(cells: Sequence[Any]) -> dict[int, str]:
    known = (*_DEVICE, *_ASSET)
    columns: dict[int, str] = {}
    for at, cell in enumerate(cells):
        name = _text(cell)
        if not name:
            continue
        folded = name if name.lower().startswith(_PARAMETER) else name.lower().replace(" ", "_")
        if folded.lower().startswith(_PARAMETER):
            folded = _PARAMETER + folded[len(_PARAMETER) :]
        elif folded not in known:
            near = difflib.get_close_matches(folded[:60], known, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"use {', '.join(known)} or {_PARAMETER}<name>"
            raise DataError(f"'{name[:60]}' is no column of a table of devices; {hint}")
        if folded in columns.values():
            raise DataError(f"the column '{folded[:60]}' stands twice")
        columns[at] = folded
    if "name" not in columns.values():
        raise DataError("the first row names the columns, and one of them is 'name'")
    if len(columns) > COLUMNS_MAX:
        raise DataError(f"a table of devices has at most {COLUMNS_MAX} columns; this has {len(columns)}")
    return columns


def _wanted(row: int, texts: Mapping[str, str]) -> Wanted:
    if "name" not in texts:
        raise DataError("the row has no name")
    if "secret" in texts and "certificate" in texts:
        raise DataError("a device shows a secret or a certificate, not both")
    device = NewDevice(
        name=check_name(texts["name"]),
        publish=_filters(texts, "publish"),
        subscribe=_filters(texts, "subscribe"),
        messages_per_s=_rate(texts),
        certificate=check_certificate(texts["certificate"]) if "certificate" in texts else None,
        secret=check_secret(texts["secret"]) if "secret" in texts else None,
        note=check_note(texts.get("note", "")),
    )
    return Wanted(row, device, _asset(texts))


def _asset(texts: Mapping[str, str]) -> NewAsset | None:
    parameters = {name.removeprefix(_PARAMETER): _scalar(text) for name, text in texts.items() if _PARAMETER in name}
    if "asset" not in texts:
        stray = next((name for name in (*_ASSET, *texts) if name in texts and name not in _DEVICE), None)
        if stray is not None:
            raise DataError(f"'{stray}' belongs to an asset, and the row has none")
        return None
    for name in ("type", "connection"):
        if name not in texts:
            raise DataError(f"the asset needs a {name}")
    title = {"en": texts["title"]} if "title" in texts else {}
    return NewAsset(check_path(texts["asset"]), texts["type"], texts["connection"], parameters, title)


def _filters(texts: Mapping[str, str], name: str) -> tuple[str, ...] | None:
    """Separated by spaces or semicolons; a topic with a space in it is for the other ways of adding a device."""
    return check_filters(texts[name].replace(";", " ").split()) if name in texts else None


def _rate(texts: Mapping[str, str]) -> float | None:
    if "messages_per_s" not in texts:
        return None
    try:
        rate = float(texts["messages_per_s"])
    except ValueError:
        raise DataError(f"messages_per_s is a number, not '{texts['messages_per_s'][:40]}'") from None
    return check_rate(rate)


def _scalar(text: str) -> str | int | float | bool:
    """As YAML would take a bare word, but for what a parameter cannot be."""
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text) if len(text) < 19 else text
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        return text
    return number if math.isfinite(number) else text


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 2**53:
        cell = int(cell)  # a workbook knows no whole numbers
    return str(cell).strip()
