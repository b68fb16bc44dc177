"""A page of widgets: what an app shows without a line of JavaScript. `pages/<name>.toml`, named in the manifest.

    refresh = "30s"

    [[inputs]]                                      what may be chosen on the page; it is in the query of every source
    name = "day"
    kind = "date"                                   date | text | choice | asset
    title = { en = "Day", zh = "日期" }

    [[rows]]
    [[rows.widgets]]
    kind = "number"
    title = { en = "Running", zh = "运行" }
    source = "/hours"                               a GET route of the app
    value = "total.hours"                           where in what it answers
    unit = "h"
    decimals = 1

    [[rows.widgets]]
    kind = "table"
    source = "/hours"
    rows = "machines"                               the list in what it answers; '' where it is one itself
    [[rows.widgets.columns]]
    field = "asset"
    kind = "asset"                                  text | number | time | duration | asset | percent
    title = { en = "Machine", zh = "设备" }

    [[rows.widgets]]
    kind = "form"
    call = "POST /targets"                          a route that changes something
    button = { en = "Keep", zh = "保存" }
    [rows.widgets.fields.hours]                     as settings are: settings.py
    kind = "number"

`number`, `table`, `bar`, `trend`, `text`, `form`, `button`. Errors name the place, and all of them come in one go.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final

from headrace.model.errors import ConfigError, ConfigErrors, DataError
from headrace.model.places import check_place
from headrace.model.points import Title
from headrace.model.time import parse_duration_ns
from headrace.sdk.apps.reading import KEY, LIST_MAX, TableReader, matches
from headrace.sdk.apps.settings import Setting

_SOURCE: Final = re.compile(r"(/[a-z0-9][a-z0-9_.-]{0,60}){1,12}|/", re.ASCII)
_CALL: Final = re.compile(r"(POST|PUT|PATCH|DELETE) ((/[a-z0-9][a-z0-9_.-]{0,60}){1,12}|/)", re.ASCII)
_FIELD: Final = re.compile(r"[A-Za-z0-9_-]{1,60}(\.[A-Za-z0-9_-]{1,60}){0,6}", re.ASCII)
_FIELD_OR_NONE: Final = re.compile(rf"|{_FIELD.pattern}", re.ASCII)
_REFRESH_LEAST_S: Final = 1
_DECIMALS_MAX: Final = 9
_POINTS_MAX: Final = 20


class WidgetKind(StrEnum):
    NUMBER = "number"
    TABLE = "table"
    BAR = "bar"
    TREND = "trend"
    TEXT = "text"
    FORM = "form"
    BUTTON = "button"


class InputKind(StrEnum):
    DATE = "date"
    TEXT = "text"
    CHOICE = "choice"
    ASSET = "asset"


class ColumnKind(StrEnum):
    """How a cell is shown. `time` is ns since 1970, `duration` seconds, `percent` a ratio; `asset` a path, a link."""

    TEXT = "text"
    NUMBER = "number"
    TIME = "time"
    DURATION = "duration"
    ASSET = "asset"
    PERCENT = "percent"


@dataclass(frozen=True, slots=True)
class Input:
    name: str
    kind: InputKind
    title: Title
    choices: tuple[str, ...] = ()
    default: str = ""


@dataclass(frozen=True, slots=True)
class TableColumn:
    field: str
    title: Title
    kind: ColumnKind = ColumnKind.TEXT
    unit: str = ""
    decimals: int | None = None


@dataclass(frozen=True, slots=True)
class Widget:
    """What is '' or empty does not belong to its kind. `value` and `label` are fields of what the source answers (of
    each of its rows), `points` those of a trend over the last `span_s` seconds."""

    kind: WidgetKind
    title: Title
    source: str = ""
    rows: str = ""
    value: str = ""
    label: str = ""
    unit: str = ""
    decimals: int | None = None
    columns: tuple[TableColumn, ...] = ()
    points: tuple[str, ...] = ()
    span_s: int = 0
    text: Title | None = None
    call: str = ""
    button: Title | None = None
    confirm: Title | None = None
    fields: tuple[Setting, ...] = ()


@dataclass(frozen=True, slots=True)
class WidgetPage:
    """`refresh_s` is how often sources are asked anew; 0 is when somebody says so."""

    rows: tuple[tuple[Widget, ...], ...]
    inputs: tuple[Input, ...] = ()
    refresh_s: int = 0

    def described(self) -> dict[str, Any]:
        """As JSON, for whoever draws it."""
        return asdict(self)


_OF: Final[Mapping[WidgetKind, tuple[str, ...]]] = {
    WidgetKind.NUMBER: ("source", "value", "unit", "decimals"),
    WidgetKind.TABLE: ("source", "rows", "columns"),
    WidgetKind.BAR: ("source", "rows", "label", "value", "unit", "decimals"),
    WidgetKind.TREND: ("points", "span"),
    WidgetKind.TEXT: ("text", "source", "value"),
    WidgetKind.FORM: ("call", "button", "confirm", "fields"),
    WidgetKind.BUTTON: ("call", "button", "confirm"),
}


def read_page(text: str, file: str) -> WidgetPage:
    """Raises: ConfigErrors with all that is wrong, each with the file."""
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigErrors([ConfigError(f"this is no TOML: {error}", file=file)]) from None
    reader = _Reader(file)
    page = reader.page(table)
    if reader.errors:
        raise ConfigErrors(reader.errors)
    return page


class _Reader(TableReader):
    def page(self, table: Mapping[str, Any]) -> WidgetPage:
        self.known(table, ["refresh", "inputs", "rows"], "")
        rows = [
            tuple(self._widget(one, f"rows {at}, widget {number}: ") for number, one in self._each(row, at))
            for at, row in enumerate(self._tables(table, "rows", ""), 1)
        ]
        if not rows:
            self.wrong("a page has at least one [[rows]] with a [[rows.widgets]]")
        inputs = [self._input(one, f"inputs {at}: ") for at, one in enumerate(self._tables(table, "inputs", ""), 1)]
        return WidgetPage(tuple(rows), tuple(inputs), self._seconds(table, "refresh", "", _REFRESH_LEAST_S, 86_400))

    def _each(self, row: Mapping[str, Any], at: int) -> list[tuple[int, Mapping[str, Any]]]:
        self.known(row, ["widgets"], f"rows {at}: ")
        return list(enumerate(self._tables(row, "widgets", f"rows {at}: "), 1))

    def _tables(self, table: Mapping[str, Any], key: str, head: str) -> list[Mapping[str, Any]]:
        given = table.get(key, [])
        if not isinstance(given, list) or len(given) > LIST_MAX or not all(isinstance(one, dict) for one in given):
            self.wrong(f"{head}{key} are written [[{key}]], one after the other")
            return []
        return given

    def _widget(self, table: Mapping[str, Any], head: str) -> Widget:
        kind = self.choice(table, "kind", head, WidgetKind, WidgetKind.TEXT)
        own = _OF[kind]
        self.known(table, ["kind", "title", *own], head)
        for key in self._needed(kind, table):
            if key not in table:
                self.wrong(f"{head}a widget of kind '{kind}' says '{key}'")
        columns = [
            self._column(one, f"{head}columns {at}: ")
            for at, one in enumerate(self._tables(table, "columns", head), 1)
        ]  # fmt: skip
        fields = table.get("fields", {})
        return Widget(
            kind=kind,
            title=self.title(table, "title", head),
            source=self._maybe(table, "source", _SOURCE, "a route of the app, such as '/hours'", head),
            rows=self._maybe(table, "rows", _FIELD_OR_NONE, "a field such as 'machines'", head),
            value=self._maybe(table, "value", _FIELD, "a field such as 'total.hours'", head),
            label=self._maybe(table, "label", _FIELD, "a field such as 'asset'", head),
            unit=str(table.get("unit", ""))[:40],
            decimals=self._decimals(table, head),
            columns=tuple(columns),
            points=self.texts(table, "points", head, check_place)[:_POINTS_MAX],
            span_s=self._seconds(table, "span", head, 1, 400 * 86_400),
            text=self.title(table, "text", head) or None,
            call=self._maybe(table, "call", _CALL, "a method and a route, such as 'POST /targets'", head),
            button=self.title(table, "button", head) or None,
            confirm=self.title(table, "confirm", head) or None,
            fields=tuple(self.settings(fields, f"{head}fields.")) if fields else (),
        )

    def _needed(self, kind: WidgetKind, table: Mapping[str, Any]) -> tuple[str, ...]:
        if kind is WidgetKind.TEXT:
            return ("source", "value") if "source" in table else ("text",)
        return {
            WidgetKind.NUMBER: ("source", "value"), WidgetKind.TABLE: ("source", "columns"),
            WidgetKind.BAR: ("source", "label", "value"), WidgetKind.TREND: ("points", "span"),
            WidgetKind.FORM: ("call", "button", "fields"), WidgetKind.BUTTON: ("call", "button"),
        }[kind]  # fmt: skip

    def _column(self, table: Mapping[str, Any], head: str) -> TableColumn:
        self.known(table, ["field", "title", "kind", "unit", "decimals"], head)
        return TableColumn(
            field=self.text(table, "field", _FIELD, "a field such as 'asset'", head=head),
            title=self.title(table, "title", head, wanted=True),
            kind=self.choice(table, "kind", head, ColumnKind, ColumnKind.TEXT),
            unit=str(table.get("unit", ""))[:40],
            decimals=self._decimals(table, head),
        )

    def _input(self, table: Mapping[str, Any], head: str) -> Input:
        self.known(table, ["name", "kind", "title", "choices", "default"], head)
        kind = self.choice(table, "kind", head, InputKind, InputKind.TEXT)
        choices = self.texts(table, "choices", head, lambda one: one)
        if (kind is InputKind.CHOICE) != bool(choices):
            self.wrong(f"{head}choices: an input of kind 'choice' has some, and no other")
        return Input(
            name=self.text(table, "name", KEY, "lower case, such as 'day'", head=head),
            kind=kind,
            title=self.title(table, "title", head, wanted=True),
            choices=choices,
            default=str(table.get("default", ""))[:200],
        )

    def _maybe(self, table: Mapping[str, Any], key: str, form: re.Pattern[str], said: str, head: str) -> str:
        if key not in table:
            return ""
        try:
            return matches(str(table[key]), form, said)
        except DataError as error:
            self.wrong(f"{head}{key}: {error.message}")
            return ""

    def _decimals(self, table: Mapping[str, Any], head: str) -> int | None:
        return int(self.number(table, "decimals", head, 0, 0, _DECIMALS_MAX)) if "decimals" in table else None

    def _seconds(self, table: Mapping[str, Any], key: str, head: str, low: int, high: int) -> int:
        if key not in table:
            return 0
        try:
            found = parse_duration_ns(str(table[key]).replace("min", "m")) // 10**9
        except DataError as error:
            self.wrong(f"{head}{key}: {error.message}")
            return 0
        if not low <= found <= high:
            self.wrong(f"{head}{key} is from {low} s to {high} s")
        return found
