"""A point: one time series of an asset. Users say tag; the code says point."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from headrace.model.batch import ValueKind
from headrace.model.errors import DataError
from headrace.model.guards import NO_GUARD, Guard
from headrace.model.machines import Machine
from headrace.model.retention import DEFAULT_CLASS
from headrace.model.time import SECOND_NS

PATH_LENGTH_MAX: Final = 512
SEGMENT_LENGTH_MAX: Final = 96
_SEGMENT = re.compile(r"[^\W_][\w.\-]*")

Title = Mapping[str, str]
"""Display text by language: `{"en": "Oil temperature", "zh": "油温"}`."""


def check_path(path: str) -> str:
    """A path of an asset or point, normalised to NFC: segments of letters, digits, `.`, `-`, `_`, joined by `/`.

    Any script is welcome. Raises: DataError that names the wrong segment.
    """
    normal = unicodedata.normalize("NFC", path)
    if not normal or len(normal) > PATH_LENGTH_MAX:
        raise DataError(f"a path has 1 to {PATH_LENGTH_MAX} characters; this has {len(normal)}: '{normal[:60]}'")
    for segment in normal.split("/"):
        if len(segment) > SEGMENT_LENGTH_MAX or not _SEGMENT.fullmatch(segment):
            raise DataError(
                f"'{segment}' in path '{normal}' is not a name: start with a letter or digit, "
                "then letters, digits, '.', '-' or '_'"
            )
    return normal


class Access(StrEnum):
    READ = "read"
    READ_WRITE = "read-write"


@dataclass(frozen=True, slots=True)
class Range:
    """Inclusive, in the point's unit. For text and bool there is none."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class PointSource:
    """Where a point's samples come from: a connection and an address in its driver's own words."""

    connection: str
    address: Mapping[str, Any]
    interval_ns: int = SECOND_NS


@dataclass(frozen=True, slots=True)
class Point:
    """One time series. `write_range` bounds setpoints and defaults to `range`; `retention` is how long it is kept.

    `guard` is what a write must pass beside right, kind and range. A point with an `expression` is calculated from
    others and has no source; so is one with a `machine`, whose expression is that machine in words. `function` is the
    stream function that makes it, whose declaration it is part of.
    """

    path: str
    kind: ValueKind
    unit: str = "1"
    range: Range | None = None
    access: Access = Access.READ
    title: Title = field(default_factory=dict)
    source: PointSource | None = None
    write_range: Range | None = None
    decimals: int | None = None
    retention: str = DEFAULT_CLASS
    guard: Guard = NO_GUARD
    expression: str = ""
    machine: Machine | None = None
    function: str = ""

    @property
    def asset_path(self) -> str:
        """The asset that the point belongs to: everything before the last `/`."""
        return self.path.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The last segment: `oil.temperature`."""
        return self.path.rpartition("/")[2]

    @property
    def writable(self) -> bool:
        return self.access is Access.READ_WRITE
