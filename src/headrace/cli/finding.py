"""What a check of the doctor found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """`level` is ok, warn or fail; `advice` says what to do about the latter two."""

    check: str
    level: str
    found: str
    advice: str = ""
