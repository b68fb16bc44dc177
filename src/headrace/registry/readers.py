"""Readers: one node of the tree to one plain value, or a problem that says what was expected and what stands there.

Plain values are what JSON can hold. A reader returns `BAD` after it has reported; whoever called it leaves the value
out and goes on, so that one pass finds everything.
"""

from __future__ import annotations

import datetime
import math
import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from headrace.model.errors import DataError
from headrace.model.time import format_duration, parse_duration_ns
from headrace.registry.problems import Problems, Where, did_you_mean, listed
from headrace.registry.text import Mapping, Node, Scalar, Sequence, describe, describe_value

BAD: Final = object()
INTEGER_MAX: Final = 2**63 - 1
TEXT_MAX: Final = 4_096
DURATION_MAX_NS: Final = 366 * 24 * 3600 * 1_000_000_000

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")


@dataclass(slots=True)
class Context:
    """Where a reader reports."""

    file: str
    problems: Problems

    def bad(self, node: Node, message: str) -> Any:
        self.problems.add(Where(self.file, node.line, node.column), message)
        return BAD

    def bad_key(self, mapping: Mapping, key: str, message: str) -> None:
        self.problems.add(Where(self.file, *mapping.keys[key]), message)


Reader = Callable[[Node, str, Context], Any]
"""`(node, name of the key, context)` to a plain value or BAD."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a record: its reader, and what it means in a line of the reference."""

    name: str
    read: Reader
    means: str = ""
    required: bool = False


class Record:
    """A map with known keys. An instance is itself a reader."""

    __slots__ = ("_bare", "by_name", "noun", "required")

    def __init__(self, noun: str, keys: Iterable[Key]) -> None:
        self.noun = noun
        self._bare = noun.partition(" ")[2]
        self.by_name = {key.name: key for key in keys}
        self.required = tuple(key.name for key in self.by_name.values() if key.required)

    def __call__(self, node: Node, name: str, context: Context) -> Any:
        if not isinstance(node, Mapping):
            known = listed(list(self.by_name)[:4], "and")
            return context.bad(
                node, f"{self._bare} '{name}' must be a map with keys such as {known}, not {describe(node)}"
            )
        value = {}
        for key_name, child in node.entries.items():
            key = self.by_name.get(key_name)
            if key is None:
                hint = did_you_mean(key_name, self.by_name)
                context.bad_key(node, key_name, f"{self.noun} has no key '{key_name}'{hint}")
                continue
            if isinstance(child, Scalar) and child.value is None:
                context.bad_key(node, key_name, f"'{key_name}' is empty; give it a value or remove it")
                continue
            part = key.read(child, key_name, context)
            if part is not BAD:
                value[key_name] = part
        missing = [name for name in self.required if name not in node.entries]
        if missing:
            quoted = listed((f"'{one}'" for one in missing), "and")
            return context.bad(node, f"{self._bare} '{name}' lacks {quoted}")
        return value


@dataclass(frozen=True, slots=True)
class MapOf:
    """A map with names of the user's own: `check_name` raises DataError for a wrong one and gives it normalised."""

    noun: str
    check_name: Callable[[str], str]
    item: Reader

    def __call__(self, node: Node, name: str, context: Context) -> Any:
        if not isinstance(node, Mapping):
            return context.bad(node, f"'{name}' must be a map of {self.noun} by name, not {describe(node)}")
        value: dict[str, Any] = {}
        for key, child in node.entries.items():
            try:
                normal = self.check_name(key)
            except DataError as error:
                context.bad_key(node, key, error.message)
                continue
            if normal in value:
                context.bad_key(node, key, f"'{normal}' stands here twice, written in two ways of Unicode")
                continue
            part = self.item(child, key, context)
            if part is not BAD:
                value[normal] = part
        return value

    def original(self, node: Mapping, normal: str) -> str:
        """The key of `node` that was normalised to `normal`."""
        if normal in node.entries:
            return normal
        return next(key for key in node.entries if unicodedata.normalize("NFC", key) == normal)


