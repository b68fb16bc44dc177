"""What is said to people about a result: a key of `locale/*.toml` (below `said.`) and what is filled into it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Said:
    """`Said("too_early", until="2026-01-01T00:00:00Z")`. A value for `span` is itself a key, below `span.`."""

    __slots__ = ("key", "values")

    def __init__(self, key: str, **values: Any) -> None:
        self.key = key
        self.values: Mapping[str, Any] = values

    def __repr__(self) -> str:
        return f"Said({self.key!r}, {dict(self.values)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Said) and (self.key, self.values) == (other.key, other.values)

    def __hash__(self) -> int:
        return hash((self.key, *sorted(self.values)))
