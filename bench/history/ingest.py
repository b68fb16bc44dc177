"""Rows on taking samples in: CPU a sample, what a commit waits, memory, and how long it takes to open again."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from bench.harness import Measure
from bench.history.bench import POINTS, Bench, Result, millions, rate, say
from bench.history.child import Job, run
from bench.history.peers import FULL, SHARE

_SHARE_TARGETS = {"influxdb": ">= 8", "victoriametrics": ">= 4"}
KILLED_SECONDS = 1_190
"""Just under two memtables: one is on its way to a segment, the other is all in the log."""


def rows(bench: Bench) -> Iterator[Measure]:
    ours = bench.full("ours")
    if ours is None:
        raise SystemExit("the platform's own historian could not be measured; see above")
    size = millions(POINTS, bench.seconds)
    yield Measure(f"ingest of {size}, durable commits of 10,000", rate(ours), "samples/CPU-s", target=">= 2500000",
                  tags={"chart": "ingest", "who": "Headrace", "set": size})  # fmt: skip
    duckdb = bench.full("duckdb")
    for peer, target in zip(FULL, (">= 1.5", ""), strict=True):
        theirs = bench.full(peer)
        if theirs is not None:
            yield _beside(ours, theirs, size, target)
    yield from _shares(bench)
    yield Measure(f"… with what compaction spends, {size}", ours["samples"] / (ours["cpu_s"] + ours["compact_cpu_s"]),
                  "samples/CPU-s")  # fmt: skip
    yield Measure(f"… on the wall clock, {size}", ours["samples"] / ours["wall_s"], "samples/s",
                  duckdb and duckdb["samples"] / duckdb["wall_s"], duckdb["title"] if duckdb else "")  # fmt: skip
    yield from _commits(ours, duckdb)
    yield Measure(f"peak memory, {size}", max(each["rss_mb"] for each in ours["loads"]), "MB",
                  duckdb and duckdb["rss_mb"], duckdb["title"] if duckdb else "", "<= 1500")  # fmt: skip
    yield from _openings(bench, ours)


def _beside(ours: Result, theirs: Result, size: str, target: str = "", note: str = "") -> Measure:
    return Measure(
        f"ingest beside {theirs['title']}, {size}", rate(ours), "samples/CPU-s", rate(theirs),
        theirs["title"] + note, target, "ratio", {"chart": "ingest", "who": theirs["title"], "set": size},
    )  # fmt: skip


def _shares(bench: Bench) -> Iterator[Measure]:
    """Each peer's rate on the smaller set against ours on the full one."""
    ours = bench.full("ours")
    for peer in SHARE:
        both = bench.share(peer)
        if ours is None or both is None:
            continue
        _, theirs = both
        yield _beside(ours, theirs, bench.shared(peer), _SHARE_TARGETS.get(peer, ""))
        if theirs["formatted_s"] > 0.01 * theirs["cpu_s"]:
            yield Measure(f"… the client's formatting for {theirs['title']}, counted for nobody",
                          1e6 * theirs["formatted_s"] / theirs["samples"], "µs/sample")  # fmt: skip


def _commits(ours: Result, duckdb: Result | None) -> Iterator[Measure]:
    loads = ours["loads"]
    done = ours["counters"]
    say(f"in the last load: {done['flushes']:.0f} flushes, {done['compactions']:.0f} compactions")
    for share in ("p50", "p95", "p99", "max"):
        yield Measure(
            f"commit of 10,000, {share}", _over(loads, "all_ms", share), "ms",
            duckdb and duckdb["all_ms"][share], duckdb["title"] if duckdb else "",
            tags={"chart": "commit", "who": "all", "share": share},
        )  # fmt: skip
    for when, title in (("quiet_ms", "no flush or compaction"), ("disturbed_ms", "flush or compaction")):
        with_any = [load for load in loads if load[when]]
        for share in ("p50", "p95", "p99", "max") if with_any else ():
            yield Measure(f"… {share} beside {title}", _over(with_any, when, share), "ms",
                          tags={"chart": "commit", "who": title, "share": share})  # fmt: skip
    yield Measure(
        "commit, the worst of all runs under flush and compaction", _over(loads, "all_ms", "max"), "ms",
        _over(loads, "all_ms", "p95"), "its own p95", "<= 5", "ratio",
    )  # fmt: skip


def _over(loads: list[Result], when: str, share: str) -> float:
    """The median of the runs, but the worst is the worst of all."""
    found = [float(load[when][share]) for load in loads]
    return max(found) if share == "max" else statistics.median(found)


def _openings(bench: Bench, ours: Result) -> Iterator[Measure]:
    if ours["opened_s"] is not None:
        yield Measure(f"open {millions(POINTS, bench.seconds)} after a clean stop", ours["opened_s"], "s",
                      target="<= 2")  # fmt: skip
    seconds = min(KILLED_SECONDS, bench.seconds)
    folder = bench.directory("killed", POINTS, seconds)
    killed = run(Job("ours", str(folder), POINTS, seconds, kill=True))
    opened = killed and run(Job("ours", str(folder), POINTS, seconds, load=False))
    bench.discard(folder)
    if killed and opened:
        yield Measure(f"open after kill -9 with {millions(POINTS, seconds)}", opened["opened_s"], "s",
                      target="<= 2")  # fmt: skip
        yield Measure("… acknowledged samples lost or doubled", abs(opened["held"] - killed["samples"]), "samples",
                      target="<= 0")  # fmt: skip
