"""How long a class of points keeps its samples, its minutes and its hours.

samples ──raw──► gone      minutes of them ──rollups──► gone      hours of them ──summaries──► gone
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from headrace.model.errors import ConfigError
from headrace.model.time import DAY_NS, format_duration

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
                    f"'{coarser}' ({_shown(longer)}) must be at least '{finer}' ({_shown(age)}): "
                    "what is coarser outlives what is finer"
                )


def _shown(age_ns: int | None) -> str:
    if age_ns is None:
        return "forever"
    return f"{age_ns // DAY_NS}d" if age_ns % DAY_NS == 0 else format_duration(age_ns)
