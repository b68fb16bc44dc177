"""Rows on questions: CPU of each, warm and cold, told only where the answers agree."""

from __future__ import annotations

from collections.abc import Iterator

from bench.harness import Measure
from bench.history.bench import POINTS, QUESTIONS, Bench, Result, agreed, millions, say
from bench.history.child import Job, run
from bench.history.peers import FULL, SHARE, make
from bench.history.questions import FIFTY_BUCKETS, FLEET, FLEET_MINUTES, LATEST, ONE_BUCKETS, ONE_RAW

_OF_DUCKDB = {
    ONE_RAW: "<= 0.15",
    ONE_BUCKETS: "<= 0.2",
    FIFTY_BUCKETS: "<= 0.25",
    FLEET: "<= 0.2",
    FLEET_MINUTES: "<= 0.2",
}


def rows(bench: Bench) -> Iterator[Measure]:
    ours, size = bench.full("ours"), millions(POINTS, bench.seconds)
    if ours is None:
        return
    agree, differ = 0, 0
    for peer in FULL:
        theirs = bench.full(peer)
        for name in QUESTIONS if theirs is not None else ():
            assert theirs is not None
            if name not in theirs["answers"]:
                continue
            if agreed(ours, theirs, name, make(peer).tolerance):
                agree += 1
                yield _beside(ours, theirs, name, size, _OF_DUCKDB.get(name, "") if peer == "duckdb" else "")
            else:
                differ += 1
    if agree + differ:
        yield Measure(f"{agree + differ} answers on the full set: different from a peer's", differ, "answers",
                      target="<= 0")  # fmt: skip
    if LATEST in ours["answers"]:
        yield Measure(LATEST, ours["answers"][LATEST]["cpu_ms"], "CPU-ms", target="<= 1",
                      tags={"chart": "query", "who": "Headrace", "question": LATEST, "set": size})  # fmt: skip
    yield from _unmerged(ours, bench.full("duckdb"), size)
    yield from _cold(bench, size)
    yield from _shares(bench)


def _beside(ours: Result, theirs: Result, name: str, size: str, target: str = "") -> Measure:
    return Measure(
        f"{name}, beside {theirs['title']}, {size}", ours["answers"][name]["cpu_ms"], "CPU-ms",
        theirs["answers"][name]["cpu_ms"], theirs["title"], target, "ratio",
        {"chart": "query", "who": theirs["title"], "question": name, "set": size},
    )  # fmt: skip


def _unmerged(ours: Result, theirs: Result | None, size: str) -> Iterator[Measure]:
    """As it is all day: the hour in progress lies in several segments, with late samples beside punctual ones."""
    for name, answer in ours.get("unmerged", {}).items():
        if agreed({**ours, "answers": {name: answer}}, ours, name):
            other = theirs["answers"][name]["cpu_ms"] if theirs else None
            yield Measure(f"{name}, before the open hour is merged, {size}", answer["cpu_ms"], "CPU-ms", other,
                          theirs["title"] if theirs else "")  # fmt: skip


def _cold(bench: Bench, size: str) -> Iterator[Measure]:
    """The first question of a fresh process, once; the files may still be in the machine's memory."""
    for name in QUESTIONS:
        first: dict[str, float] = {}
        for peer in ("ours", "duckdb"):
            folder = bench.directory(peer)
            if bench.full(peer) is None or not folder.exists():
                continue
            asked = run(Job(peer, str(folder), POINTS, bench.seconds, load=False, ask=(name,), once=True))
            if asked is not None and name in asked["answers"]:
                first[peer] = asked["answers"][name]["cpu_ms"]
        if "ours" in first:
            peer_ms = first.get("duckdb")
            yield Measure(f"{name}, first question of a process, {size}", first["ours"], "CPU-ms", peer_ms,
                          "DuckDB" if peer_ms else "")  # fmt: skip


def _shares(bench: Bench) -> Iterator[Measure]:
    """The peers that took the smaller set, beside ours on that set."""
    for peer in SHARE:
        both = bench.share(peer)
        for name in QUESTIONS if both is not None else ():
            assert both is not None
            small, theirs = both
            if name not in theirs["answers"]:
                say(f"{theirs['title']} cannot be asked for: {name}")
            elif agreed(small, theirs, name, make(peer).tolerance):
                yield _beside(small, theirs, name, bench.shared(peer))
