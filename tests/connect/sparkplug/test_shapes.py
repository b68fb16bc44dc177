"""Decoding by shapes gives what protobuf gives, bit for bit, whatever comes."""

from __future__ import annotations

import os
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.connect.sparkplug import payloads
from tests.properties import examples

from headrace.connect.sparkplug.metrics import METRICS_MAX, by_protobuf
from headrace.connect.sparkplug.properties import Qualities
from headrace.connect.sparkplug.shapes import Shapes


def decoder() -> Shapes:
    """Small calls go to protobuf for speed's sake; here they do not."""
    return Shapes(bytes_min=1)


def agree(fast: Shapes, messages: list[bytes], about: object = "") -> int:
    plain = by_protobuf(messages, Qualities())
    assert plain.same_as(fast.decode(messages)), about
    return len(plain)


@pytest.mark.parametrize("sort", ["doubles", "mixed", "sparse", "named"])
def test_forty_thousand_samples_are_the_same(sort: str) -> None:
    messages = payloads.fleet(2000 if sort != "sparse" else 4000, 20, sort)
    assert agree(decoder(), messages) >= 39_000


@pytest.mark.parametrize("sort", ["doubles", "mixed", "sparse", "named"])
def test_nothing_that_is_usual_is_left_to_protobuf(sort: str) -> None:
    fast = Shapes()
    fast.decode(payloads.fleet(400, 20, sort))
    assert fast.left_messages == 0 and fast.left_metrics < 50


def test_anything_and_anything_broken_is_the_same() -> None:
    fast = decoder()
    for seed in range(250):
        agree(fast, payloads.call(seed), f"seed {seed}")


@settings(max_examples=examples(120), deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=30))
def test_arbitrary_bytes_are_the_same_and_raise_nothing(messages: list[bytes]) -> None:
    agree(decoder(), messages)


def test_a_payload_of_too_many_metrics_is_an_error_of_its_own() -> None:
    flood = b"\x12\x00" * (METRICS_MAX + 1)
    fast = decoder()
    for messages in ([flood], [flood, *payloads.fleet(30, 20, "doubles")]):
        decoded = fast.decode(messages)
        assert "metrics; 65536 are possible" in str(decoded.errors[0])
        assert agree(fast, messages) in (0, 600)


def test_what_it_remembers_is_bounded() -> None:
    fast = decoder()
    for seed in range(20):
        fast.decode(payloads.call(seed))
    tracemalloc.start()
    try:
        for seed in range(1000, 1040):
            fast.decode(payloads.call(seed))
        before, _ = tracemalloc.get_traced_memory()
        for seed in range(2000, 2080):
            fast.decode(payloads.call(seed))
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 1_000_000


@pytest.mark.soak
def test_millions_of_broken_payloads_are_the_same_and_leave_nothing_behind() -> None:
    fast, count, seed = decoder(), 0, 10_000_000
    while count < int(os.environ.get("HEADRACE_FUZZ", "10000000")):
        messages = payloads.call(seed)
        agree(fast, messages, f"seed {seed}")
        count, seed = count + len(messages), seed + 1
