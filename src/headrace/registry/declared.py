"""Declared objects: what files say, one object each, with the place where it says so.

files ──text.read──► trees ──schema──► {(kind, key): Declared} + problems
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from headrace.registry import text
from headrace.registry.problems import Problems, Where, did_you_mean
from headrace.registry.readers import BAD, Context
from headrace.registry.schema import SECTIONS
from headrace.sdk.services import SourceFile

FILES_MAX: Final = 2_000
FILE_NAME_MAX: Final = 255

Key = tuple[str, str]
"""`(kind, key)`: the identity of a declared object."""


@dataclass(slots=True)
class Declared:
    """One object as somebody wrote it. `spec` is plain data; `node` is its tree, None for what comes from a store.

    `ordinal` keeps the order within a file for `export`.
    """

    kind: str
    key: str
    spec: dict[str, Any]
    where: Where
    ordinal: int = 0
    node: text.Node | None = field(default=None, repr=False, compare=False)

    def at(self, *path: str | int, of_key: bool = False) -> Where:
        """Where a part of it stands, as near as is known; the whole object is its key."""
        if self.node is None or not path:
            return self.where
        found = text.position(self.node, path, self.where.file, of_key=of_key)
        return self.where if (found.line, found.column) == (self.node.line, self.node.column) else found

    def within(self, *path: str | int, value: str, offset: int) -> Where:
        """Where a character of a text in one line stands; else where the text begins."""
        node = None if self.node is None else text.part(self.node, path)
        if not isinstance(node, text.Scalar) or node.text != value or not node.letters:
            return self.at(*path)
        return Where(self.where.file, node.line, node.letters + offset)

    def has(self, *path: str) -> bool:
        part: Any = self.spec
        for step in path:
            if not isinstance(part, dict) or step not in part:
                return False
            part = part[step]
        return True


@dataclass(frozen=True, slots=True)
class Blame:
    """Where a part of a spec was written: in `owner` below `prefix`, else in `behind`."""

    owner: Declared
    prefix: tuple[str, ...] = ()
    behind: Blame | None = None

    def at(self, *path: str | int, of_key: bool = False) -> Where:
        if self.behind is not None and path and not self.owner.has(*self.prefix, str(path[0])):
            return self.behind.at(*path, of_key=of_key)
        return self.owner.at(*self.prefix, *path, of_key=of_key or not path)

    def within(self, *path: str | int, value: str, offset: int) -> Where:
        """Where a character of the text at `path` stands."""
        if self.behind is not None and not self.owner.has(*self.prefix, str(path[0])):
            return self.behind.within(*path, value=value, offset=offset)
        return self.owner.within(*self.prefix, *path, value=value, offset=offset)


def parse(files: Iterable[SourceFile], problems: Problems) -> dict[Key, Declared]:
    """Everything that can be read; `problems` has the rest. An object declared twice keeps its first place."""
    found: dict[Key, Declared] = {}
    seen: set[str] = set()
    for count, file in enumerate(files, 1):
        if count > FILES_MAX:
            problems.add(Where(file.name), f"at most {FILES_MAX:,} files are read")
            break
        wrong_name = check_file_name(file.name)
        if wrong_name is None and file.name in seen:
            wrong_name = "a file of this name was given already"
        if wrong_name is not None:
            problems.add(Where(file.name[:FILE_NAME_MAX]), wrong_name)
            continue
        seen.add(file.name)
        _parse_file(file, found, problems)
    return found


def check_file_name(name: str) -> str | None:
    """What is wrong with a file's name, or None. `export` writes there, so it must stay inside its folder."""
    parts = name.split("/")
    if not name or len(name) > FILE_NAME_MAX:
        return f"a file name has 1 to {FILE_NAME_MAX} characters"
    if "\\" in name or ":" in name or any(part in ("", ".", "..") for part in parts) or not name.isprintable():
        return "a file name is relative to its folder, with '/' between parts and without '..'"
    if not name.endswith((".yaml", ".yml")):
        return "a declaration file is named *.yaml"
    return None


def _parse_file(file: SourceFile, found: dict[Key, Declared], problems: Problems) -> None:
    tree = text.read(file, problems)
    if tree is None:
        return
    context = Context(file.name, problems)
    ordinal = 0
    for section, node in tree.entries.items():
        known = SECTIONS.get(section)
        if known is None:
            context.bad_key(tree, section, f"'{section}' cannot be declared{did_you_mean(section, SECTIONS)}")
            continue
        if isinstance(node, text.Scalar) and node.value is None:
            continue  # `alarms:` with nothing yet
        kind, reader = known
        value = reader(node, section, context)
        if value is BAD or not isinstance(node, text.Mapping):
            continue
        for key, spec in value.items():
            ordinal += 1
            original = reader.original(node, key)
            where = Where(file.name, *node.keys[original])
            first = found.get((kind, key))
            if first is not None:
                problems.add(where, f"{kind} '{key}' is declared twice, first in {first.where}")
                continue
            found[kind, key] = Declared(kind, key, spec, where, ordinal, node.entries[original])


def same(left: Any, right: Any) -> bool:
    """Plain data equal as JSON: numbers by value, and `true` is not 1."""
    if isinstance(left, dict):
        return (
            isinstance(right, dict)
            and left.keys() == right.keys()
            and all(same(part, right[key]) for key, part in left.items())
        )
    if isinstance(left, list):
        return (
            isinstance(right, list)
            and len(left) == len(right)
            and all(same(a, b) for a, b in zip(left, right, strict=True))
        )
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return bool(left == right)