@dataclass(frozen=True, slots=True)
class ListOf:
    """A list of items of one shape."""

    noun: str
    item: Reader
    most: int

    def __call__(self, node: Node, name: str, context: Context) -> Any:
        if not isinstance(node, Sequence):
            return context.bad(node, f"'{name}' must be a list of {self.noun}, not {describe(node)}")
        if len(node.items) > self.most:
            return context.bad(node, f"'{name}' has {len(node.items):,} {self.noun}; at most {self.most:,} can be")
        items = [self.item(one, f"{name}[{at}]", context) for at, one in enumerate(node.items)]
        return BAD if any(item is BAD for item in items) else items


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few words."""

    words: tuple[str, ...]

    def __call__(self, node: Node, name: str, context: Context) -> Any:
        if isinstance(node, Scalar) and node.text in self.words:
            return node.text
        hint = did_you_mean(node.text, self.words) if isinstance(node, Scalar) else ""
        return context.bad(node, f"'{name}' must be {listed(self.words)}, not {describe(node)}{_only_meant(hint)}")


@dataclass(frozen=True, slots=True)
class Number:
    low: float = -math.inf
    high: float = math.inf

    def __call__(self, node: Node, name: str, context: Context) -> Any:
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, bool) or not isinstance(value, int | float):
            return context.bad(node, f"'{name}' must be a number, not {describe(node)}")
        return _bounded(node, name, context, value, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Whole:
    low: int = -INTEGER_MAX
    high: int = INTEGER_MAX

    def __call__(self, node: Node, name: str, context: Context) -> Any:
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, bool) or not isinstance(value, int):
            return context.bad(node, f"'{name}' must be a whole number, not {describe(node)}")
        return _bounded(node, name, context, value, self.low, self.high)


@dataclass(frozen=True, slots=True)
class Duration:
    low_ns: int = 0
    high_ns: int = DURATION_MAX_NS

    def __call__(self, node: Node, name: str, context: Context) -> Any:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return context.bad(node, f"'{name}' must be a duration such as 500ms, 10s or 5m, not {describe(node)}")
        try:
            duration_ns = parse_duration_ns(node.text)
        except DataError as error:
            return context.bad(node, f"'{name}': {error.message}")
        if not self.low_ns <= duration_ns <= self.high_ns:
            low, high = format_duration(self.low_ns), format_duration(self.high_ns)
            return context.bad(node, f"'{name}' must be {low} to {high}, not {node.text[:40]}")
        return format_duration(duration_ns)


def flag(node: Node, name: str, context: Context) -> Any:
    value = node.value if isinstance(node, Scalar) else None
    if isinstance(value, bool):
        return value
    hint = ""
    if isinstance(node, Scalar) and node.text.casefold() in ("yes", "on", "no", "off", "1", "0", "y", "n"):
        hint = f"; write {'true' if node.text.casefold() in ('yes', 'on', '1', 'y') else 'false'}"
    return context.bad(node, f"'{name}' must be true or false, not {describe(node)}{hint}")


def text(node: Node, name: str, context: Context) -> Any:
    """Any single value, as it is written: `year: 2019` is the text 2019."""
    if not isinstance(node, Scalar):
        return context.bad(node, f"'{name}' must be text, not {describe(node)}")
    if len(node.text) > TEXT_MAX:
        return context.bad(node, f"'{name}' has {len(node.text):,} characters; at most {TEXT_MAX:,} are kept")
    return node.text


def title(node: Node, name: str, context: Context) -> Any:
    """`{en: …, zh: …}`; a bare text is English."""
    if isinstance(node, Scalar):
        value = text(node, name, context)
        return value if value is BAD else {"en": value}
    if not isinstance(node, Mapping):
        return context.bad(node, f"'{name}' must be text, or a map of texts by language, not {describe(node)}")
    value = {}
    for language, child in node.entries.items():
        if not _LANGUAGE.fullmatch(language):
            context.bad_key(node, language, f"'{language}' is no language code such as en, zh or pt-BR")
            continue
        part = text(child, language, context)
        if part is not BAD:
            value[language] = part
    return value


def date(node: Node, name: str, context: Context) -> object:
    """A day of the calendar, as it is written: 2026-05-01."""
    value = text(node, name, context)
    try:
        if isinstance(value, str):
            if not _DATE.fullmatch(value):
                raise ValueError
            datetime.date.fromisoformat(value)
    except ValueError:
        return context.bad(node, f"'{name}' must be a date such as 2026-05-01, not {describe(node)}")
    return value


def pair(node: Node, name: str, context: Context) -> Any:
    """`[low, high]`, low first."""
    if not isinstance(node, Sequence) or len(node.items) != 2:
        return context.bad(node, f"'{name}' must be two numbers such as [0, 120], not {_how_many(node)}")
    low, high = (Number()(item, name, context) for item in node.items)
    if low is BAD or high is BAD:
        return BAD
    if not low < high:
        return context.bad(node, f"'{name}' must have its lower end first and two different ends, not [{low}, {high}]")
    return [low, high]


def scalar(node: Node, name: str, context: Context) -> Any:
    """A number, text or truth value."""
    if not isinstance(node, Scalar) or node.value is None:
        return context.bad(node, f"'{name}' must be a number, text, true or false, not {describe(node)}")
    return anything(node, name, context)


def anything(node: Node, name: str, context: Context) -> Any:
    """Plain data of any shape: what only a driver understands."""
    if isinstance(node, Mapping):
        parts = {key: anything(child, key, context) for key, child in node.entries.items()}
        return BAD if any(part is BAD for part in parts.values()) else parts
    if isinstance(node, Sequence):
        items = [anything(child, name, context) for child in node.items]
        return BAD if any(item is BAD for item in items) else items
    value = node.value
    if isinstance(value, str):
        return text(node, name, context)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _bounded(node, name, context, value, -math.inf, math.inf)
    return value


def free_map(node: Node, name: str, context: Context) -> Any:
    """A map of plain data of any shape."""
    if not isinstance(node, Mapping):
        return context.bad(node, f"'{name}' must be a map, not {describe(node)}")
    return anything(node, name, context)


def _bounded(node: Node, name: str, context: Context, value: float, low: float, high: float) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return context.bad(node, f"'{name}' must be a finite number, not {describe(node)}")
    if isinstance(value, int) and abs(value) > INTEGER_MAX:
        return context.bad(node, f"'{name}' must fit into 64 bits; {describe(node)} does not")
    if not low <= value <= high:
        if math.isinf(high):
            wanted = f"at least {low:g}"
        elif math.isinf(low):
            wanted = f"at most {high:g}"
        else:
            wanted = f"{low:g} to {high:g}"
        return context.bad(node, f"'{name}' must be {wanted}, not {value}")
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _how_many(node: Node) -> str:
    return f"a list of {len(node.items)}" if isinstance(node, Sequence) else describe(node)


def _only_meant(hint: str) -> str:
    return hint if "did you mean" in hint else ""


__all__ = [
    "BAD",
    "Choice",
    "Context",
    "Duration",
    "Key",
    "ListOf",
    "MapOf",
    "Number",
    "Reader",
    "Record",
    "Whole",
    "anything",
    "date",
    "describe_value",
    "flag",
    "free_map",
    "pair",
    "scalar",
    "text",
    "title",
]
