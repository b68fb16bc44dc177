"""Tables that an author wrote, read so that everything wrong with them is said in one go."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from headrace.model.errors import ConfigError, DataError, HeadraceError
from headrace.model.points import Title
from headrace.sdk.apps.settings import Setting, SettingKind

LANGUAGES: Final = ("en", "zh")
LIST_MAX: Final = 200
KEY: Final = re.compile(r"[a-z][a-z0-9_-]{0,40}", re.ASCII)


class TableReader:
    """Goes on after what is wrong: `errors` has all of it, with the file."""

    def __init__(self, file: str) -> None:
        self._file = file
        self.errors: list[ConfigError] = []

    def settings(self, table: Any, head: str) -> list[Setting]:
        found: list[Setting] = []
        if not self.is_table(table, head.rstrip(".")):
            return found
        for name, one in table.items():
            where = f"{head}{name}."
            if not KEY.fullmatch(name):
                self.wrong(f"'{name[:60]}' is no name of a setting; lower case, digits, '-' and '_'")
            elif self.is_table(one, where.rstrip(".")):
                found.append(self.setting(name, one, where))
        return found

    def setting(self, name: str, table: Mapping[str, Any], head: str) -> Setting:
        self.known(table, [*_SETTING], head)
        kind = self.choice(table, "kind", head, SettingKind, SettingKind.TEXT)
        choices = table.get("choices", {})
        if isinstance(choices, list):
            choices = {str(one): {} for one in choices}
        if not isinstance(choices, dict) or (kind is SettingKind.CHOICE) != bool(choices):
            self.wrong(f"{head}choices: a setting of kind 'choice' has some, and no other")
            choices = {}
        columns = self.settings(table.get("columns", {}), f"{head}columns.")
        if (kind is SettingKind.TABLE) != bool(columns) or any(one.columns for one in columns):
            self.wrong(f"{head}columns: a setting of kind 'table' has some, and they are no tables")
        bounds = {
            key: self.number(table, key, head, 0.0, -1e300, 1e300) if key in table else None for key in ("low", "high")
        }
        made = Setting(
            name=name,
            kind=kind,
            title=self.title(table, "title", head),
            help=self.title(table, "help", head),
            default=table.get("default"),
            optional=self.flag(table, "optional", head),
            many=self.flag(table, "many", head),
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
                self.wrong(f"{head}default: {error.message}")
        return made

    def wrong(self, message: str) -> None:
        if len(self.errors) < LIST_MAX:
            self.errors.append(ConfigError(message, file=self._file))

    def is_table(self, given: Any, where: str) -> bool:
        if not isinstance(given, dict):
            self.wrong(f"{where} is a table")
            return False
        return True

    def known(self, table: Mapping[str, Any], keys: Sequence[str], head: str) -> None:
        for key in table:
            if key not in keys:
                near = difflib.get_close_matches(key, keys, 1)
                self.wrong(f"unknown key '{head}{key[:60]}'{f'; did you mean {near[0]}?' if near else ''}")

    def text(
        self, table: Mapping[str, Any], key: str, form: re.Pattern[str], said: str, default: str = "", *, head: str = ""
    ) -> str:
        given = table.get(key, default)
        if not isinstance(given, str) or len(given) > 250 or not form.fullmatch(given):
            self.wrong(f"{head}{key} is {said}" if key in table else f"{head}{key} is missing: {said}")
            return ""
        return given

    def title(self, table: Mapping[str, Any], key: str, head: str, *, wanted: bool = False) -> Title:
        given = table.get(key, {})
        if isinstance(given, str):
            given = {"en": given}
        if not isinstance(given, dict) or not given.keys() <= {*LANGUAGES} or not all(
            isinstance(text, str) and 0 < len(text) <= 1_000 for text in given.values()
        ):  # fmt: skip
            self.wrong(f"{head}{key} is a text, or one for each of {', '.join(LANGUAGES)}")
            return {}
        if wanted and not given:
            self.wrong(f'{head}{key} is missing: {{ en = "…", zh = "…" }}')
        return given

    def texts(self, table: Mapping[str, Any], key: str, head: str, check: Callable[[str], str]) -> tuple[str, ...]:
        given = table.get(key, [])
        if not isinstance(given, list) or len(given) > LIST_MAX or not all(isinstance(one, str) for one in given):
            self.wrong(f"{head}{key} is a list of at most {LIST_MAX} texts")
            return ()
        found = []
        for one in given:
            try:
                found.append(check(one))
            except HeadraceError as error:
                self.wrong(f"{head}{key}: {error.message}")
        return tuple(found)

    def flag(self, table: Mapping[str, Any], key: str, head: str) -> bool:
        given = table.get(key, False)
        if not isinstance(given, bool):
            self.wrong(f"{head}{key} is true or false")
            return False
        return given

    def number(self, table: Mapping[str, Any], key: str, head: str, default: float, low: float, high: float) -> float:
        given = table.get(key, default)
        if isinstance(given, bool) or not isinstance(given, int | float) or not low <= given <= high:
            self.wrong(f"{head}{key} is a number from {low:g} to {high:g}")
            return default
        return given

    def choice(self, table: Mapping[str, Any], key: str, head: str, kind: Any, default: Any) -> Any:
        given = table.get(key, default.value)
        try:
            return kind(given)
        except ValueError:
            self.wrong(f"{head}{key} is one of {', '.join(kind)}, not '{str(given)[:40]}'")
            return default


_SETTING: Final = tuple(one for one in Setting.__dataclass_fields__ if one != "name")


def matches(given: str, form: re.Pattern[str], what: str) -> str:
    if not form.fullmatch(given):
        raise DataError(f"'{given[:60]}' is not {what}")
    return given


def _texts(given: Any) -> Title:
    if isinstance(given, str):
        return {"en": given}
    return {str(key): str(text) for key, text in given.items()} if isinstance(given, dict) else {}
