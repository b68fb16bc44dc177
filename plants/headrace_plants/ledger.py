"""The ground truth: what really happened in the plant, one JSON object a line, to score what a platform concluded.

    {"time": "2026-01-05T06:00:41.3Z", "t_s": 41.3, "seed": 7, "event": "fault.start", "machine": "press-2", …}

Events: plant.start, fault.start, fault.stop, state, order.start, order.end, scrap, write, shift.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TextIO

from headrace.model.time import format_time


class Ledger:
    """Keeps the newest `keep` entries in memory and, given a path, appends every one to a JSON Lines file."""

    def __init__(self, seed: int, epoch_ns: int, path: Path | None = None, keep: int = 100_000) -> None:
        self.seed, self.epoch_ns, self.keep = seed, epoch_ns, keep
        self.entries: list[dict[str, Any]] = []
        self.t_s = 0.0
        self._file: TextIO | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8", buffering=1)

    def add(self, event: str, machine: str, **data: Any) -> None:
        t_s = round(self.t_s, 3)
        entry = {
            "time": format_time(self.epoch_ns + round(t_s * 1000) * 1_000_000),
            "t_s": t_s,
            "seed": self.seed,
            "event": event,
            "machine": machine,
            **data,
        }
        self.entries.append(entry)
        if len(self.entries) > self.keep:
            del self.entries[: self.keep // 10]
        if self._file is not None:
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
