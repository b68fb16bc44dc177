"""Ten million hostile lines in both dialects: what is right is taken, what is wrong is told, and nothing grows."""

from __future__ import annotations

import gc
import json
import os
import random
import tracemalloc

import pytest
from tests.connect.ingest.plant import send

from headrace.sdk.services import IngestDialect
from headrace.sdk.testing.clock import START_NS

LINES = 200
TOKENS = [
    b"acme/p3",
    b" ",
    b"oil=",
    b"1",
    b'"',
    b"\\",
    b",",
    b"=",
    b"i",
    b"t",
    b"order=",
    b"\xff",
    b"\0",
    b"1e999",
    b"-",
]
VALUES: list[object] = [1.5, 2**70, None, "5", [1, 2], {}, True, float("nan"), "\ud800", -0.0]
TIMES: list[object] = [1, START_NS, -(2**63), "2026-01-01T00:00:00Z", "x", [1, 2], None, 1.5]


def lines_of(rng: random.Random) -> bytes:
    host = "".join(rng.choices("abc é\\,= 7", k=rng.randrange(6)))
    good = f"system,host=h{rng.randrange(10**9)}{host} load={rng.random()} {START_NS}".encode()
    return rng.choice(
        [good, b'acme/p3 oil=1.5,strokes=7i,order="a b",running=t 9', b"".join(rng.choices(TOKENS, k=12))]
    )


def json_of(rng: random.Random) -> bytes:
    path = rng.choice(["acme/p3/oil", "acme/p3/order", f"nobody/{rng.randrange(10**9)}"])
    said = {"path": path, "value": rng.choice(VALUES), "time": rng.choice(TIMES), "quality": rng.choice([0, "Bad", {}])}
    return json.dumps(rng.choice([said, [said, said], [said, 5], path])).encode()


DIALECTS = {IngestDialect.LINE_PROTOCOL: lines_of, IngestDialect.JSON_LINES: json_of}


def one_body(dialect: IngestDialect, seed: int) -> None:
    rng = random.Random(seed)
    lines = [DIALECTS[dialect](rng) for _ in range(LINES)]
    for at, line in enumerate(lines):
        if line and rng.random() < 0.5:
            broken = bytearray(line)
            broken[rng.randrange(len(broken))] = rng.randrange(256)
            lines[at] = bytes(broken)
    kept, receipt = send(b"\n".join(lines), dialect, size=rng.choice([7, 100, 1 << 16]))
    assert receipt.samples == len(kept.samples) <= 20 * LINES, f"seed {seed}"
    assert all(one.message for one in receipt.details), f"seed {seed}"


@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_hostile_lines_are_refused_or_taken(dialect: IngestDialect) -> None:
    for seed in range(20):
        one_body(dialect, seed)


def memory(dialect: IngestDialect, first: int) -> int:
    """What is still held after some bodies, in bytes."""
    gc.collect()
    tracemalloc.start()
    try:
        for seed in range(first, first + 50):
            one_body(dialect, seed)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


@pytest.mark.soak
@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_millions_of_hostile_lines_leave_nothing_behind(dialect: IngestDialect) -> None:
    """Half of `HEADRACE_FUZZ` (ten million) in each dialect; the seed of a body is in its message."""
    one_body(dialect, 0)
    early = memory(dialect, 1_000_000)
    for seed in range(int(os.environ.get("HEADRACE_FUZZ", "10000000")) // 2 // LINES):
        one_body(dialect, 2_000_000 + seed)
    assert memory(dialect, 9_000_000) < early + 200_000
