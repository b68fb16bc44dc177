"""Text to a tree in which every key and value knows its line and column.

    bytes ──decode──► text ──YAML events──► Mapping / Sequence / Scalar

YAML 1.2 core schema, one document a file, no tags. Anchors, aliases and merge keys (`<<`) work, within a budget of
nodes, so that a small file cannot unfold into a huge one. Whatever the input, the only error is `ConfigError`; a key
that stands twice is reported with both lines and reading goes on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.model.errors import ConfigError
from headrace.registry.problems import Problems, Where
from headrace.sdk.services import SourceFile

FILE_CHARACTERS_MAX: Final = 64 * 1024 * 1024
DEPTH_MAX: Final = 24
NODES_MAX: Final = 8_000_000
ALIASED_NODES_MAX: Final = 100_000

Plain = str | int | float | bool | None

_INTEGER = re.compile(r"[-+]?[0-9]{1,400}|0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: Final[dict[str, Plain]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")


@dataclass(slots=True)
class Scalar:
    """A single value. `plain` is false where it was quoted, and then it is text whatever it looks like.

    `letters`: the column of its first character where all of them stand in that line as they are, else 0.
    """

    text: str
    plain: bool
    line: int
    column: int
    letters: int = 0

    @property
    def value(self) -> Plain:
        return resolve(self.text) if self.plain else self.text


@dataclass(slots=True)
class Sequence:
    items: list[Node]
    line: int
    column: int


@dataclass(slots=True)
class Mapping:
    """`entries` by key text; `keys` says where each key stands."""

    line: int
    column: int
    entries: dict[str, Node] = field(default_factory=dict)
    keys: dict[str, tuple[int, int]] = field(default_factory=dict)


Node = Scalar | Sequence | Mapping


def resolve(text: str) -> Plain:
    """What a plain scalar means. Source: YAML 1.2.2 §10.3.2 (core schema)."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] in "-+.0123456789":
        if _INTEGER.fullmatch(text):
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if _FLOAT.fullmatch(text):
            return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def decode(name: str, data: bytes) -> SourceFile:
    """A file's bytes as UTF-8 text, with or without a byte order mark. Raises: ConfigError with the position."""
    try:
        return SourceFile(name, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8-sig", "replace")) + 1
        raise ConfigError(
            f"this is not UTF-8 text (byte 0x{data[error.start]:02X}); save the file as UTF-8",
            file=name,
            line=line,
            column=column,
        ) from None


def read(file: SourceFile, problems: Problems) -> Mapping | None:
    """The tree of one file; None where it holds nothing or cannot be read, and `problems` says which."""
    try:
        return _read(file, problems)
    except ConfigError as error:
        problems.add(Where(file.name, error.line or 0, error.column or 0), error.message)
        return None


def _read(file: SourceFile, problems: Problems) -> Mapping | None:
    text = file.text.removeprefix("\ufeff")
    if len(text) > FILE_CHARACTERS_MAX:
        raise ConfigError(
            f"the file has {len(text):,} characters; at most {FILE_CHARACTERS_MAX:,} are read: split it", file=file.name
        )
    _check_characters(file.name, text)
    root = _Composer(file.name, text, problems).compose()
    if root is None or (isinstance(root, Scalar) and root.value is None):
        return None
    if not isinstance(root, Mapping):
        raise ConfigError(
            f"a declaration file is a map with types, connections, assets, points or alarms; this is {describe(root)}",
            file=file.name,
            line=root.line,
            column=root.column,
        )
    return root


def describe(node: Node) -> str:
    """What somebody wrote, for a message: `text 'abc'`, `the number 5`, `a list`."""
    if isinstance(node, Mapping):
        return "a map"
    if isinstance(node, Sequence):
        return "a list"
    return describe_value(node.value)


def describe_value(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return f"the truth value {str(value).lower()}"
    if isinstance(value, int | float):
        shown = str(value)
        return f"the number {shown if len(shown) <= 40 else shown[:40] + '…'}"
    if isinstance(value, str):
        return f"text '{value if len(value) <= 40 else value[:40] + '…'}'"
    return "a list" if isinstance(value, list) else "a map"


def _check_characters(name: str, text: str) -> None:
    found = _CONTROL.search(text)
    if not found:
        return
    line, column = _position(text, found.start())
    code = ord(found.group())
    what = "a NUL byte: this is no text file" if code == 0 else f"the unprintable character U+{code:04X}; remove it"
    raise ConfigError(f"here is {what}", file=name, line=line, column=column)


def _position(text: str, offset: int) -> tuple[int, int]:
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


class _Composer:
    """Folds the parser's events into nodes, with bounds on depth, count and what aliases unfold to."""

    def __init__(self, name: str, text: str, problems: Problems) -> None:
        self._name = name
        self._text = text
        self._problems = problems
        self._events: Iterator[Any] = iter(())
        self._anchors: dict[str, tuple[Node, int]] = {}
        self._nodes = 0
        self._aliased = 0

    def compose(self) -> Node | None:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError

        self._events = YAML(typ="safe", pure=True).parse(self._text)
        try:
            return self._document()
        except (ConfigError, MemoryError):
            raise
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
            raise self._error(self._explain(error, line), line, column) from None
        except YAMLError as error:
            raise self._error("this is not YAML", 1, 1, detail=str(error)) from None
        except Exception as error:  # the library meets some broken texts with a stray IndexError or ValueError
            raise self._error("this is not YAML", 1, 1, detail=repr(error)) from None

    def _document(self) -> Node | None:
        from ruamel.yaml import events as ev

        root: Node | None = None
        documents = 0
        for event in self._events:
            if isinstance(event, ev.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._at(event, "a second document begins here; use one file for each")
            elif isinstance(event, ev.NodeEvent):
                root = self._node(event, 0)
        return root

    def _node(self, event: Any, depth: int) -> Node:
        from ruamel.yaml import events as ev

        if depth > DEPTH_MAX:
            raise self._at(event, f"this is nested more than {DEPTH_MAX} deep")
        if isinstance(event, ev.AliasEvent):
            return self._alias(event)
        self._nodes += 1
        if self._nodes > NODES_MAX:
            raise self._at(event, f"the file holds more than {NODES_MAX:,} values; split it")
        tag = getattr(event, "tag", None)
        if tag is not None and str(tag) not in ("", "!"):
            raise self._at(event, f"tags such as '{tag}' are not used here; remove it")
        line, column = event.start_mark.line + 1, event.start_mark.column + 1
        before = self._nodes
        node: Node
        if isinstance(event, ev.ScalarEvent):
            if _UNSTORABLE.search(event.value):  # an escape such as "\\0" or "\\ud800"
                raise self._at(event, "this text has an escape for a character that no database keeps; remove it")
            plain, quotes = not event.style, 2 if event.style in ("'", '"') else 0
            width = event.end_mark.column - event.start_mark.column if event.end_mark.line == line - 1 else -1
            letters = column + quotes // 2 if width == len(event.value) + quotes else 0
            node = Scalar(event.value, plain, line, column, letters)
        elif isinstance(event, ev.SequenceStartEvent):
            items = []
            for child in self._events:
                if isinstance(child, ev.SequenceEndEvent):
                    break
                items.append(self._node(child, depth + 1))
            node = Sequence(items, line, column)
        else:
            node = self._mapping(line, column, depth)
        anchor = event.anchor
        if anchor is not None:
            self._anchors[anchor] = (node, self._nodes - before + 1)
        return node

    def _mapping(self, line: int, column: int, depth: int) -> Mapping:
        from ruamel.yaml import events as ev

        mapping = Mapping(line, column)
        merged: list[Mapping] = []
        for event in self._events:
            if isinstance(event, ev.MappingEndEvent):
                break
            key = self._node(event, depth + 1)
            if not isinstance(key, Scalar):
                raise self._at(event, f"a key must be a name, not {describe(key)}; quote a text with '{{' or '['")
            value = self._node(next(self._events), depth + 1)
            if key.text == "<<" and key.plain:
                merged += self._merged(value)
                continue
            if key.text in mapping.entries:
                first_line, first_column = mapping.keys[key.text]
                self._problems.add(
                    Where(self._name, key.line, key.column),
                    f"'{key.text}' stands here twice, first at line {first_line}, column {first_column}",
                )
                continue
            mapping.entries[key.text] = value
            mapping.keys[key.text] = (key.line, key.column)
        for other in merged:
            for name, value in other.entries.items():
                if name not in mapping.entries:
                    mapping.entries[name] = value
                    mapping.keys[name] = other.keys[name]
        return mapping

    def _merged(self, value: Node) -> list[Mapping]:
        parts = value.items if isinstance(value, Sequence) else [value]
        maps = [part for part in parts if isinstance(part, Mapping)]
        if len(maps) != len(parts):
            raise self._error("'<<' merges maps; this is something else", value.line, value.column)
        return maps

    def _alias(self, event: Any) -> Node:
        known = self._anchors.get(event.anchor)
        if known is None:
            raise self._at(event, f"no '&{event.anchor}' stands above this '*{event.anchor}'")
        node, size = known
        self._aliased += size
        self._nodes += size
        if self._aliased > ALIASED_NODES_MAX:
            raise self._at(event, f"aliases unfold to more than {ALIASED_NODES_MAX:,} values; write them out")
        return node

    def _explain(self, error: Any, line: int) -> str:
        lines = self._text.split("\n")
        indent = lines[line - 1][: len(lines[line - 1]) - len(lines[line - 1].lstrip())] if line <= len(lines) else ""
        if "\t" in indent or "'\\t'" in str(error.problem):
            return "a tab stands here; YAML is indented with spaces"
        problem = str(error.problem or error.context or "this is not YAML")
        context = f" ({error.context})" if error.context and error.problem else ""
        return f"this is not YAML: {problem}{context}"

    def _at(self, event: Any, message: str) -> ConfigError:
        return self._error(message, event.start_mark.line + 1, event.start_mark.column + 1)

    def _error(self, message: str, line: int, column: int, detail: str | None = None) -> ConfigError:
        return ConfigError(message, file=self._name, line=line, column=column, detail=detail)


def part(root: Node, path: tuple[str | int, ...]) -> Node | None:
    """The value at `path`; None where it is absent."""
    node: Node = root
    for step in path:
        if isinstance(node, Mapping) and str(step) in node.entries:
            node = node.entries[str(step)]
        elif isinstance(node, Sequence) and isinstance(step, int) and 0 <= step < len(node.items):
            node = node.items[step]
        else:
            return None
    return node


def position(root: Node, path: tuple[str | int, ...], file: str, *, of_key: bool = False) -> Where:
    """Where the value (or key) at `path` stands; where it is absent, the nearest thing around it that is there."""
    node: Node = root
    where = Where(file, root.line, root.column)
    for index, step in enumerate(path):
        last = index == len(path) - 1
        if isinstance(node, Mapping) and str(step) in node.entries:
            if last and of_key:
                return Where(file, *node.keys[str(step)])
            node = node.entries[str(step)]
        elif isinstance(node, Sequence) and isinstance(step, int) and 0 <= step < len(node.items):
            node = node.items[step]
        else:
            break
        where = Where(file, node.line, node.column)
    return where
