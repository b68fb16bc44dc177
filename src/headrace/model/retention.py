"""How long a class of points keeps its samples, its minutes and its hours.

samples ──raw──► gone      minutes of them ──rollups──► gone      hours of them ──summaries──► gone
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from headrace.model.errors import ConfigError
from headrace.model.time import DAY_NS, format_duration, parse_duration_ns

DEFAULT_CLASS: Final = "default"
"""The class of every point that names none."""

CLASSES_MAX: Final = 16
"""Each class has files of its own in every hour."""


@dataclass(frozen=True, slots=True)
class Retention:
    """Ages in ns, `None` for ever; what is coarser is kept at least as long. Raises: ConfigError.

    `give_up` says in which order classes lose their oldest samples when the disk runs full: 1 first, `None` never.
    """

    raw_ns: int | None = None
    rollups_ns: int | None = None
    summaries_ns: int | None = None
    give_up: int | None = None

    def __post_init__(self) -> None:
        for finer, age, coarser, longer in (
            ("raw", self.raw_ns, "rollups", self.rollups_ns),
            ("rollups", self.rollups_ns, "summaries", self.summaries_ns),
        ):
            if longer is not None and (age is None or longer < age):
                raise ConfigError(
                    f"'{coarser}' ({format_age(longer)}) must be at least '{finer}' ({format_age(age)}): "
                    "what is coarser outlives what is finer"
                )


FOREVER: Final = "forever"
_YEARS = re.compile(r"(\d{1,4})y")
YEAR_NS: Final = 365 * DAY_NS


def parse_age_ns(text: str) -> int | None:
    """`90d`, `5y` (of 365 days) or any duration to ns, `forever` to None. Raises: DataError."""
    if text == FOREVER:
        return None
    years = _YEARS.match(text)
    if years is None:
        return parse_duration_ns(text)
    rest = text[years.end() :]
    return int(years.group(1)) * YEAR_NS + (parse_duration_ns(rest) if rest else 0)


def format_age(age_ns: int | None) -> str:
    """The inverse of `parse_age_ns`, whole years as such."""
    if age_ns is None:
        return FOREVER
    return f"{age_ns // YEAR_NS}y" if age_ns and age_ns % YEAR_NS == 0 else format_duration(age_ns)
