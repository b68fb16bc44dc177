"""Topic names and topic filters: what is one, and what matches what. Source: v5 §4.7, §4.8.2; 3.1.1 §4.7.

name     plant/press-3/oil          no wildcards, at least one character
filter   plant/+/oil   plant/#      '+' is a whole level, '#' the last one
shared   $share/<group>/<filter>    each message goes to one of the group (v5; answered to 3.1.1 as well)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

SHARE: Final = "$share/"
LEVELS_MAX: Final = 128
"""A bound of ours: deeper names and filters than this are refused, for matching walks level by level."""


def why_no_name(topic: str) -> str | None:
    """What is wrong with a topic name; None where nothing is. [MQTT-4.7.1-1] [MQTT-4.7.3-1]"""
    if not topic:
        return "a topic name has at least one character [MQTT-4.7.3-1]"
    if "+" in topic or "#" in topic:
        return f"topic name '{topic[:80]}' has a wildcard [MQTT-3.3.2-2]"
    if topic.count("/") >= LEVELS_MAX:
        return f"topic name '{topic[:80]}…' has more than {LEVELS_MAX} levels"
    return None


def why_no_filter(pattern: str) -> str | None:
    """What is wrong with a topic filter, a shared one included; None where nothing is."""
    if not pattern:
        return "a topic filter has at least one character [MQTT-4.7.3-1]"
    if pattern == "$share" or pattern.startswith(SHARE):
        group, slash, rest = pattern[len(SHARE) :].partition("/")
        if not group or "+" in group or "#" in group:
            return f"filter '{pattern[:80]}': a share has a name without wildcards [MQTT-4.8.2-1]"
        if not slash or not rest:
            return f"filter '{pattern[:80]}': a filter follows the name of a share [MQTT-4.8.2-2]"
        pattern = rest
    if pattern.count("/") >= LEVELS_MAX:
        return f"filter '{pattern[:80]}…' has more than {LEVELS_MAX} levels"
    if "+" not in pattern and "#" not in pattern:
        return None
    levels = pattern.split("/")
    for place, level in enumerate(levels):
        if "#" in level and (level != "#" or place != len(levels) - 1):
            return f"filter '{pattern[:80]}': '#' is the whole of the last level [MQTT-4.7.1-1]"
        if "+" in level and level != "+":
            return f"filter '{pattern[:80]}': '+' is the whole of a level [MQTT-4.7.1-2]"
    return None


def share_of(pattern: str) -> tuple[str | None, str]:
    """(group, filter) of a valid filter; the group is None where it is not shared."""
    if not pattern.startswith(SHARE):
        return None, pattern
    group, _, rest = pattern[len(SHARE) :].partition("/")
    return group, rest


def matches(pattern: str, topic: str) -> bool:
    """Whether a valid filter, not a shared one, takes in a topic name; names that begin with '$' only where the
    filter begins so too [MQTT-4.7.2-1]."""
    if pattern == topic:
        return True
    if topic[:1] == "$" and pattern[:1] in ("+", "#"):
        return False
    wanted, levels = pattern.split("/"), topic.split("/")
    for place, level in enumerate(wanted):
        if level == "#":
            return True
        if place >= len(levels) or (level != "+" and level != levels[place]):
            return False
    return len(wanted) == len(levels)


def covers(wider: str, narrower: str) -> bool:
    """Whether everything that `narrower` matches is matched by `wider` too; both are filters, not shared."""
    if wider == narrower:
        return True
    if narrower[:1] == "$" and wider[:1] in ("+", "#"):
        return False
    wide, narrow = wider.split("/"), narrower.split("/")
    for place, level in enumerate(wide):
        if level == "#":
            return True
        if place >= len(narrow) or narrow[place] == "#":
            return False
        if level not in ("+", narrow[place]):
            return False
    return len(wide) == len(narrow)


def allows(permitted: Iterable[str], pattern: str) -> bool:
    """Whether one of the permitted filters covers a whole filter or a topic name."""
    return any(covers(wider, pattern) for wider in permitted)
