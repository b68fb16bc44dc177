"""How good each edge's link is, as points of the plant: `system/edges/<edge>/latency` …, so that trends, alarms,
exports and SQL work on the network as on any machine.

    LinkQuality, once a second ──► take ──► columns, one batch a kind ──► bus ──► history, live values, alarms
    nothing measured for `SILENT_S`, or not connected ──► `connected` false, everything else bad: a gap, not a guess

The points are declared by the platform itself (`declaration`), one asset an edge; people put alarms of their own on
them, or change the limits of these.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from headrace.model import quality as q
from headrace.model.batch import Batch, ValueKind
from headrace.sdk.edges import LinkQuality
from headrace.sdk.services import SourceFile

_LARGEST: Final = 2.0**63
SILENT_S: Final = 5.0
WAITING_MAX: Final = 10_000
ROOT: Final = "system/edges"
CONNECTED: Final = "connected"

Get = Callable[[LinkQuality], float]

_FLOATS: Final[Mapping[str, Get]] = {
    "latency": lambda link: link.latency_ms,
    "jitter": lambda link: link.jitter_ms,
    "loss": lambda link: 100.0 * link.loss,
    "throughput": lambda link: link.received_bytes_per_s,
    "sample.rate": lambda link: link.samples_per_s,
    "backlog.age": lambda link: link.backlog_s,
    "lateness": lambda link: link.late_ms,
    "spool.used": lambda link: 100.0 * link.spool_used,
}
_WHOLES: Final[Mapping[str, Get]] = {
    "backlog.samples": lambda link: link.backlog_samples,
    "backlog.bytes": lambda link: link.backlog_bytes,
    "dropped": lambda link: link.dropped_samples,
}

_TYPE: Final = """\
types:
  headrace.edge:
    title: {en: Edge link, zh: 边缘链路}
    points:
      connected: {type: bool, title: {en: Connected, zh: 已连接}}
      latency: {unit: ms, decimals: 1, title: {en: Latency, zh: 往返时延}}
      jitter: {unit: ms, decimals: 1, title: {en: Jitter, zh: 抖动}}
      loss: {unit: "%", decimals: 2, title: {en: Loss, zh: 丢包率}}
      throughput: {unit: By/s, decimals: 0, title: {en: Throughput, zh: 吞吐量}}
      sample.rate: {unit: 1/s, decimals: 0, title: {en: Samples, zh: 采样速率}}
      backlog.age: {unit: s, decimals: 1, title: {en: Backlog, zh: 积压时长}}
      backlog.samples: {type: int64, title: {en: Backlog in samples, zh: 积压样本数}}
      backlog.bytes: {type: int64, unit: By, title: {en: Backlog in bytes, zh: 积压字节数}}
      lateness: {unit: ms, decimals: 0, title: {en: Lateness of live data, zh: 实时数据迟延}}
      spool.used: {unit: "%", decimals: 0, title: {en: Spool used, zh: 缓存占用}}
      dropped: {type: int64, title: {en: Samples dropped, zh: 丢弃样本数}}
    alarms:
      connected:silent:
        {condition: equals, limit: false, on_delay: 30s, priority: high,
         message: {en: The edge is silent, zh: 边缘节点失联}}
      backlog.age:grows:
        {condition: high, limit: 60, hysteresis: 10, on_delay: 30s, priority: medium,
         message: {en: Data of the edge waits for more than a minute, zh: 边缘数据积压超过一分钟}}
      spool.used:full:
        {condition: high, limit: 80, hysteresis: 5, on_delay: 30s, priority: high,
         message: {en: The spool of the edge is nearly full, zh: 边缘缓存即将写满}}
assets:
  system: {level: enterprise, title: {en: Platform, zh: 平台}}
  system/edges: {level: area, title: {en: Edges, zh: 边缘节点}}
