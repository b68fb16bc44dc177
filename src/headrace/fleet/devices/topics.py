"""Names of devices and their topic filters. Source: MQTT 5.0 §4.7 (topic names and filters), §1.5.4 (text).

`{device}` in a filter stands for the login, because a device writes its own name into its topics.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from headrace.model.errors import DataError
from headrace.sdk.access import DEFAULT_TENANT

NAME_LENGTH_MAX: Final = 96
FILTERS_MAX: Final = 32
FILTER_LENGTH_MAX: Final = 512
PLACE: Final = "{device}"
DEFAULT_FILTERS: Final = ("devices/{device}/#",)
#: What a device in quarantine may send: anything, because nothing of it is kept.
ANYTHING: Final = ("#",)
_NAME: Final = re.compile(r"[^\W_][\w.:@\-]*")
_BRACES: Final = re.compile(r"\{[^{}]*\}|[{}]")


def check_name(name: str) -> str:
    """A name or login. Raises: DataError that says what one looks like."""
    if len(name) > NAME_LENGTH_MAX or not _NAME.fullmatch(name):
        raise DataError(
            f"'{name[:60]}' is no name of a device: a letter or digit, then at most {NAME_LENGTH_MAX - 1} letters, "
            "digits or . : @ - _"
        )
    return name


def check_filters(filters: Iterable[str]) -> tuple[str, ...]:
    """Raises: DataError that names the wrong filter."""
    checked = tuple(dict.fromkeys(_check_filter(one) for one in filters))
    if len(checked) > FILTERS_MAX:
        raise DataError(f"a device has at most {FILTERS_MAX} topic filters; these are {len(checked)}")
    return checked


def default_filters(tenant: str) -> tuple[str, ...]:
    return DEFAULT_FILTERS if tenant == DEFAULT_TENANT else tuple(f"{tenant}/{one}" for one in DEFAULT_FILTERS)


def filled(filters: Sequence[str], login: str) -> tuple[str, ...]:
    return tuple(one.replace(PLACE, login) for one in filters)


def suggest(topics: Sequence[str], login: str) -> tuple[str, ...]:
    """Filters that cover these topics and little else: the topics, or what they have in common where they are many."""
    safe = [topic.split("/") for topic in sorted(set(topics)) if _harmless(topic)]
    levels = [[PLACE if level == login else level for level in topic] for topic in safe]
    if len(levels) <= 4:
        return tuple(map("/".join, levels))
    common: list[str] = []
    for column in zip(*levels, strict=False):
        if len(set(column)) > 1:
            break
        common.append(column[0])
    return ("/".join([*common, "#"]),) if common else tuple(map("/".join, levels[:FILTERS_MAX]))


def _harmless(topic: str) -> bool:
    return 0 < len(topic) <= FILTER_LENGTH_MAX and topic.isprintable() and not set(topic) & set("#+{}")


def _check_filter(text: str) -> str:
    if not text or len(text) > FILTER_LENGTH_MAX:
        raise DataError(f"a topic filter has 1 to {FILTER_LENGTH_MAX} characters; this has {len(text)}")
    if "\n" in text or not text.isprintable():
        raise DataError(f"the topic filter {text[:60]!r} has characters that cannot be seen")
    for found in _BRACES.finditer(text):
        if found.group() != PLACE:
            raise DataError(f"'{found.group()}' in topic filter '{text[:60]}': only {PLACE} is filled in")
    levels = text.split("/")
    for at, level in enumerate(levels):
        if ("#" in level and (level != "#" or at != len(levels) - 1)) or ("+" in level and level != "+"):
            raise DataError(
                f"the topic filter '{text[:60]}' is wrong: '+' is a whole level, '#' is one and the last (devices/a/#)"
            )
    return text
