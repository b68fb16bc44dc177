"""Rows on what a sample costs on disk, roll-ups, index and catalog included."""

from __future__ import annotations

from collections.abc import Iterator

from bench.harness import Measure
from bench.history.bench import POINTS, Bench, Result, bytes_a_sample, millions
from bench.history.peers import SHARE

_TARGETS = {"duckdb": "<= 0.25", "parquet": "<= 0.4"}


def rows(bench: Bench) -> Iterator[Measure]:
    size = millions(POINTS, bench.seconds)
    ours = bench.full("ours")
    if ours is not None:
        yield Measure(f"disk of {size} with roll-ups", bytes_a_sample(ours), "B/sample", target="<= 1.4",
                      tags={"chart": "disk", "who": "Headrace", "set": size})  # fmt: skip
        for part, held in ours["disk"].items():
            yield Measure(f"… of it {part}", held / ours["samples"], "B/sample")
        yield Measure("… beside it, log files that are kept to be written over", ours["log_files_mb"], "MB")
        for peer, target in _TARGETS.items():
            theirs = bench.full(peer)
            if theirs is not None:
                yield _beside(ours, theirs, size, target)
                yield from _parts(theirs)
    for peer in SHARE:
        both = bench.share(peer)
        if both is not None:
            yield _beside(*both, bench.shared(peer))


def _beside(ours: Result, theirs: Result, size: str, target: str = "") -> Measure:
    return Measure(
        f"disk beside {theirs['title']}, {size}", bytes_a_sample(ours), "B/sample", bytes_a_sample(theirs),
        theirs["title"], target, "ratio", {"chart": "disk", "who": theirs["title"], "set": size},
    )  # fmt: skip


def _parts(theirs: Result) -> Iterator[Measure]:
    """Other forms that were tried and were larger; see the peer's `alternatives`."""
    for form, held in theirs.get("alternatives", {}).items():
        yield Measure(f"… {theirs['title']}, {form}", held / theirs["samples"], "B/sample")