"""


def declaration(edges: Iterable[str]) -> SourceFile | None:
    """The assets of these edges; nothing without any."""
    assets = [f'  "{ROOT}/{edge}": {{level: equipment, type: headrace.edge}}' for edge in sorted(edges)]
    return SourceFile("headrace-edges.yaml", _TYPE + "\n".join(assets) + "\n") if assets else None


class LinkRecorder:
    """Gathers measurements, and makes batches of them; `handles` gives the number of a path that is declared."""

    def __init__(self, handles: Callable[[], Mapping[str, int]]) -> None:
        self._handles = handles
        self._waiting: deque[tuple[str, LinkQuality]] = deque(maxlen=WAITING_MAX)
        self._newest: dict[str, tuple[float, LinkQuality]] = {}  # by edge: when it came, and what
        self._up: dict[str, bool] = {}
        self.dropped = 0

    def take(self, edge: str, link: LinkQuality, now_s: float) -> None:
        self.dropped += len(self._waiting) == WAITING_MAX
        self._waiting.append((edge, link))
        self._newest[edge] = (now_s, link)

    def newest(self, edge: str, now_s: float) -> LinkQuality | None:
        """None while nobody measures."""
        came_s, link = self._newest.get(edge, (-math.inf, None))
        return link if now_s - came_s <= SILENT_S else None

    def forget(self, edge: str) -> None:
        self._newest.pop(edge, None)
        self._up.pop(edge, None)

    def drain(self, edges: Iterable[str], now_ns: int, now_s: float) -> Sequence[Batch]:
        """What was measured since the last call, and what is to be said of edges that are silent."""
        handles, rows = self._handles(), _Rows()
        measured, self._waiting = self._waiting, deque(maxlen=WAITING_MAX)
        for edge, link in measured:
            rows.add(handles, edge, link)
        for edge in edges:
            newest = self.newest(edge, now_s)
            up = newest is not None and newest.connected
            if not up and f"{ROOT}/{edge}/{CONNECTED}" in handles and self._up.get(edge) is not False:
                rows.lose(handles, edge, now_ns)
            if up or f"{ROOT}/{edge}/{CONNECTED}" in handles:
                self._up[edge] = up
        return rows.batches(now_ns)


class _Rows:
    """Samples by kind: handle, time, value, quality."""

    def __init__(self) -> None:
        self._rows: dict[ValueKind, list[tuple[int, int, float, int]]] = {
            ValueKind.BOOL: [],
            ValueKind.FLOAT64: [],
            ValueKind.INT64: [],
        }

    def add(self, handles: Mapping[str, int], edge: str, link: LinkQuality) -> None:
        if not link.connected:
            return  # said once by `lose`
        for kind, points in ((ValueKind.FLOAT64, _FLOATS), (ValueKind.INT64, _WHOLES)):
            for name, get in points.items():
                handle, value = handles.get(f"{ROOT}/{edge}/{name}"), get(link)
                if handle is not None and abs(value) < _LARGEST:  # NaN is not known, and left out
                    self._rows[kind].append((handle, link.measured_ns, value, q.GOOD))
        connected = handles.get(f"{ROOT}/{edge}/{CONNECTED}")
        if connected is not None:
            self._rows[ValueKind.BOOL].append((connected, link.measured_ns, 1, q.GOOD))

    def lose(self, handles: Mapping[str, int], edge: str, now_ns: int) -> None:
        self._rows[ValueKind.BOOL].append((handles[f"{ROOT}/{edge}/{CONNECTED}"], now_ns, 0, q.GOOD))
        for kind, points in ((ValueKind.FLOAT64, _FLOATS), (ValueKind.INT64, _WHOLES)):
            blank = math.nan if kind is ValueKind.FLOAT64 else 0
            known = (handles.get(f"{ROOT}/{edge}/{name}") for name in points)
            self._rows[kind] += [(handle, now_ns, blank, q.BAD_NOT_CONNECTED) for handle in known if handle is not None]

    def batches(self, now_ns: int) -> Sequence[Batch]:
        made = []
        for kind, rows in self._rows.items():
            if rows:
                handles, times, values, qualities = zip(*rows, strict=True)
                column = np.array(values, kind.dtype)
                made.append(Batch.of(kind, handles, times, column, np.array(qualities, np.uint32), now_ns))
        return made
