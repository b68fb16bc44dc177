"""Declared objects back to text: one file each as they were named, in the order in which they were written.

Comments and spacing are not kept; `plan` of the text finds no change. Points and alarms take one line each, so that a
difference in version control is a difference of a point.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from headrace.registry.declared import Declared
from headrace.registry.schema import SECTIONS
from headrace.registry.text import resolve
from headrace.sdk.services import SourceFile

_PLAIN = re.compile(r"[\w/](?:[\w./%+\- ]*[\w./%+\-])?")
_PLAIN_KEY = re.compile(r"[\w/](?:[\w./\-]|:(?=\w))*")
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def emit(declared: Iterable[Declared]) -> list[SourceFile]:
    """The files that these objects came from, by name."""
    files: dict[str, list[Declared]] = {}
    for one in declared:
        files.setdefault(one.where.file, []).append(one)
    return [SourceFile(name, "\n".join(_file(files[name])) + "\n") for name in sorted(files)]


def _file(objects: list[Declared]) -> Iterator[str]:
    objects.sort(key=lambda one: (one.ordinal, one.key))
    first = True
    for section, (kind, _) in SECTIONS.items():
        members = [one for one in objects if one.kind == kind]
        if not members:
            continue
        if not first:
            yield ""
        first = False
        yield f"{section}:"
        for one in members:
            yield from _object(one)


def _object(one: Declared) -> Iterator[str]:
    if one.kind in ("point", "alarm"):
        yield f"  {key_text(one.key)}: {flow(one.spec)}"
        return
    if one.kind != "type":
        line = f"  {key_text(one.key)}: {flow(one.spec)}"
        if len(line) <= 120:
            yield line
            return
    yield f"  {key_text(one.key)}:" + ("" if one.spec else " {}")
    for name, value in one.spec.items():
        if name in ("points", "alarms") and isinstance(value, Mapping) and value:
            yield f"    {name}:"
            for key, part in value.items():
                yield f"      {key_text(key)}: {flow(part)}"
        else:
            yield f"    {name}: {flow(value)}"


def flow(value: Any) -> str:
    """A value in one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow_key(key)}: {flow(part)}" for key, part in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(flow(part) for part in value) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    return repr(value)


def key_text(key: str) -> str:
    """A key of a block map."""
    return key if _PLAIN_KEY.fullmatch(key) and len(key) < 100 and isinstance(resolve(key), str) else _quoted(key)


def _flow_key(key: str) -> str:
    return key if ":" not in key and key_text(key) == key else _quoted(key)


def _text(value: str) -> str:
    return value if _PLAIN.fullmatch(value) and isinstance(resolve(value), str) else _quoted(value)


def _quoted(value: str) -> str:
    return '"' + "".join(_ESCAPES.get(one) or (one if one.isprintable() else _escaped(one)) for one in value) + '"'


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
