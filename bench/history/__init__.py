"""`make bench NAME=history`: the historian beside its peers, row by row of its target table.

    dataset ─► child processes, one a historian: load · compact · ask ─► bench (kept results) ─► rows ─► measures()
                   ours · DuckDB · Parquet: the full 72 M samples, 10,000 points × 2 h at 1 Hz, 1 % late
                   SQLite · InfluxDB · VictoriaMetrics · IoTDB · chdb: 3 M of them, Headrace beside on the same

    ARGS="--part ingest|disk|query|curves"   one part (several times for several)
    ARGS="--samples 3m"                      a smaller full set, for a quick look
    ARGS="--peers duckdb,sqlite"             only these peers
    ARGS="--runs 1"                          loads of Headrace over the full set (3)

CPU is of the process that does the work, background included, until all is in its final form. What the bench spends on
making samples and on formatting them for a peer counts for nobody. A peer that is absent or fails is told on stderr.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.harness import Measure
from bench.history import curves, disk, ingest, query
from bench.history.bench import FULL_SECONDS, POINTS, RUNS, Bench
from bench.history.child import ASK_S
from bench.history.peers import PEERS

_PARTS = {"ingest": ingest.rows, "disk": disk.rows, "query": query.rows, "curves": curves.rows}


def measures(arguments: Sequence[str] = ()) -> Iterator[Measure]:
    asked = _parser().parse_args(list(arguments))
    folder = Path(tempfile.mkdtemp(prefix="headrace-bench-", dir=asked.directory))
    bench = Bench(folder, max(1, asked.samples // POINTS), asked.runs, tuple(asked.peers), asked.asking)
    try:
        for part in asked.part or _PARTS:
            yield from _PARTS[part](bench)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench history")
    parser.add_argument("--part", action="append", choices=_PARTS)
    parser.add_argument("--samples", type=_samples, default=FULL_SECONDS * POINTS)
    parser.add_argument("--peers", type=_peers, default=())
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--asking", type=float, default=ASK_S, help="CPU seconds to spend on asking a question again")
    parser.add_argument("--directory", type=Path, default=None, help="where the historians live meanwhile")
    return parser


def _samples(text: str) -> int:
    """`72m`, `50k` or a number."""
    factor = {"k": 1_000, "m": 1_000_000}.get(text[-1:].lower(), 1)
    return round(float(text.rstrip("kKmM")) * factor)


def _peers(text: str) -> list[str]:
    names = text.split(",")
    unknown = sorted(set(names) - set(PEERS))
    if unknown:
        raise argparse.ArgumentTypeError(f"no peer {', '.join(unknown)}; there are {', '.join(PEERS)}")
    return names
