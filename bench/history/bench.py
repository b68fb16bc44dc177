"""What is measured once and told in several rows: loads and answers, kept by historian and size.

full    72 M samples: Headrace three times, DuckDB and Parquet once
share   3 M samples: every peer, and Headrace beside it, for those who would take all day over the full set
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench.history.child import ASK_S, Job, run
from bench.history.dataset import Dataset
from bench.history.questions import (
    FIFTY_BUCKETS,
    FLEET,
    FLEET_MINUTES,
    LATEST,
    ONE_BUCKETS,
    ONE_RAW,
    Digest,
)

Result = dict[str, Any]
POINTS: Final = 10_000
FULL_SECONDS: Final = 7_200
TAKEN_BACK_S: Final = 10.0
SHARE_SECONDS: Final = 300
SLOWER: Final = {"iotdb": 120}
"""Seconds of the share that a peer takes for whom all of it would still be too long."""
JOB_S: Final = {"iotdb": 300.0}
"""After which a job of a peer is given up; 900 s otherwise."""
RUNS: Final = 3
QUESTIONS: Final = (ONE_RAW, ONE_BUCKETS, FIFTY_BUCKETS, FLEET, FLEET_MINUTES, LATEST)
UNMERGED: Final = (ONE_RAW, FIFTY_BUCKETS, FLEET)
SERVERS: Final = ("influxdb", "victoriametrics", "iotdb")
"""They answer in the process that loaded them; the others are asked in a fresh one."""


@dataclass
class Bench:
    """`seconds` × 10,000 points is the full set; `folder` takes some 2 GB."""

    folder: Path
    seconds: int = FULL_SECONDS
    runs: int = RUNS
    only: tuple[str, ...] = ()
    ask_s: float = ASK_S
    _kept: dict[Any, Result | None] = field(default_factory=dict)

    def share_seconds(self, peer: str) -> int:
        return min(SLOWER.get(peer, SHARE_SECONDS), self.seconds)

    def shared(self, peer: str) -> str:
        """How much of the set a peer takes, in words."""
        return f"{millions(POINTS, self.share_seconds(peer))} of it"

    def wanted(self, peer: str) -> bool:
        return peer == "ours" or not self.only or peer in self.only

    def full(self, peer: str) -> Result | None:
        return self.result(peer, POINTS, self.seconds, self.runs if peer == "ours" else 1)

    def share(self, peer: str) -> tuple[Result, Result] | None:
        """Ours and the peer's on the same small set."""
        theirs = self.result(peer, POINTS, self.share_seconds(peer))
        ours = None if theirs is None else self.result("ours", POINTS, self.share_seconds(peer))
        return None if theirs is None or ours is None else (ours, theirs)

    def result(self, peer: str, points: int, seconds: int, runs: int = 1) -> Result | None:
        """Loaded, compacted and asked; with several runs the medians of the loads. None where it could not be."""
        if not self.wanted(peer):
            return None
        key = (peer, points, seconds)
        if key not in self._kept:
            say(f"{peer}: {points * seconds / 1e6:g} M samples of {points} points")
            self._kept[key] = self._measure(peer, points, seconds, runs)
        return self._kept[key]

    def _measure(self, peer: str, points: int, seconds: int, runs: int) -> Result | None:
        folder = self.directory(peer, points, seconds)
        loads: list[Result] = []
        for number in range(runs):
            shutil.rmtree(folder, ignore_errors=True)
            last = number == runs - 1
            at_once = QUESTIONS if last and peer in SERVERS else ()
            unmerged = UNMERGED if last and peer == "ours" and seconds == self.seconds else ()
            loaded = run(Job(peer, str(folder), points, seconds, compact=last, ask=at_once, ask_unmerged=unmerged,
                             ask_s=self.ask_s), JOB_S.get(peer, 900.0))  # fmt: skip
            if loaded is None:
                return None
            loads.append(loaded)
        result = {**loads[-1], "loads": loads, "cpu_s": statistics.median(each["cpu_s"] for each in loads)}
        result["wall_s"] = statistics.median(each["wall_s"] for each in loads)
        if peer not in SERVERS:
            asked = run(Job(peer, str(folder), points, seconds, load=False, ask=QUESTIONS, ask_s=self.ask_s))
            result |= {"answers": asked["answers"], "opened_s": asked.get("opened_s")} if asked else {}
        return result

    def directory(self, peer: str, points: int = POINTS, seconds: int | None = None) -> Path:
        return self.folder / f"{peer}-{points}-{self.seconds if seconds is None else seconds}"

    def discard(self, folder: Path) -> None:
        """The files go, what was measured stays; what the disk does to take them back falls into nobody's time."""
        shutil.rmtree(folder, ignore_errors=True)
        os.sync()
        time.sleep(TAKEN_BACK_S)

    @property
    def dataset(self) -> Dataset:
        return Dataset(POINTS, self.seconds)


def rate(result: Result) -> float:
    """Samples per CPU second."""
    return float(result["samples"] / result["cpu_s"])


def bytes_a_sample(result: Result) -> float:
    return float(sum(result["disk"].values()) / result["samples"])


def agreed(ours: Result, theirs: Result, name: str, tolerance: float = 1e-9) -> bool:
    """Whether both gave the same answer; says so where they did not."""
    left, right = (each["answers"].get(name, {}).get("digest") for each in (ours, theirs))
    if left is None or right is None:
        return False
    if Digest(**left).agrees(Digest(**right), tolerance):
        return True
    say(f"{name}: the answers differ, so no times are told: Headrace {left}, {theirs['title']} {right}")
    return False


def millions(points: int, seconds: int) -> str:
    return f"{points * seconds / 1e6:g} M samples"


def say(text: str) -> None:
    print(f"# {text}", file=sys.stderr, flush=True)
