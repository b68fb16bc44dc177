"""Outlets as declared: where samples and events go from here, which of them, and what waits while nobody takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from headrace.model.points import Title


class Waiting(StrEnum):
    """Where samples and events wait while the other side is slow or gone. Full is full: the oldest go, counted."""

    MEMORY = "memory"
    DISK = "disk"  # survives a restart


@dataclass(frozen=True, slots=True)
class Outlet:
    """`points` are paths of points or assets (all below); empty is everything. `settings` are the protocol's own.

    `wait` bounds what waits, in samples; with `Waiting.DISK` in `wait_bytes` of files.
    """

    name: str
    protocol: str
    settings: Mapping[str, Any]
    title: Title = field(default_factory=dict)
    enabled: bool = True
    points: tuple[str, ...] = ()
    waiting: Waiting = Waiting.MEMORY
    wait_samples: int = 100_000
    wait_bytes: int = 256 << 20

    def takes(self, path: str) -> bool:
        """Whether a point goes out here."""
        return not self.points or any(path == one or path.startswith(f"{one}/") for one in self.points)
