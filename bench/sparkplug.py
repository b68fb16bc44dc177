"""Payloads to batches: Sparkplug by shapes beside protobuf (upb), JSON by layouts beside a plain orjson loop.

Both sides turn the same bytes into the same samples, checked before anything is timed; CPU of this process, the two in
turns. Part `payloads` of `make bench NAME=gateway`; `python -m bench sparkplug` runs it alone.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

import orjson

from bench.harness import Measure, cpu_s
from headrace.connect.payload import Message, Payload, PayloadAddress, PayloadSettings, payload_of
from headrace.connect.payload.config import SparkplugSettings
from headrace.connect.payload.contract import Decoded
from headrace.connect.sparkplug import schema
from headrace.connect.sparkplug.host import SparkplugHost
from headrace.connect.sparkplug.schema import DataType
from headrace.model import quality as q
from headrace.model.batch import Batch, BatchBuilder, ValueKind
from headrace.sdk.driver import PointBinding

METRICS = 20
NODES = 100
T0_MS = 1_767_225_600_000
RUNS = 7


def measures() -> Iterator[Measure]:
    yield from sparkplug_measures()
    yield from json_measures()


# --- Sparkplug ----------------------------------------------------------------------------------------------------


def sparkplug_measures() -> Iterator[Measure]:
    """40,000 samples of 100 nodes, gathered as a gateway does: by the thousand, by the hundred, by the ten."""
    for sort in ("doubles", "mixed", "sparse"):
        messages = _fleet(2000, sort)
        for gathered in (2000, 100, 10):
            calls = [messages[at : at + gathered] for at in range(0, len(messages), gathered)]
            _same(_through(_host(), calls), _loop(_UpbLoop(), calls))
            ours, theirs = _in_turns((_host, partial(_through, calls=calls)), (_UpbLoop, partial(_loop, calls=calls)))
            yield Measure(
                f"Sparkplug ×{METRICS} {sort}, {gathered} a call",
                ours / len(messages) * 1e6,
                "µs CPU/message",
                theirs / len(messages) * 1e6,
                "upb loop",
                target="<= 0.4" if sort == "doubles" and gathered == 2000 else "",
                target_of="ratio",
            )


def _fleet(messages: int, sort: str) -> list[Message]:
    """NDATA of equal nodes in turns. `mixed` has every kind, `sparse` half of that by exception."""
    made = []
    state = 12345
    for at in range(messages):
        payload = schema.Payload(timestamp=T0_MS + at, seq=(1 + at // NODES) % 256)
        for alias in range(METRICS):
            state = state * 6364136223846793005 + 1442695040888963407 & 0xFFFF_FFFF_FFFF_FFFF
            if sort == "sparse" and state >> 63:
                continue
            metric = payload.metrics.add(alias=alias, timestamp=T0_MS + at)
            which = _type_of(alias, sort)
            if which is DataType.INT32:
                metric.int_value = state >> 33 >> (state >> 8) % 28
            elif which is DataType.BOOLEAN:
                metric.boolean_value = bool(state >> 62 & 1)
            elif which is DataType.INT64:
                metric.long_value = state >> 12
            else:
                metric.double_value = (state >> 11) / 2**40
        topic = f"spBv1.0/plant/NDATA/node-{at % NODES}"
        made.append(Message("bench", topic, payload.SerializeToString(), (T0_MS + at) * 1_000_000))
    return made


def _type_of(alias: int, sort: str) -> DataType:
    others = (DataType.DOUBLE, DataType.INT32, DataType.BOOLEAN, DataType.INT64)
    return DataType.DOUBLE if sort == "doubles" else others[alias % 4]


_KINDS = (ValueKind.FLOAT64, ValueKind.INT64, ValueKind.BOOL, ValueKind.INT64)


def _host() -> SparkplugHost:
    host = SparkplugHost(SparkplugSettings(), 2**20)
    points = [
        PointBinding(
            node * METRICS + alias,
            f"p{node}/{alias}",
            ValueKind.FLOAT64,
            PayloadAddress(group="plant", node=f"node-{node}", metric=f"m{alias}"),
            10**9,
        )
        for node in range(NODES)
        for alias in range(METRICS)
    ]
    host.bind(points)
    host.decode(list(enumerate(_births())), Decoded())
    return host


def _through(host: SparkplugHost, calls: Sequence[Sequence[Message]]) -> list[Batch]:
    batches: list[Batch] = []
    for call in calls:
        decoded = Decoded()
        host.decode(list(enumerate(call)), decoded)
        assert not decoded.replies and not decoded.refused
        batches += decoded.batches
    return batches


def _births() -> list[Message]:
    payload = schema.Payload(timestamp=T0_MS, seq=0)
    for alias in range(METRICS):
        payload.metrics.add(name=f"m{alias}", alias=alias, datatype=DataType.UNKNOWN, is_null=True)
    data = payload.SerializeToString()
    return [Message("bench", f"spBv1.0/plant/NBIRTH/node-{node}", data, 0) for node in range(NODES)]


class _UpbLoop:
    """What one writes first: protobuf, a loop, one append a metric."""

    def __init__(self) -> None:
        self._handles = {
            f"spBv1.0/plant/NDATA/node-{node}": {alias: node * METRICS + alias for alias in range(METRICS)}
            for node in range(NODES)
        }

    def decode(self, messages: Sequence[Message]) -> list[Batch]:
        builder = BatchBuilder(ValueKind.FLOAT64, len(messages) * METRICS)
        for message in messages:
            handles = self._handles[message.topic]
            payload = schema.Payload.FromString(message.payload)
            for metric in payload.metrics:
                which = metric.WhichOneof("value")
                time_ms = metric.timestamp if metric.HasField("timestamp") else payload.timestamp
                builder.append(
                    handles[metric.alias], time_ms * 1_000_000, getattr(metric, which), q.GOOD, message.received_ns
                )
        return [builder.build()]


class _Loop(Protocol):
    def decode(self, messages: Sequence[Message]) -> list[Batch]: ...


def _loop(loop: _Loop, calls: Sequence[Sequence[Message]]) -> list[Batch]:
    return [batch for call in calls for batch in loop.decode(call)]


# --- JSON ---------------------------------------------------------------------------------------------------------


def json_measures() -> Iterator[Measure]:
    """Devices of one template; 20 values and a time a message, or one of each; gathered as a gateway does."""
    for values in (20, 1):
        payload, messages = _json(values)
        for gathered in (500, 10):
            calls = [messages[at : at + gathered] for at in range(0, len(messages), gathered)]
            loop = partial(_OrjsonLoop, values)
            _same(_decoded(payload, calls), _loop(loop(), calls))
            ours, theirs = _in_turns(
                (lambda its=payload: its, partial(_decoded, calls=calls)), (loop, partial(_loop, calls=calls))
            )
            yield Measure(
                f"JSON of {values} value{'s' if values > 1 else ''}, {gathered} a call",
                ours / len(messages) * 1e6,
                "µs CPU/message",
                theirs / len(messages) * 1e6,
                "orjson loop",
            )


def _decoded(payload: Payload, calls: Sequence[Sequence[Message]]) -> list[Batch]:
    return [batch for call in calls for batch in payload.decode(call).batches]


def _json(values: int) -> tuple[Payload, list[Message]]:
    payload = payload_of(
        PayloadSettings.model_validate({"topic": "devices/{device}/telemetry", "json": {"time": "/ts"}})
    )
    payload.bind(
        [
            PointBinding(
                node * values + at,
                f"p{node}/{at}",
                ValueKind.FLOAT64,
                PayloadAddress(device=f"d{node}", value=f"/value_{at}"),
                10**9,
            )
            for node in range(NODES)
            for at in range(values)
        ]
    )
    messages = []
    for at in range(2000):
        document = {"ts": T0_MS + at, **{f"value_{key}": (at * 31 + key) / 7 for key in range(values)}}
        topic = f"devices/d{at % NODES}/telemetry"
        messages.append(Message("bench", topic, orjson.dumps(document), (T0_MS + at) * 1_000_000))
    return payload, messages


class _OrjsonLoop:
    """What one writes first: a parse, a loop, one append a value."""

    def __init__(self, values: int) -> None:
        self._handles = {
            f"devices/d{node}/telemetry": {f"value_{at}": node * values + at for at in range(values)}
            for node in range(NODES)
        }

    def decode(self, messages: Sequence[Message]) -> list[Batch]:
        builder = BatchBuilder(ValueKind.FLOAT64, len(messages))
        for message in messages:
            document = orjson.loads(message.payload)
            source_ns = document["ts"] * 1_000_000
            for key, handle in self._handles[message.topic].items():
                builder.append(handle, source_ns, document[key], q.GOOD, message.received_ns)
        return [builder.build()]


# --- how ----------------------------------------------------------------------------------------------------------


Side = tuple[Callable[[], Any], Callable[[Any], object]]


def _in_turns(*sides: Side) -> list[float]:
    """CPU seconds of each side's work, the medians of runs in turns. A side is (prepare, work); only work counts."""
    took: list[list[float]] = [[] for _ in sides]
    for _ in range(RUNS):
        for (prepare, work), kept in zip(sides, took, strict=True):
            prepared = prepare()
            began = cpu_s()
            work(prepared)
            kept.append(cpu_s() - began)
    return [statistics.median(kept) for kept in took]


def _same(ours: Sequence[Batch], theirs: Sequence[Batch]) -> None:
    """The same samples, in whatever order a call gives them."""

    def rows(batches: Sequence[Batch]) -> list[tuple[object, ...]]:
        return sorted(
            row
            for one in batches
            for row in zip(
                one.source_ns.tolist(), one.handles.tolist(), one.values.tolist(), one.quality.tolist(),
                one.received_ns.tolist(), strict=True,
            )
        )  # fmt: skip

    left, right = rows(ours), rows(theirs)
    if left != right:
        raise AssertionError(f"the two sides differ: {len(left)} and {len(right)} samples")
