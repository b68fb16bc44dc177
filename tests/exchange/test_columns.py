"""Blocks: every batch comes back bit for bit, and bytes of strangers are an error or a batch, never more than that."""

import os
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.properties import drawn_seed

from headrace.exchange import columns
from headrace.model.batch import Batch, ValueKind
from headrace.model.errors import DataError

T_NS = 1_780_000_000_000_000_000
int64s = st.integers(-(2**63), 2**63 - 1)
VALUES = {
    ValueKind.FLOAT64: st.one_of(
        st.floats(), st.floats(width=32), st.integers(-9999, 9999).map(lambda n: n / 100), st.just(-0.0)
    ),
    ValueKind.INT64: st.one_of(int64s, st.integers(0, 3)),
    ValueKind.BOOL: st.booleans(),
    ValueKind.TEXT: st.text(max_size=20),
}
TIMES = st.one_of(int64s, st.integers(0, 3).map(lambda n: T_NS + n * 1_000_000), st.integers(T_NS, T_NS + 10**9))


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    kind = draw(st.sampled_from(list(ValueKind)))
    count = draw(st.integers(1, 40))

    def column(elements: st.SearchStrategy[object]) -> list[object]:
        if draw(st.booleans()):
            return [draw(elements)] * count
        return draw(st.lists(elements, min_size=count, max_size=count))

    handles = column(st.integers(0, 2**32 - 1)) if draw(st.booleans()) else list(range(count))
    source, received = column(TIMES), column(TIMES)
    return Batch.of(kind, handles, source, np.array(column(VALUES[kind]), kind.dtype),
                    column(st.integers(0, 2**32 - 1)), received)  # fmt: skip


@given(st.lists(batches(), max_size=4))
@settings(deadline=None)
def test_what_is_packed_comes_back_bit_for_bit(sent: list[Batch]) -> None:
    got = columns.unpack(*columns.pack(sent))
    assert len(got) == len(sent)
    assert all(one.same_as(other) for one, other in zip(got, sent, strict=True))


@given(st.binary(max_size=300))
def test_strange_bytes_are_an_error(data: bytes) -> None:
    for form in (columns.PLAIN, columns.ZSTD):
        try:
            columns.unpack(form, data)
        except DataError:
            pass


def damaged(rng: random.Random, block: bytes) -> bytes:
    data = bytearray(block)
    for _ in range(rng.randrange(1, 4)):
        match rng.randrange(3):
            case 0:
                data[rng.randrange(len(data))] = rng.randrange(256)
            case 1:
                del data[rng.randrange(len(data)) :]
                data += b"\x00"
            case 2:
                at = rng.randrange(len(data))
                data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
    return bytes(data)


def examples() -> list[bytes]:
    n = np.arange(60)
    return [
        columns.encode(
            [Batch.of(ValueKind.FLOAT64, n % 20, T_NS + n // 20, np.round(n / 7, 1), 0, T_NS + n // 20 + 5)]
        ),
        columns.encode([Batch.of(ValueKind.FLOAT64, n, T_NS + n * n, n / 7), Batch.of(ValueKind.BOOL, n, 0, n > 3)]),
        columns.encode([Batch.of(ValueKind.TEXT, n, T_NS, np.array([f"text {i}" for i in n], ValueKind.TEXT.dtype))]),
        columns.encode([Batch.of(ValueKind.INT64, 7, T_NS, 1 << 60), Batch.of(ValueKind.INT64, n, n, n % 3)]),
    ]


def fuzz(rounds: int) -> None:
    seed = drawn_seed()
    rng, blocks = random.Random(seed), examples()
    for _ in range(rounds):
        data = damaged(rng, rng.choice(blocks))
        try:
            decoded = columns.decode(data)
        except DataError:
            continue
        assert sum(map(len, decoded)) <= columns.SAMPLES_MAX


def test_damaged_blocks_are_an_error_or_batches() -> None:
    fuzz(3_000)


@pytest.mark.soak
def test_millions_of_damaged_blocks() -> None:
    fuzz(int(os.environ.get("HEADRACE_FUZZ", "5000000")))


def test_a_block_that_claims_too_much_is_refused_before_anything_is_made() -> None:
    head = columns._HEAD.pack(ValueKind.FLOAT64, 2**32 - 1)
    with pytest.raises(DataError, match="claims 4294967295 samples"):
        columns.decode(head + bytes(100))
    import zstandard

    bomb = zstandard.ZstdCompressor(level=19).compress(bytes(columns.BLOCK_BYTES_MAX + 1))
    assert len(bomb) < 1000
    with pytest.raises(DataError, match="more bytes than it may have"):
        columns.unpack(columns.ZSTD, bomb)
    with pytest.raises(DataError, match="split the batches first"):
        columns.encode([Batch.of(ValueKind.BOOL, np.zeros(columns.SAMPLES_MAX + 1, np.uint32), 0, True)])


@pytest.mark.parametrize("decimals, bytes_max", [(1, 2.0), (3, 3.0), (None, 8.0)])
def test_a_thousand_samples_of_a_plant_are_small(decimals: int | None, bytes_max: float) -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(60, 15, 1000)
    values = values if decimals is None else np.round(values, decimals)
    _, block = columns.pack([Batch.of(ValueKind.FLOAT64, np.arange(1000), T_NS, values, 0, T_NS + 1_234_567)])
    assert len(block) / 1000 <= bytes_max
