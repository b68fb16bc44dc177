"""VictoriaMetrics 1.79 (Debian), single node: Prometheus text to its import, MetricsQL back.

It is given less than it is compared with, because it knows only doubles at milliseconds: no text, bools as 0 and 1, bad
samples left out, no received time; integers beyond 2^53 lose digits. It acknowledges before a sample is durable.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench.history.dataset import Dataset
from bench.history.peers.base import folder_bytes
from bench.history.peers.server import Server, find, free_port, rest
from bench.history.peers.sql import TABLES
from bench.history.questions import Digest, Question, digest
from headrace.model.batch import Batch, ValueKind

_MS = 1_000_000


class VictoriaMetrics(Server):
    title = "VictoriaMetrics 1.79"
    ready = "/health"
    tolerance = 1e-6

    def start(self, directory: Path, dataset: Dataset, *, fresh: bool) -> None:
        program = find("victoria-metrics", "apt-get install victoria-metrics")
        said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False)
        version = re.search(r"\d+\.\d+\.\d+", said.stdout + said.stderr)
        self.title = f"VictoriaMetrics {version[0]}" if version else self.title
        port = free_port()
        self.launch(directory, [
            program, f"-storageDataPath={directory}/data", f"-httpListenAddr=127.0.0.1:{port}",
            "-retentionPeriod=100y", "-selfScrapeInterval=0", "-search.latencyOffset=0s",
            "-search.maxUniqueTimeseries=10000000", "-search.maxPointsPerTimeseries=100000",
        ], port)  # fmt: skip

    def prepare(self, batches: Sequence[Batch]) -> bytes:
        return "".join(line for batch in batches for line in _lines(batch)).encode()

    def write(self, commit: bytes) -> None:
        self.request("POST", "/api/v1/import/prometheus", commit)

    def finish(self) -> None:
        self.request("GET", "/internal/force_flush")
        rest(self.cpu_s)

    def compact(self) -> None:
        self.request("GET", "/internal/force_merge")
        rest(self.cpu_s)

    def disk(self) -> Mapping[str, int]:
        return {"data": folder_bytes(self._directory / "data")}

    def ask(self, question: Question) -> Callable[[], Any]:
        path, asked = _metricsql(question)
        body = urlencode(asked).encode()
        return lambda: self.request("POST", path, body, True)

    def digest(self, question: Question, answer: bytes) -> Digest:
        if question.ask == "raw":
            return digest([value for line in answer.splitlines() for value in json.loads(line)["values"]])
        found: dict[str, list[float]] = {}
        for series in json.loads(answer)["data"]["result"]:
            rows = series["values"] if "values" in series else [series["value"]]
            found.setdefault(series["metric"].get("rollup", "avg")[:3], []).extend(float(text) for _, text in rows)
        return digest(found["avg"], found.get("min"), found.get("max"))


def _lines(batch: Batch) -> list[str]:
    if batch.kind is ValueKind.TEXT:
        return []
    table, number = TABLES[batch.kind], float if batch.kind is ValueKind.FLOAT64 else int
    columns = zip(
        batch.handles.tolist(), batch.source_ns.tolist(), batch.values.tolist(), batch.quality.tolist(), strict=True
    )
    return [
        f'{table}{{p="{handle}"}} {number(value)!r} {time_ns // _MS}\n'
        for handle, time_ns, value, quality in columns
        if not quality
    ]


def _metricsql(question: Question) -> tuple[str, Mapping[str, str]]:
    """A window there is `(t - width, t]`; asked 1 ms early it is our `[start, end)`, for its times are whole ms."""
    points = "|".join(map(str, question.handles.tolist()))
    which = '__name__=~"floats|ints|bools"' + ("" if question.everyone else f',p=~"{points}"')
    start_ms, end_ms = question.start_ns // _MS, question.end_ns // _MS
    if question.ask == "raw":
        span = {"start": f"{start_ms / 1000:.3f}", "end": f"{(end_ms - 1) / 1000:.3f}"}
        return "/api/v1/export", {"match[]": f'floats{{p="{points}"}}', **span}
    if question.buckets <= 1:
        function = "last_over_time" if question.ask == "latest" else "avg_over_time"
        asked = f"{function}({{{which}}}[{end_ms - start_ms}ms])"
        return "/api/v1/query", {"query": asked, "time": f"{(end_ms - 1) / 1000:.3f}", "nocache": "1"}
    width_ms = question.width_ns // _MS
    series = f"{{{which}}}[{width_ms}ms]"
    several = ", ".join(f'"{name}_over_time"' for name in ("min", "max", "avg"))
    return "/api/v1/query_range", {
        "query": f"aggr_over_time(({several}), {series})" if question.ask == "buckets" else f"avg_over_time({series})",
        "start": f"{(start_ms + width_ms - 1) / 1000:.3f}",
        "end": f"{(start_ms + question.buckets * width_ms - 1) / 1000:.3f}",
        "step": f"{width_ms}ms",
        "nocache": "1",
    }
