"""Curves: whether a sample and a question cost the same in a small store and in a large one.

    size     one store of 10,000 points grows to 200 M samples; at each size all is flushed, then asked about
    points   10 M samples of 100, 1,000, 10,000 and 100,000 points, each in a store of its own

`tags` give the place on the axis. What a question must touch grows with the span it is asked about: the raw samples of
one point are 20,000 at 200 M, 100 at 1 M.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.harness import Measure
from bench.history.bench import POINTS, QUESTIONS, Bench, Result, agreed, millions, say
from bench.history.child import Job, run
from bench.history.dataset import COMMIT_SAMPLES

SIZES = (1_000_000, 3_000_000, 10_000_000, 30_000_000, 72_000_000, 200_000_000)
DUCKDB_MAX = 30_000_000
POINT_COUNTS = (100, 1_000, 10_000, 100_000)
POINTS_SAMPLES = 10_000_000


def rows(bench: Bench) -> Iterator[Measure]:
    """With a smaller full set than 72 M the curves end there."""
    quick = bench.seconds * POINTS < 72_000_000
    most = bench.seconds * POINTS if quick else SIZES[-1]
    yield from _sizes(bench, [size for size in SIZES if size <= most] or [most])
    yield from _points(bench, min(POINTS_SAMPLES, most))


def _sizes(bench: Bench, sizes: list[int]) -> Iterator[Measure]:
    grown: dict[str, dict[int, Result]] = {}
    for peer, most in (("ours", sizes[-1]), ("duckdb", max(DUCKDB_MAX, sizes[0]))):
        reached = tuple(size for size in sizes if size <= most)
        folder = bench.directory(f"{peer}-growing")
        say(f"{peer}: growing to {reached[-1] / 1e6:g} M samples")
        seconds = -(-sizes[-1] // POINTS)  # the same samples for both, though one of them stops sooner
        job = Job(peer, str(folder), POINTS, seconds, ask=QUESTIONS, sizes=reached, ask_s=bench.ask_s)
        found = run(job) if bench.wanted(peer) else None
        bench.discard(folder)
        if found:
            grown[peer] = {step["size"]: {**step, "title": found["title"]} for step in found["steps"]}
    for size, step in grown.get("ours", {}).items():
        yield from _at(step, grown.get("duckdb", {}).get(size), f"{size / 1e6:g} M samples", {"size": size})


def _points(bench: Bench, samples: int) -> Iterator[Measure]:
    for points in POINT_COUNTS:
        seconds = samples // points
        if not seconds or samples < COMMIT_SAMPLES:
            say(f"{samples} samples are too few for {points} points")
            continue
        ours, duckdb = (bench.result(peer, points, seconds) for peer in ("ours", "duckdb"))
        for peer in ("ours", "duckdb"):
            if (points, seconds) != (POINTS, bench.seconds):
                bench.discard(bench.directory(peer, points, seconds))
        if ours is not None:
            yield from _at(ours, duckdb, f"{millions(points, seconds)} of {points:,} points", {"points": points})


def _at(ours: Result, theirs: Result | None, where: str, place: Mapping[str, int]) -> Iterator[Measure]:
    (axis, x), *_ = place.items()
    title = theirs["title"] if theirs else ""

    def row(what: str, own: float, other: float | None, unit: str) -> Measure:
        tags: dict[str, Any] = {"chart": f"curve-{axis}", "what": what, "x": x, "who": title}
        return Measure(f"{what} at {where}", own, unit, other, title if other else "", tags=tags)

    yield row("ingest", 1e9 * ours["cpu_s"] / ours["samples"],
              1e9 * theirs["cpu_s"] / theirs["samples"] if theirs else None, "CPU-ns/sample")  # fmt: skip
    for name in QUESTIONS:
        own = ours["answers"].get(name)
        if own is None:
            continue
        if theirs and not agreed(ours, theirs, name):
            continue
        yield row(name, own["cpu_ms"], theirs["answers"][name]["cpu_ms"] if theirs else None, "CPU-ms")
