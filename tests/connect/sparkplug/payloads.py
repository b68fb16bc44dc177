"""Payloads for the two decoders to agree on: fleets as they are, and anything at all, by a seed."""

from __future__ import annotations

import random
from typing import Any

from headrace.connect.sparkplug import schema
from headrace.connect.sparkplug.schema import DataType

T0_MS = 1_767_225_600_000


def fleet(messages: int, metrics: int, sort: str, seed: int = 1) -> list[bytes]:
    """NDATA of equal nodes. `sort`: doubles, mixed (all kinds), sparse (by exception: some of them), named."""
    rng = random.Random(seed)
    made = []
    for at in range(messages):
        payload = schema.Payload(timestamp=T0_MS + at, seq=at % 256)
        for alias in range(metrics):
            if sort == "sparse" and rng.random() < 0.5:
                continue
            metric = payload.metrics.add(timestamp=T0_MS + at)
            if sort == "named":
                metric.name = f"Line 1/Press 3/Oil/Temperature {alias}"
            else:
                metric.alias = alias
            which = alias % 5 if sort in ("mixed", "sparse") else 0
            if which == 1:
                metric.int_value = rng.randrange(1 << rng.randrange(1, 33))
            elif which == 2:
                metric.boolean_value = rng.random() < 0.5
            elif which == 3:
                metric.float_value = rng.random()
            elif which == 4:
                metric.long_value = rng.randrange(1 << 64)
            else:
                metric.double_value = rng.random() * 100
        made.append(payload.SerializeToString())
    return made


def anything(rng: random.Random) -> bytes:
    """A valid payload of any shape."""
    payload = schema.Payload()
    if rng.random() < 0.9:
        payload.timestamp = rng.choice([T0_MS, 0, 2**64 - 1])
    if rng.random() < 0.9:
        payload.seq = rng.choice([0, 5, 127, 128, 255, 256, 2**63])
    if rng.random() < 0.05:
        payload.uuid = "u"
    if rng.random() < 0.05:
        payload.body = b"zz"
    for _ in range(rng.choice([0, 1, 3, 20])):
        _metric(payload.metrics.add(), rng)
    serialized: bytes = payload.SerializeToString()
    return serialized


def _metric(metric: Any, rng: random.Random) -> None:
    if rng.random() < 0.3:
        metric.name = rng.choice(["a", "", "Oil/Temp", "温度", "x" * rng.randrange(200)])
    if rng.random() < 0.7:
        metric.alias = rng.choice([0, 5, 127, 128, 300, 2**32, 2**63 + 5])
    if rng.random() < 0.8:
        metric.timestamp = rng.choice([0, 1, T0_MS, 2**64 - 1])
    if rng.random() < 0.8:
        metric.datatype = rng.randrange(36)
    for flag in ("is_historical", "is_transient", "is_null"):
        if rng.random() < 0.1:
            setattr(metric, flag, rng.random() < 0.5)
    if rng.random() < 0.1:
        metric.metadata = bytes(rng.randrange(5))
    if rng.random() < 0.2:
        properties = schema.PropertySet(keys=["Quality"])
        value = properties.values.add()
        value.type, value.int_value = DataType.INT32, rng.choice([0, 192, 500, 7, 70_000])
        metric.properties = properties.SerializeToString()
    which = rng.randrange(12)
    if which == 0:
        metric.int_value = rng.choice([0, 1, 127, 128, 2**32 - 1, 70_000])
    elif which == 1:
        metric.long_value = rng.choice([0, 2**64 - 1, 2**63, 5])
    elif which == 2:
        metric.float_value = rng.choice([0.5, float("nan"), float("inf"), -0.0])
    elif which in (3, 4):
        metric.double_value = rng.choice([rng.random(), float("nan"), -0.0])
    elif which == 5:
        metric.boolean_value = rng.random() < 0.5
    elif which == 6:
        metric.string_value = rng.choice(["", "on", "温度" * 10])
    elif which == 7:
        metric.bytes_value = bytes(rng.randrange(10))
    elif which == 8:
        metric.dataset_value = b"\x08\x01"
    elif which == 9:
        metric.template_value = b""


def broken(data: bytes, rng: random.Random) -> bytes:
    """A few bytes changed, lost, added, or the end cut off."""
    out = bytearray(data)
    for _ in range(rng.choice([0, 0, 1, 1, 2, 5])):
        if not out:
            break
        at = rng.randrange(len(out))
        what = rng.randrange(5)
        if what == 0:
            out[at] = rng.randrange(256)
        elif what == 1:
            out[at] ^= 1 << rng.randrange(8)
        elif what == 2:
            del out[at]
        elif what == 3:
            out.insert(at, rng.randrange(256))
        else:
            del out[at:]
    return bytes(out)


def call(seed: int) -> list[bytes]:
    """Messages of one wake-up: some alike, some broken."""
    rng = random.Random(seed)
    models = [anything(rng) for _ in range(rng.choice([1, 2, 5]))]
    chosen = [rng.choice(models) for _ in range(rng.choice([1, 5, 20, 60]))]
    return [broken(one, rng) if rng.random() < 0.5 else one for one in chosen]
