"""The manifest of an app, `manifest.toml` in its folder: what it is, what it asks for, what it shows.

    name = "acme.press-view"                    lower case; what stands before the first '.' is whose it is
    version = "1.2.0"
    sdk = "1.0"                                 the oldest SDK that it runs on
    licence = "Apache-2.0"
    module = "app"                              app.py holds `app = App()`
    imports = ["openpyxl"]                      beside the standard library, NumPy and Arrow
    title = { en = "Press view", zh = "压机视图" }

    [permissions]                               nothing is granted that is not asked for, nor that is not accepted
    assets = ["acme/*/press-shop"]              what it sees of the model; without it, nothing
    read = ["**/state", "**/count.*"]           whose samples it reads
    write = []                                  what it may write, as the app itself
    events = ["alarm.*"]                        what it hears
    publish = ["press-view.*"]                  what it tells
    alarms = true                               current and past
    hosts = ["api.example.com:443"]             what it may call
    sign = false                                signatures of the platform
    documents_mb = 100
    tables_mb = 200

    [limits]
    memory_mb = 256                             of its process
    call_s = 30                                 of each call of it

    [settings.<name>]                           see settings.py
    [[pages]]
    name = "terminal"
    kind = "module"                             an ES module in a sandboxed frame; `widgets`: a page of widgets
    file = "pages/terminal.js"
    title = { en = "Terminal", zh = "终端" }
    action = "view"                             the right that it takes to see it

Unknown keys are errors, with the nearest that is known.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from headrace.model.errors import ConfigError, ConfigErrors, DataError, HeadraceError
from headrace.model.places import check_place, lies_at
from headrace.model.points import Title
from headrace.sdk.access import Action
from headrace.sdk.apps.settings import Setting, SettingKind

FILE: Final = "manifest.toml"
LANGUAGES: Final = ("en", "zh")
LIST_MAX: Final = 200
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[.-][a-z0-9]+)*", re.ASCII)
_VERSION: Final = re.compile(r"\d{1,5}\.\d{1,5}\.\d{1,5}((a|b|rc)\d{1,4})?", re.ASCII)
_SDK: Final = re.compile(r"\d{1,3}\.\d{1,3}", re.ASCII)
_MODULE: Final = re.compile(r"[a-z_][a-z0-9_]{0,60}", re.ASCII)
_IMPORT: Final = re.compile(r"[a-zA-Z_][\w]{0,60}(\.[a-zA-Z_]\w{0,60}){0,6}", re.ASCII)
_KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,40}", re.ASCII)
_HOST: Final = re.compile(r"(\*\.)?[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?:\d{1,5}", re.ASCII)
_FILE: Final = re.compile(r"[a-z0-9_-]+(/[a-z0-9_-]+){0,4}\.[a-z0-9]{1,8}", re.ASCII)
_TYPE: Final = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)*(\.\*)?|\*", re.ASCII)


class PageKind(StrEnum):
    MODULE = "module"
    WIDGETS = "widgets"


@dataclass(frozen=True, slots=True)
class Page:
    """`action` is the right on the assets of the app that it takes to see it."""

    name: str
    kind: PageKind
    file: str
    title: Title
    action: Action = Action.VIEW


@dataclass(frozen=True, slots=True)
class Permissions:
    """What an app asks for, as in the manifest; places are those of `model/places.py`."""

    assets: tuple[str, ...] = ()
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    alarms: bool = False
    hosts: tuple[str, ...] = ()
    sign: bool = False
    documents_mb: int = 0
    tables_mb: int = 0

    def sees(self, path: str) -> bool:
        """Whether an asset or a point is of what it asks to see: a point is where its asset or its samples are."""
        return _at(path, self.assets) or self.reads(path)

    def reads(self, path: str) -> bool:
        return _at(path, self.read) or self.writes(path)

    def writes(self, path: str) -> bool:
        return _at(path, self.write)

    def hears(self, type: str) -> bool:
        return any(_is_of(type, one) for one in self.events)

    def tells(self, type: str) -> bool:
        return any(_is_of(type, one) for one in self.publish)

    def more_than(self, other: Permissions) -> list[str]:
        """What this asks for and `other` did not, in words: what a person has to accept anew."""
        found = []
        for name in ("assets", "read", "write", "events", "publish", "hosts"):
            new = [one for one in getattr(self, name) if one not in getattr(other, name)]
            found += [f"{name}: {one}" for one in new]
        found += [name for name in ("alarms", "sign") if getattr(self, name) and not getattr(other, name)]
        for name in ("documents_mb", "tables_mb"):
            if getattr(self, name) > getattr(other, name):
                found.append(f"{name}: {getattr(self, name)}")
        return found


@dataclass(frozen=True, slots=True)
class AppLimits:
    memory_mb: int = 256
    call_s: float = 30.0


@dataclass(frozen=True, slots=True)
class AppManifest:
    name: str
    version: str
    sdk: str
    title: Title
    summary: Title = field(default_factory=dict)
    licence: str = ""
    publisher: str = ""
    module: str = "app"
    imports: tuple[str, ...] = ()
    permissions: Permissions = Permissions()
    limits: AppLimits = AppLimits()
    settings: tuple[Setting, ...] = ()
    pages: tuple[Page, ...] = ()

    def runs_on(self, sdk: str) -> bool:
        """Whether an SDK of this version has all that it needs: the same first number, and no older."""
        mine, theirs = ([int(part) for part in text.split(".")] for text in (self.sdk, sdk))
        return mine[0] == theirs[0] and mine[1] <= theirs[1]


def read_manifest(text: str, file: str = FILE) -> AppManifest:
    """Raises: ConfigErrors with all that is wrong, each with the file."""
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigErrors([ConfigError(f"this is no TOML: {error}", file=file)]) from None
    reader = _Reader(file)
    made = reader.manifest(table)
    if reader.errors:
        raise ConfigErrors(reader.errors)
    return made


class _Reader:
    """Goes on after what is wrong, so that an author mends it in one go."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.errors: list[ConfigError] = []

    def manifest(self, table: Mapping[str, Any]) -> AppManifest:
        self._known(table, [*_TOP], "")
        name = self._text(table, "name", _NAME, "lower case, such as 'acme.press-view'")
        settings = table.get("settings", {})
        pages = table.get("pages", [])
        return AppManifest(
            name=name,
            version=self._text(table, "version", _VERSION, "three numbers, such as '1.2.0'"),
            sdk=self._text(table, "sdk", _SDK, "two numbers, such as '1.0'"),
            title=self._title(table, "title", "", wanted=True),
            summary=self._title(table, "summary", ""),
            licence=str(table.get("licence", ""))[:100],
            publisher=str(table.get("publisher", ""))[:100],
            module=self._text(table, "module", _MODULE, "the name of a module, such as 'app'", "app"),
            imports=self._list(table, "imports", "", lambda one: _matches(one, _IMPORT, "a module")),
            permissions=self._permissions(table.get("permissions", {})),
            limits=self._limits(table.get("limits", {})),
            settings=tuple(self._settings(settings, "settings.")),
            pages=tuple(self._pages(pages)),
        )

    def _permissions(self, table: Any) -> Permissions:
        if not self._is_table(table, "permissions"):
            return Permissions()
        self._known(table, [*_PERMISSIONS], "permissions.")
        places = {name: self._list(table, name, "permissions.", check_place) for name in ("assets", "read", "write")}
        types = {
            name: self._list(table, name, "permissions.", lambda one: _matches(one, _TYPE, "a type of events"))
            for name in ("events", "publish")
        }
        return Permissions(
            **places, **types,
            hosts=self._list(
                table, "hosts", "permissions.", lambda one: _matches(one, _HOST, "a host and port, 'api.acme.com:443'")
            ),
            alarms=self._flag(table, "alarms", "permissions."),
            sign=self._flag(table, "sign", "permissions."),
            documents_mb=int(self._number(table, "documents_mb", "permissions.", 0, 0, 100_000)),
            tables_mb=int(self._number(table, "tables_mb", "permissions.", 0, 0, 100_000)),
        )  # fmt: skip

    def _limits(self, table: Any) -> AppLimits:
        if not self._is_table(table, "limits"):
            return AppLimits()
        self._known(table, ["memory_mb", "call_s"], "limits.")
        memory = self._number(table, "memory_mb", "limits.", 256, 64, 16_384)
        return AppLimits(int(memory), self._number(table, "call_s", "limits.", 30.0, 0.1, 3600))

    def _settings(self, table: Any, head: str) -> list[Setting]:
        found: list[Setting] = []
        if not self._is_table(table, head.rstrip(".")):
            return found
        for name, one in table.items():
            where = f"{head}{name}."
            if not _KEY.fullmatch(name):
                self._wrong(f"'{name[:60]}' is no name of a setting; lower case, digits, '-' and '_'")
            elif self._is_table(one, where.rstrip(".")):
                found.append(self._setting(name, one, where))
        return found

    def _setting(self, name: str, table: Mapping[str, Any], head: str) -> Setting:
        self._known(table, [*_SETTING], head)
        kind = self._choice(table, "kind", head, SettingKind, SettingKind.TEXT)
        choices = table.get("choices", {})
        if isinstance(choices, list):
            choices = {one: {} for one in choices}
        if not isinstance(choices, dict) or (kind is SettingKind.CHOICE) != bool(choices):
            self._wrong(f"{head}choices: a setting of kind 'choice' has some, and no other")
            choices = {}
        columns = self._settings(table.get("columns", {}), f"{head}columns.")
        if (kind is SettingKind.TABLE) != bool(columns) or any(one.columns for one in columns):
            self._wrong(f"{head}columns: a setting of kind 'table' has some, and they are no tables")
        bounds = {
            key: self._number(table, key, head, 0.0, -1e300, 1e300) if key in table else None for key in ("low", "high")
        }
        made = Setting(
            name=name,
            kind=kind,
            title=self._title(table, "title", head),
            help=self._title(table, "help", head),
            default=table.get("default"),
            optional=self._flag(table, "optional", head),
            many=self._flag(table, "many", head),
            unit=str(table.get("unit", "")),
            low=bounds["low"],
            high=bounds["high"],
            choices={str(one): _texts(title) for one, title in choices.items()},
            columns=tuple(columns),
        )
        if made.default is not None:
            try:
                made.check(made.default)
            except ConfigError as error:
                self._wrong(f"{head}default: {error.message}")
        return made

    def _pages(self, tables: Any) -> list[Page]:
        if not isinstance(tables, list) or len(tables) > LIST_MAX:
            self._wrong("pages are written [[pages]], one after the other")
            return []
        found: list[Page] = []
        for at, table in enumerate(tables, 1):
            head = f"pages {at}: "
            if not self._is_table(table, head):
                continue
            self._known(table, ["name", "kind", "file", "title", "action"], head)
            page = Page(
                name=self._text(table, "name", _KEY, "lower case", head=head),
                kind=self._choice(table, "kind", head, PageKind, PageKind.MODULE),
                file=self._text(table, "file", _FILE, "a file of the app, such as 'pages/terminal.js'", head=head),
                title=self._title(table, "title", head, wanted=True),
                action=self._choice(table, "action", head, Action, Action.VIEW),
            )
            if any(one.name == page.name for one in found):
                self._wrong(f"{head}there are two pages named '{page.name}'")
            found.append(page)
        return found

    # --- parts -------------------------------------------------------------------------------------------------------

    def _wrong(self, message: str) -> None:
        if len(self.errors) < LIST_MAX:
            self.errors.append(ConfigError(message, file=self._file))

    def _is_table(self, given: Any, where: str) -> bool:
        if not isinstance(given, dict):
            self._wrong(f"{where} is a table")
            return False
        return True

    def _known(self, table: Mapping[str, Any], keys: Sequence[str], head: str) -> None:
        for key in table:
            if key not in keys:
                near = difflib.get_close_matches(key, keys, 1)
                self._wrong(f"unknown key '{head}{key[:60]}'{f'; did you mean {near[0]}?' if near else ''}")

    def _text(
        self, table: Mapping[str, Any], key: str, form: re.Pattern[str], said: str, default: str = "", *, head: str = ""
    ) -> str:
        given = table.get(key, default)
        if not isinstance(given, str) or len(given) > 250 or not form.fullmatch(given):
            self._wrong(f"{head}{key} is {said}" if key in table else f"{head}{key} is missing: {said}")
            return ""
        return given

    def _title(self, table: Mapping[str, Any], key: str, head: str, *, wanted: bool = False) -> Title:
        given = table.get(key, {})
        if isinstance(given, str):
            given = {"en": given}
        if not isinstance(given, dict) or not given.keys() <= {*LANGUAGES} or not all(
            isinstance(text, str) and 0 < len(text) <= 1_000 for text in given.values()
        ):  # fmt: skip
            self._wrong(f"{head}{key} is a text, or one for each of {', '.join(LANGUAGES)}")
            return {}
        if wanted and not given:
            self._wrong(f'{head}{key} is missing: {{ en = "…", zh = "…" }}')
        return given

    def _list(self, table: Mapping[str, Any], key: str, head: str, check: Callable[[str], str]) -> tuple[str, ...]:
        given = table.get(key, [])
        if not isinstance(given, list) or len(given) > LIST_MAX or not all(isinstance(one, str) for one in given):
            self._wrong(f"{head}{key} is a list of at most {LIST_MAX} texts")
            return ()
        found = []
        for one in given:
            try:
                found.append(check(one))
            except HeadraceError as error:
                self._wrong(f"{head}{key}: {error.message}")
        return tuple(found)

    def _flag(self, table: Mapping[str, Any], key: str, head: str) -> bool:
        given = table.get(key, False)
        if not isinstance(given, bool):
            self._wrong(f"{head}{key} is true or false")
            return False
        return given

    def _number(self, table: Mapping[str, Any], key: str, head: str, default: float, low: float, high: float) -> float:
        given = table.get(key, default)
        if isinstance(given, bool) or not isinstance(given, int | float) or not low <= given <= high:
            self._wrong(f"{head}{key} is a number from {low:g} to {high:g}")
            return default
        return given

    def _choice(self, table: Mapping[str, Any], key: str, head: str, kind: Any, default: Any) -> Any:
        given = table.get(key, default.value)
        try:
            return kind(given)
        except ValueError:
            self._wrong(f"{head}{key} is one of {', '.join(kind)}, not '{str(given)[:40]}'")
            return default


_TOP: Final = (
    "name", "version", "sdk", "title", "summary", "licence", "publisher", "module", "imports", "permissions", "limits",
    "settings", "pages",
)  # fmt: skip
_PERMISSIONS: Final = tuple(Permissions.__dataclass_fields__)
_SETTING: Final = tuple(one for one in Setting.__dataclass_fields__ if one != "name")


def _at(path: str, places: Sequence[str]) -> bool:
    return any(lies_at(path, place) for place in places)


def _is_of(type: str, wanted: str) -> bool:
    return wanted == "*" or type == wanted or (wanted.endswith(".*") and type.startswith(wanted[:-1]))


def _matches(given: str, form: re.Pattern[str], what: str) -> str:
    if not form.fullmatch(given):
        raise DataError(f"'{given[:60]}' is not {what}")
    return given


def _texts(given: Any) -> Title:
    if isinstance(given, str):
        return {"en": given}
    return {str(key): str(text) for key, text in given.items()} if isinstance(given, dict) else {}
