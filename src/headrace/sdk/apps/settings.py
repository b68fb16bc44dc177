"""The form of an app's settings: the manifest says what is asked, the platform draws it and checks what comes.

[settings.zone]
kind = "zone"
default = "Asia/Shanghai"
title = { en = "Time zone", zh = "时区" }

[settings.micro-stop]
kind = "duration"
default = "2min"
unit = "s"
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from headrace.model.errors import ConfigError, ConfigErrors, DataError
from headrace.model.points import Title, check_path
from headrace.model.time import parse_duration_ns
from headrace.sdk.apps.schedule import check_zone

TEXT_CHARACTERS_MAX: Final = 10_000
LIST_MAX: Final = 1_000
_NUMBER_MAX: Final = 1e300  # neither infinite nor NaN


class SettingKind(StrEnum):
    """How it is drawn, and what the app gets."""

    TEXT = "text"  # str
    NUMBER = "number"  # float
    INTEGER = "integer"  # int
    BOOLEAN = "boolean"  # bool
    CHOICE = "choice"  # one of `choices`, str
    DURATION = "duration"  # ns, int; written '2min'
    ZONE = "zone"  # str, a time zone
    ASSET = "asset"  # str, a path
    POINT = "point"  # str, a path
    TABLE = "table"  # rows of `columns`, each a dict of what they are
    SECRET = "secret"  # str; kept sealed, never shown again


@dataclass(frozen=True, slots=True)
class Setting:
    """`low` and `high` are inclusive, of numbers (durations in seconds). `many`: a list of such. Without a default and
    `optional` it has to be filled in before the app starts. `unit` is UCUM and shown."""

    name: str
    kind: SettingKind
    title: Title = field(default_factory=dict)
    help: Title = field(default_factory=dict)
    default: Any = None
    optional: bool = False
    many: bool = False
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: Mapping[str, Title] = field(default_factory=dict)
    columns: Sequence[Setting] = ()

    def check(self, given: Any) -> Any:
        """What the app gets for it. Raises: ConfigError that names it."""
        if given is None:
            given = self.default
        if given is None:
            if self.optional:
                return [] if self.many else None
            raise ConfigError(f"setting '{self.name}' is not filled in")
        if not self.many and self.kind is not SettingKind.TABLE:
            return self._one(given)
        if not isinstance(given, list | tuple) or len(given) > LIST_MAX:
            raise ConfigError(f"setting '{self.name}' is a list of at most {LIST_MAX:,}")
        return [self._row(one, at) if self.columns else self._one(one) for at, one in enumerate(given, 1)]

    def _row(self, given: Any, at: int) -> dict[str, Any]:
        if not isinstance(given, Mapping):
            raise ConfigError(f"setting '{self.name}', row {at}: not a row")
        try:
            return check_settings(self.columns, given)
        except ConfigErrors as error:
            raise ConfigError(f"setting '{self.name}', row {at}: {error.errors[0].message}") from None

    def _one(self, given: Any) -> Any:
        try:
            return self._checked(given)
        except (DataError, ConfigError) as error:
            raise ConfigError(f"setting '{self.name}': {error.message}") from None

    def _checked(self, given: Any) -> Any:
        match self.kind:
            case SettingKind.BOOLEAN:
                if not isinstance(given, bool):
                    raise DataError("true or false")
                return given
            case SettingKind.NUMBER | SettingKind.INTEGER:
                return self._number(given)
            case SettingKind.DURATION:
                found = parse_duration_ns(_text(given).replace("min", "m"))
                self._bounds(found / 1e9, _text(given))
                return found
            case SettingKind.CHOICE:
                if not isinstance(given, str) or given not in self.choices:
                    raise DataError(f"'{str(given)[:60]}' is not one of {', '.join(self.choices)}")
                return given
            case SettingKind.ZONE:
                return check_zone(_text(given))
            case SettingKind.ASSET | SettingKind.POINT:
                return check_path(_text(given))
            case _:
                return _text(given)

    def _number(self, given: Any) -> int | float:
        if isinstance(given, bool) or not isinstance(given, int | float) or not abs(given) <= _NUMBER_MAX:
            raise DataError(f"'{str(given)[:30]}' is no number")
        if self.kind is SettingKind.INTEGER and given != int(given):
            raise DataError(f"{given} is no whole number")
        self._bounds(given, str(given))
        return int(given) if self.kind is SettingKind.INTEGER else float(given)

    def _bounds(self, value: float, shown: str) -> None:
        if (self.low is not None and value < self.low) or (self.high is not None and value > self.high):
            low, high = ("" if one is None else f"{one:g}" for one in (self.low, self.high))
            raise DataError(f"{shown} is not within {low} … {high}")


def check_settings(settings: Sequence[Setting], given: Mapping[str, Any]) -> dict[str, Any]:
    """All of them, defaults filled in. Raises: ConfigErrors with everything that is wrong."""
    known = {one.name: one for one in settings}
    errors = [
        ConfigError(f"there is no setting '{str(name)[:60]}'; there are {', '.join(known) or 'none'}")
        for name in given
        if name not in known
    ]
    found: dict[str, Any] = {}
    for name, setting in known.items():
        try:
            found[name] = setting.check(given.get(name))
        except ConfigError as error:
            errors.append(error)
    if errors:
        raise ConfigErrors(errors)
    return found


def _text(given: Any) -> str:
    if not isinstance(given, str) or not 0 < len(given) <= TEXT_CHARACTERS_MAX:
        raise DataError(f"a text of 1 to {TEXT_CHARACTERS_MAX:,} characters")
    return given
