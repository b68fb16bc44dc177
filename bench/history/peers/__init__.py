"""The historians that ours is measured against; one module each, imported only when it is its turn."""

from __future__ import annotations

import importlib
from typing import Final

from bench.history.peers.base import Peer

PEERS: Final = {
    "ours": ("bench.history.ours", "Ours"),
    "duckdb": ("bench.history.peers.duckdb", "DuckDB"),
    "parquet": ("bench.history.peers.parquet", "Parquet"),
    "sqlite": ("bench.history.peers.sqlite", "SQLite"),
    "chdb": ("bench.history.peers.chdb", "Chdb"),
    "influxdb": ("bench.history.peers.influxdb", "InfluxDB"),
    "victoriametrics": ("bench.history.peers.victoriametrics", "VictoriaMetrics"),
    "iotdb": ("bench.history.peers.iotdb", "IoTDB"),
}
FULL: Final = ("duckdb", "parquet")
"""They take the full set; the others would take all day, so they take a smaller one."""
SHARE: Final = tuple(name for name in PEERS if name != "ours" and name not in FULL)


def make(name: str) -> Peer:
    module, cls = PEERS[name]
    peer: Peer = getattr(importlib.import_module(module), cls)()
    return peer
