"""Hostile streams through whole payloads: nothing raises, nobody else's samples are touched, nothing is left behind."""

from __future__ import annotations

import gc
import json
import os
import random
import tracemalloc
from collections.abc import Iterator

import pytest
from tests.connect.payload.given import B, N, T, bound, point
from tests.connect.sparkplug import payloads
from tests.connect.sparkplug.wire import T0_NS, host
from tests.connect.sparkplug.wire import point as metric_point

from headrace.connect.payload import Message, Payload
from headrace.model.batch import ValueKind
from headrace.model.time import SECOND_NS

VERBS = ("NBIRTH", "DBIRTH", "NDATA", "NDATA", "DDATA", "DDATA", "NDEATH", "DDEATH", "NCMD", "STATE", "NONSENSE")


def sparkplug(seed: int) -> Iterator[Message]:
    """Births, data and deaths of a few nodes and many strangers, some of them broken, in any order."""
    rng = random.Random(seed)
    for at, data in enumerate(payloads.call(seed)):
        verb = rng.choice(VERBS)
        name = rng.choice(["n1", "n2", f"stranger-{rng.randrange(100_000)}"])
        device = f"/d{rng.randrange(3)}" if verb[0] == "D" else ""
        topic = f"spBv1.0/plant/{verb}/{name}{device}"
        yield Message(f"o{rng.randrange(3)}", topic, data, T0_NS + (seed * 100 + at) * SECOND_NS, rng.random() < 0.02)


def sparkplug_host() -> Payload:
    kinds = {"a": ValueKind.FLOAT64, "Oil/Temp": ValueKind.INT64, "温度": ValueKind.TEXT, "": ValueKind.BOOL}
    points = [
        metric_point(handle, name or "x", kind, of=of, node=node)
        for handle, (node, of, (name, kind)) in enumerate(
            (node, of, item) for node in ("n1", "n2") for of in (None, "d0", "d1") for item in kinds.items()
        )
    ]
    return host(*points, nodes_max=500, birth_bytes_max=2**20, rebirth_interval="1s")


WORDS = [
    '{"v":',
    "[",
    "]",
    "}",
    "1",
    "-0.5e3",
    "null",
    '"x"',
    ",",
    ":",
    "\\u0000",
    "true",
    "NaN",
    "1e999",
    '"\\ud800"',
    "\xff",
]


def hostile_json(seed: int) -> Iterator[Message]:
    rng = random.Random(seed)
    for _ in range(40):
        document = {
            "v": rng.choice([1.5, 2**70, None, "5", [1], {}]),
            "t": rng.choice([1, "2026-01-01T00:00:00Z", "x"]),
            "q": rng.choice([0, True, "BadTimeout", []]),
            "a": {"b": "x" * rng.randrange(50)},
        }
        data = json.dumps(rng.choice([document, [document, 5, document]])).encode()
        if rng.random() < 0.5:
            data = payloads.broken(data, rng)
        elif rng.random() < 0.3:
            data = "".join(rng.choices(WORDS, k=rng.randrange(20))).encode("utf-8", "surrogatepass")
        topic = rng.choice(["t", "n", "r", "raw", f"other/{rng.randrange(10**9)}"])
        yield Message(f"o{rng.randrange(10**9)}", topic, data, T0_NS, rng.random() < 0.1)


def mapped() -> Payload:
    return bound(
        point(1, topic="t", value="/v"),
        point(2, T, topic="t", value="/a/b"),
        point(3, N, topic="n", format="tags", name="x"),
        point(4, topic="r", format="records", value="/v"),
        point(5, B, topic="raw", encoding="text"),
        point(6, N, topic="raw", encoding="uint16"),
        json={"time": "/t", "quality": "/q"},
        formats={
            "tags": {"records": "", "key": "/k", "value": "/v", "time": "/t"},
            "records": {"records": "", "time": "/t"},
        },
    )


def run(payload: Payload, seeds: range, stream: object) -> int:
    """How many messages; each call is checked."""
    count = 0
    for seed in seeds:
        messages = list(stream(seed))  # type: ignore[operator]
        decoded = payload.decode(messages)
        count += len(messages)
        assert all(-1 <= place < len(messages) for place, _ in decoded.refused), f"seed {seed}"
        for batch in decoded.batches:
            columns = (batch.handles, batch.source_ns, batch.received_ns, batch.values, batch.quality)
            assert len({len(column) for column in columns}) == 1 and len(batch), f"seed {seed}"
        payload.tick(messages[-1].received_ns)
    return count


@pytest.mark.parametrize(("make", "stream"), [(sparkplug_host, sparkplug), (mapped, hostile_json)])
def test_hostile_streams_raise_nothing(make: object, stream: object) -> None:
    assert run(make(), range(120), stream) > 2000  # type: ignore[operator]


@pytest.mark.soak
@pytest.mark.parametrize(("make", "stream"), [(sparkplug_host, sparkplug), (mapped, hostile_json)])
def test_millions_of_hostile_messages_leave_nothing_behind(make: object, stream: object) -> None:
    payload = make()  # type: ignore[operator]
    count = run(payload, range(1_000_000, 1_004_000), stream)
    gc.collect()
    tracemalloc.start()
    try:
        run(payload, range(2_000_000, 2_002_000), stream)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    seed = 3_000_000
    while count < int(os.environ.get("HEADRACE_FUZZ", "10000000")):
        count += run(payload, range(seed, seed + 1000), stream)
        seed += 1000
    gc.collect()
    tracemalloc.start()
    try:
        run(payload, range(9_000_000, 9_002_000), stream)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after < before + 20_000_000  # what is remembered of topics comes and goes by as much
