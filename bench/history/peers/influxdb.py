"""InfluxDB 1.6 (Debian): line protocol, a measurement a kind, the point as a tag, its log synced with each commit.

It is given less than it is compared with: bools as 0 and 1 (it has no mean of bools), of a bad sample the quality
alone, and no received time. Its cache goes to files 5 s after the last write, which is counted like our flush.
"""

from __future__ import annotations

import json
import subprocess
import time
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

_COLD_S = 5
_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{directory}/meta"
[data]
  dir = "{directory}/data"
  wal-dir = "{directory}/wal"
  cache-snapshot-write-cold-duration = "{cold_s}s"
  query-log-enabled = false
[coordinator]
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
[ifql]
  enabled = false
"""


class InfluxDB(Server):
    title = "InfluxDB 1.6"
    ready = "/ping"

    def start(self, directory: Path, dataset: Dataset, *, fresh: bool) -> None:
        program = find("influxd", "apt-get install influxdb")
        version = subprocess.run([program, "version"], capture_output=True, text=True, check=False).stdout.split()
        self.title = f"InfluxDB {version[1].lstrip('v').split('~')[0]}" if len(version) > 1 else self.title
        port = free_port()
        config = directory / "influxdb.conf"
        config.write_text(_CONFIG.format(directory=directory, port=port, rpc=free_port(), cold_s=_COLD_S))
        self.launch(directory, [program, "-config", str(config)], port)
        self._query("CREATE DATABASE bench")

    def prepare(self, batches: Sequence[Batch]) -> bytes:
        return "".join(line for batch in batches for line in _lines(batch)).encode()

    def write(self, commit: bytes) -> None:
        self.request("POST", "/write?db=bench&precision=ns", commit)

    def finish(self) -> None:
        time.sleep(_COLD_S + 2)  # it looks once a second
        rest(self.cpu_s)

    def disk(self) -> Mapping[str, int]:
        return {"data": folder_bytes(self._directory / "data"), "log": folder_bytes(self._directory / "wal")}

    def ask(self, question: Question) -> Callable[[], Any]:
        statement = _influxql(question)
        return lambda: self._query(statement)

    def digest(self, question: Question, answer: bytes) -> Digest:
        series = json.loads(answer)["results"][0].get("series", [])
        columns = list(zip(*(row for each in series for row in each["values"]), strict=True))
        if question.ask == "buckets":
            return digest(columns[1], columns[2], columns[3])
        return digest(columns[1])

    def _query(self, statement: str) -> bytes:
        """In the body: a thousand points do not fit into an address."""
        return self.request("POST", "/query", urlencode({"db": "bench", "epoch": "ns", "q": statement}).encode(), True)


def _lines(batch: Batch) -> list[str]:
    table = TABLES[batch.kind]
    columns = zip(
        batch.handles.tolist(), batch.source_ns.tolist(), batch.values.tolist(), batch.quality.tolist(), strict=True
    )
    lines = []
    for handle, time_ns, value, quality in columns:
        if quality:
            field = f"q={quality}i"
        elif batch.kind is ValueKind.TEXT:
            field = 'v="' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        else:
            field = f"v={value!r}" if batch.kind is ValueKind.FLOAT64 else f"v={int(value)}i"
        lines.append(f"{table},p={handle} {field} {time_ns}\n")
    return lines


def _influxql(question: Question) -> str:
    points = question.handles.tolist()
    span = f"time >= {question.start_ns} AND time < {question.end_ns}"
    if len(points) == 1:
        span += f" AND p = '{points[0]}'"
    elif not question.everyone:
        span += f" AND p =~ /^({'|'.join(map(str, points))})$/"
    every = "FROM floats, ints, bools"
    match question.ask:
        case "raw":
            return f"SELECT v FROM floats WHERE {span}"
        case "latest":
            return f"SELECT last(v) {every} WHERE {span} GROUP BY p"
        case "mean" if question.buckets == 1:
            return f"SELECT mean(v) {every} WHERE {span} GROUP BY p"
        case "mean":
            what = "mean(v)"
        case _:
            what = "mean(v), min(v), max(v)"
    width = f"{question.width_ns}ns"
    offset = f"{question.start_ns % question.width_ns}ns"
    return f"SELECT {what} {every} WHERE {span} GROUP BY time({width}, {offset}), p fill(none)"
