"""JSON pointers (RFC 6901): `/oil/temperature`, `/samples/0/v`, `` for the whole document.

parse_pointer("/a~1b/0") == ("a/b", "0")        follow(document, ("a/b", "0")) -> value or MISSING
"""

from __future__ import annotations

import re
from typing import Any, Final

_BAD_ESCAPE = re.compile(r"~(?![01])")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}")
STEPS_MAX: Final = 32


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


#: What a pointer gives that leads nowhere; null is a value.
MISSING: Final = _Missing()


def parse_pointer(text: str) -> tuple[str, ...]:
    """Its steps. Raises: ValueError that says what to write. Source: RFC 6901 §3, §4."""
    if text == "":
        return ()
    if not text.startswith("/"):
        better = "/" + text.removeprefix("$.").replace(".", "/")
        raise ValueError(f"'{text}' is no JSON pointer: it begins with '/', as in {better}")
    if _BAD_ESCAPE.search(text):
        raise ValueError(f"'{text}': in a JSON pointer '~' is written ~0, and '/' within a name ~1")
    steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/"))
    if len(steps) > STEPS_MAX:
        raise ValueError(f"a pointer of {len(steps)} steps is too deep; {STEPS_MAX} are possible")
    return steps


def follow(value: Any, steps: tuple[str, ...]) -> Any:
    """What the steps lead to, or MISSING. An array's step is an index without leading zeros."""
    for step in steps:
        if type(value) is dict:
            value = value.get(step, MISSING)
        elif type(value) is list and _INDEX.fullmatch(step):
            at = int(step)
            value = value[at] if at < len(value) else MISSING
        else:
            return MISSING
    return value


def put(steps: tuple[str, ...], value: Any) -> Any:
    """The smallest document of objects in which the steps lead to the value."""
    for step in reversed(steps):
        value = {step: value}
    return value
