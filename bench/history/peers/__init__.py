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
}


def make(name: str) -> Peer:
    module, cls = PEERS[name]
    peer: Peer = getattr(importlib.import_module(module), cls)()
    return peer
