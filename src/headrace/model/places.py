"""Places: parts of the plant as people write them: a path and what is below it, or a glob of paths.

acme/line-1                 it, and all below it
acme/*/press-3              `*` is any letters but `/`
**/state                    `**` is any letters
"""

from __future__ import annotations

import re
from typing import Final

from headrace.model.errors import ConfigError
from headrace.model.points import PATH_LENGTH_MAX

_STARS: Final = re.compile(r"(\*+)")
_PLACE: Final = re.compile(r"[^\x00-\x20\x7f?\[\]{}\\\\]+")


def check_place(place: str) -> str:
    """Raises: ConfigError for what can be no place."""
    if not place or len(place) > PATH_LENGTH_MAX or not _PLACE.fullmatch(place) or place.strip("/") != place:
        raise ConfigError(
            f"'{place[:60]}' names no part of the plant; write a path such as 'acme/line-1', with '*' for any name and "
            "'**' for any number of them"
        )
    return place


def lies_at(path: str, place: str) -> bool:
    """Whether a path is a place, lies below it, or is meant by it as a glob, where `*` stands for letters without a
    '/', and `**` for any. In time by their lengths alone: a place is written by somebody whom a hub need not trust.
    """
    if "*" not in place:
        return path == place or path.startswith(f"{place}/")
    ends = {0}  # where what was looked at of the place may end in the path
    for token in _STARS.split(place):
        if not token.startswith("*"):
            ends = {at + len(token) for at in ends if path.startswith(token, at)}
        elif token == "*":
            ends = _within_name(path, ends)
        elif ends:
            ends = set(range(min(ends), len(path) + 1))
    return any(at == len(path) or path[at] == "/" for at in ends)


def _within_name(path: str, ends: set[int]) -> set[int]:
    """These places in a path, and those to their right up to the next '/'."""
    found: set[int] = set()
    for at in ends:
        while at not in found:
            found.add(at)
            if at < len(path) and path[at] != "/":
                at += 1
    return found
