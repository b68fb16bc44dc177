"""Asking a driver's models: are these settings, is this address right? Their errors in a plant engineer's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from pydantic import BaseModel, ValidationError

from headrace.model.errors import HeadraceError
from headrace.registry.problems import did_you_mean, listed, nearest
from headrace.registry.text import describe_value

Loc = tuple[str | int, ...]


class Complaint(NamedTuple):
    """`loc` leads to the value; `of_key` says that the key itself is wrong."""

    loc: Loc
    message: str
    of_key: bool = False


def complaints(model: type[BaseModel], value: Mapping[str, Any], noun: str) -> list[Complaint]:
    """What is wrong with a value for a driver's model; nothing where it is right."""
    try:
        model.model_validate(dict(value))
    except ValidationError as error:
        return [_complaint(model, value, detail, noun) for detail in error.errors(include_url=False)]
    except HeadraceError as error:
        return [Complaint((), error.message)]
    return []


_SECRET = re.compile(r"pass|secret|token|private", re.IGNORECASE)  # never quoted in a message
_BOUNDS: Final = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_WANTED: Final = {
    "int": "a whole number",
    "float": "a number",
    "decimal": "a number",
    "bool": "true or false",
    "string": "text",
    "dict": "a map",
    "model": "a map",
    "list": "a list",
    "tuple": "a list",
    "path": "a path",
    "url": "a URL",
    "timedelta": "a duration",
    "time": "a time",
}


def _complaint(model: type[BaseModel], value: Mapping[str, Any], detail: Any, noun: str) -> Complaint:
    kind: str = detail["type"]
    context: Mapping[str, Any] = detail.get("ctx") or {}
    loc = _real_path(value, detail["loc"], keep_last=kind == "missing")
    name = _name(loc) or noun
    if kind == "missing":
        return Complaint(loc[:-1], f"'{name}' is missing in {_owner(loc, noun)}", of_key=True)
    if kind == "extra_forbidden":
        return Complaint(loc, f"'{name}' is not known in {_owner(loc, noun)}{_hint(model, loc, name)}", of_key=True)
    got = describe_value(detail["input"]) if not _SECRET.search(name) else "what stands here"
    if kind in ("literal_error", "enum"):
        words = [
            word.strip().strip("'\"") for word in str(context.get("expected", "")).replace(" or ", ", ").split(",")
        ]
        match = nearest(str(detail["input"]), words)
        hint = f"; did you mean '{match}'?" if match else ""
        return Complaint(loc, f"'{name}' must be {listed(words)}, not {got}{hint}")
    if kind in _BOUNDS:
        wanted, key = _BOUNDS[kind]
        return Complaint(loc, f"'{name}' must be {wanted} {context.get(key)}, not {got}")
    if kind in ("value_error", "assertion_error"):
        message = str(context.get("error") or detail["msg"]).strip() or "is not valid"
        return Complaint(loc, f"'{name}': {message}" if loc else f"{noun}: {message}")
    family = kind.partition("_")[0]
    if family in _WANTED and kind.endswith(("_type", "_parsing", "_from_float", "_attributes_type")):
        return Complaint(loc, f"'{name}' must be {_WANTED[family]}, not {got}")
    message = str(detail["msg"])
    return Complaint(loc, f"'{name}': {message[:1].lower()}{message[1:]}, not {got}")


def _real_path(value: Any, loc: Loc, *, keep_last: bool) -> Loc:
    """Without the steps that pydantic adds for unions and validators: only those that exist in the value."""
    path: list[str | int] = []
    for index, step in enumerate(loc):
        if isinstance(value, Mapping) and step in value:
            value = value[str(step)]
        elif isinstance(value, list) and isinstance(step, int) and step < len(value):
            value = value[step]
        elif not (keep_last and index == len(loc) - 1):
            continue
        path.append(step)
    return tuple(path)


def _owner(loc: Loc, noun: str) -> str:
    return f"'{loc[-2]}'" if len(loc) > 1 else noun


def _name(loc: Loc) -> str:
    """`port`, or `tags[1]` for an item of a list."""
    if loc and isinstance(loc[-1], int):
        return f"{_name(loc[:-1])}[{loc[-1]}]"
    return str(loc[-1]) if loc else ""


def _hint(model: type[BaseModel], loc: Loc, name: str) -> str:
    if len(loc) > 1:
        return ""
    return did_you_mean(name, [field.alias or key for key, field in model.model_fields.items()])
