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

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from headrace.model.errors import ConfigError, ConfigErrors
from headrace.model.places import check_place, lies_at
from headrace.model.points import Title
from headrace.sdk.access import Action
from headrace.sdk.apps.reading import KEY, LIST_MAX, TableReader, matches
from headrace.sdk.apps.settings import Setting

FILE: Final = "manifest.toml"
#: First words of types of events that the platform alone tells.
RESERVED: Final = frozenset(
    {"access", "alarm", "app", "audit", "command", "connection", "device", "edge", "fleet", "outlet", "platform"}
)
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:[.-][a-z0-9]+)*", re.ASCII)
_VERSION: Final = re.compile(r"\d{1,5}\.\d{1,5}\.\d{1,5}((a|b|rc)\d{1,4})?", re.ASCII)
_SDK: Final = re.compile(r"\d{1,3}\.\d{1,3}", re.ASCII)
_MODULE: Final = re.compile(r"[a-z_][a-z0-9_]{0,60}", re.ASCII)
_IMPORT: Final = re.compile(r"[a-zA-Z_][\w]{0,60}(\.[a-zA-Z_]\w{0,60}){0,6}", re.ASCII)
_HOST: Final = re.compile(r"(\*\.)?+[a-z0-9]{1,63}+([.-]{1,2}+[a-z0-9]{1,63}+){0,8}+:\d{1,5}", re.ASCII)
FILE_NAME: Final = re.compile(r"[a-z0-9_-]{1,60}+(/[a-z0-9_-]{1,60}+){0,4}+\.[a-z0-9]{1,8}", re.ASCII)
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
        """Never what is the platform's own word: an alarm that is told is one."""
        if type.partition(".")[0] in RESERVED:
            return False
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


class _Reader(TableReader):
    def manifest(self, table: Mapping[str, Any]) -> AppManifest:
        self.known(table, [*_TOP], "")
        name = self.text(table, "name", _NAME, "lower case, such as 'acme.press-view'")
        settings = table.get("settings", {})
        pages = table.get("pages", [])
        return AppManifest(
            name=name,
            version=self.text(table, "version", _VERSION, "three numbers, such as '1.2.0'"),
            sdk=self.text(table, "sdk", _SDK, "two numbers, such as '1.0'"),
            title=self.title(table, "title", "", wanted=True),
            summary=self.title(table, "summary", ""),
            licence=str(table.get("licence", ""))[:100],
            publisher=str(table.get("publisher", ""))[:100],
            module=self.text(table, "module", _MODULE, "the name of a module, such as 'app'", "app"),
            imports=self.texts(table, "imports", "", lambda one: matches(one, _IMPORT, "a module")),
            permissions=self._permissions(table.get("permissions", {})),
            limits=self._limits(table.get("limits", {})),
            settings=tuple(self.settings(settings, "settings.")),
            pages=tuple(self._pages(pages)),
        )

    def _permissions(self, table: Any) -> Permissions:
        if not self.is_table(table, "permissions"):
            return Permissions()
        self.known(table, [*_PERMISSIONS], "permissions.")
        places = {name: self.texts(table, name, "permissions.", check_place) for name in ("assets", "read", "write")}
        types = {
            name: self.texts(table, name, "permissions.", lambda one: matches(one, _TYPE, "a type of events"))
            for name in ("events", "publish")
        }
        return Permissions(
            **places, **types,
            hosts=self.texts(
                table, "hosts", "permissions.", lambda one: matches(one, _HOST, "a host and port, 'api.acme.com:443'")
            ),
            alarms=self.flag(table, "alarms", "permissions."),
            sign=self.flag(table, "sign", "permissions."),
            documents_mb=int(self.number(table, "documents_mb", "permissions.", 0, 0, 100_000)),
            tables_mb=int(self.number(table, "tables_mb", "permissions.", 0, 0, 100_000)),
        )  # fmt: skip

    def _limits(self, table: Any) -> AppLimits:
        if not self.is_table(table, "limits"):
            return AppLimits()
        self.known(table, ["memory_mb", "call_s"], "limits.")
        memory = self.number(table, "memory_mb", "limits.", 256, 64, 16_384)
        return AppLimits(int(memory), self.number(table, "call_s", "limits.", 30.0, 0.1, 3600))

    def _pages(self, tables: Any) -> list[Page]:
        if not isinstance(tables, list) or len(tables) > LIST_MAX:
            self.wrong("pages are written [[pages]], one after the other")
            return []
        found: list[Page] = []
        for at, table in enumerate(tables, 1):
            head = f"pages {at}: "
            if not self.is_table(table, head):
                continue
            self.known(table, ["name", "kind", "file", "title", "action"], head)
            page = Page(
                name=self.text(table, "name", KEY, "lower case", head=head),
                kind=self.choice(table, "kind", head, PageKind, PageKind.MODULE),
                file=self.text(table, "file", FILE_NAME, "a file of the app, such as 'pages/terminal.js'", head=head),
                title=self.title(table, "title", head, wanted=True),
                action=self.choice(table, "action", head, Action, Action.VIEW),
            )
            if any(one.name == page.name for one in found):
                self.wrong(f"{head}there are two pages named '{page.name}'")
            found.append(page)
        return found


_TOP: Final = (
    "name", "version", "sdk", "title", "summary", "licence", "publisher", "module", "imports", "permissions", "limits",
    "settings", "pages",
)  # fmt: skip
_PERMISSIONS: Final = tuple(Permissions.__dataclass_fields__)


def _at(path: str, places: Sequence[str]) -> bool:
    return any(lies_at(path, place) for place in places)


def _is_of(type: str, wanted: str) -> bool:
    return wanted == "*" or type == wanted or (wanted.endswith(".*") and type.startswith(wanted[:-1]))
