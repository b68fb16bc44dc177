"""How a measurement is made and told.

A bench module has `measures() -> Iterator[Measure]` and runs its peers in the same run. Each line on stdout is
`{"measure", "value", "unit", "peer", "ratio", "target", "met"}`; `value` is the median of repeated runs, `peer` the
peer's, `ratio` value / peer. `met` is null where there is no target.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Measure:
    """`target` reads `>= 100000` or `<= 50`; against the ratio where `target_of` says so.

    `tags` are for those who draw: which chart, whose value, where on the axis.
    """

    measure: str
    value: float
    unit: str
    peer: float | None = None
    peer_name: str = ""
    target: str = ""
    target_of: str = "value"
    tags: Mapping[str, str | float] = field(default_factory=dict)

    @property
    def ratio(self) -> float | None:
        return self.value / self.peer if self.peer else None

    @property
    def met(self) -> bool | None:
        if not self.target:
            return None
        sign, bound = self.target.split()
        judged = self.ratio if self.target_of == "ratio" else self.value
        if judged is None:
            return None
        return judged >= float(bound) if sign == ">=" else judged <= float(bound)

    def line(self) -> dict[str, object]:
        return {
            "measure": self.measure,
            "value": round(self.value, 6 if abs(self.value) < 10 else 2),
            "unit": self.unit,
            "peer": None if self.peer is None else round(self.peer, 3),
            "peer_name": self.peer_name,
            "ratio": None if self.ratio is None else round(self.ratio, 3),
            "target": (f"ratio {self.target}" if self.target and self.target_of == "ratio" else self.target) or None,
            "met": self.met,
            **({"tags": dict(self.tags)} if self.tags else {}),
        }


def machine() -> str:
    """The machine in a few words, for the table."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()}"


def median_of(runs: int, work: Callable[[], float]) -> float:
    """The median of what `work` returns."""
    return statistics.median(work() for _ in range(runs))


def cpu_s() -> float:
    """CPU seconds of this process, all threads."""
    return time.process_time()


def record(name: str, measures: list[Measure]) -> None:
    """Append the raw lines to `bench/results/<name>.jsonl`, each with the date and the machine."""
    RESULTS.mkdir(exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    with (RESULTS / f"{name}.jsonl").open("a") as file:
        for measure in measures:
            file.write(json.dumps({"date": stamp, "machine": machine(), **measure.line()}, ensure_ascii=False) + "\n")
