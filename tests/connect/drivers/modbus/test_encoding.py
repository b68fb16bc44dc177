"""Values to registers and back: every encoding and order, bit for bit."""

from __future__ import annotations

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.connect.drivers.modbus.plant import address, binding

from headrace.connect.drivers.modbus.blocks import Round, coalesce
from headrace.connect.drivers.modbus.config import Address, Settings
from headrace.connect.drivers.modbus.encoding import encode
from headrace.connect.drivers.modbus.simulator import Banks, answer
from headrace.model import quality as q
from headrace.model.batch import ValueKind
from headrace.model.errors import DataError
from headrace.sdk.driver import PointBinding

ORDERS = ["ABCD", "CDAB", "BADC", "DCBA"]
WHOLE = {f"{sign}int{bits}": (0 if sign else -(2 ** (bits - 1))) for sign in ("", "u") for bits in (16, 32, 64)}


def whole_numbers(encoding: str) -> st.SearchStrategy[int]:
    bits = int(encoding[-2:])
    low, high = (0, 2**bits - 1) if encoding.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    return st.integers(low, min(high, 2**63 - 1))


@st.composite
def held(draw: st.DrawFn) -> tuple[dict[str, Any], ValueKind, Any]:
    """(address without a place, kind, value) of any encoding."""
    order = draw(st.sampled_from(ORDERS))
    encoding = draw(st.sampled_from([*WHOLE, "float32", "float64", "bool", "bit", "text"]))
    if encoding in WHOLE:
        return {"encoding": encoding, "order": order}, ValueKind.INT64, draw(whole_numbers(encoding))
    if encoding == "bool":
        return {"encoding": "bool", "order": order}, ValueKind.BOOL, draw(st.booleans())
    if encoding == "bit":
        return {"bit": draw(st.integers(0, 15)), "order": order}, ValueKind.BOOL, draw(st.booleans())
    if encoding == "text":
        text = draw(st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=8))
        swapped = "BADC" if order in ("BADC", "DCBA") else "ABCD"
        return {"encoding": "text", "length": 16, "order": swapped}, ValueKind.TEXT, text
    width = int(encoding[-2:])
    value = draw(st.floats(allow_nan=False, allow_infinity=False, width=32 if width == 32 else 64))
    return {"encoding": encoding, "order": order}, ValueKind.FLOAT64, value


def read_all(banks: Banks, points: list[PointBinding], **settings: Any) -> dict[int, tuple[Any, int]]:
    """What a read of these points gives, without a socket."""
    blocks = coalesce(points, Settings(host="x", **settings))
    payloads = [answer(block.request.pdu, banks)[2:] for block in blocks]
    return {
        handle: (value, quality)
        for batch in Round(blocks).batches(payloads, 1)
        for handle, value, quality in zip(
            batch.handles.tolist(), batch.values.tolist(), batch.quality.tolist(), strict=True
        )
    }


@given(st.lists(held(), min_size=1, max_size=30), st.integers(0, 9), st.integers(1, 125), st.integers(0, 30))
def test_what_is_encoded_is_decoded_whatever_lies_beside_it(
    many: list[tuple[dict[str, Any], ValueKind, Any]], gap: int, max_batch: int, max_gap: int
) -> None:
    banks, points, wanted, at = Banks(size=3000), [], {}, 0
    for handle, (where, kind, value) in enumerate(many):
        place = address("holding", at, **where)
        banks.put(place, value)
        points.append(binding(handle, kind, place))
        wanted[handle] = (value, q.GOOD)
        at += place.width + gap
    got = read_all(banks, points, max_batch=max_batch, max_gap=max_gap)
    assert got == wanted
    for handle, (value, _) in got.items():
        if isinstance(value, float):
            assert math.copysign(1, value) == math.copysign(1, wanted[handle][0])


@given(st.sets(st.integers(0, 2999), min_size=1, max_size=60), st.integers(0, 20), st.integers(1, 125))
def test_bits_of_coils_are_found(addresses: set[int], max_gap: int, max_batch: int) -> None:
    rng = np.random.default_rng(len(addresses))
    banks = Banks(size=3000)
    banks.coil[:] = rng.integers(0, 2, 3000).astype(bool)
    points = [binding(at, ValueKind.BOOL, address("coil", at)) for at in addresses]
    got = read_all(banks, points, max_batch=max_batch, max_gap=max_gap)
    assert got == {at: (bool(banks.coil[at]), q.GOOD) for at in addresses}


@pytest.mark.parametrize(("order", "wire"), [("ABCD", "41 48 0f db"), ("CDAB", "0f db 41 48")])
def test_orders_are_what_their_letters_say(order: str, wire: str) -> None:
    value = struct.unpack(">f", bytes.fromhex("41480fdb"))[0]
    assert encode(address("holding", 0, "float32", order=order), value) == bytes.fromhex(wire)
    swapped = {"ABCD": "BADC", "CDAB": "DCBA"}[order]
    pairs = bytes.fromhex(wire)
    assert encode(address("holding", 0, "float32", order=swapped), value) == bytes(
        [pairs[1], pairs[0], pairs[3], pairs[2]]
    )


@given(st.binary(min_size=8, max_size=8), st.sampled_from(["float32", "float64"]))
def test_floats_keep_every_bit_nan_included(data: bytes, encoding: str) -> None:
    banks = Banks(size=4)
    banks.holding[:] = np.frombuffer(data, ">u2")
    [(value, _)] = read_all(banks, [binding(0, ValueKind.FLOAT64, address("holding", 0, encoding))]).values()
    wanted = struct.unpack(">f" if encoding == "float32" else ">d", data[: 4 if encoding == "float32" else 8])[0]
    assert value == wanted or (math.isnan(value) and math.isnan(wanted))


@given(st.integers(-32768, 32767), st.sampled_from([0.1, 0.01, 2.0, -0.5]), st.sampled_from([0.0, -40.0, 1000.0]))
def test_scale_and_offset_give_floats_and_write_back_the_same_register(raw: int, scale: float, offset: float) -> None:
    place = address("holding", 0, "int16", scale=scale, offset=offset)
    banks = Banks(size=1)
    banks.holding[0] = raw & 0xFFFF
    [(value, _)] = read_all(banks, [binding(0, ValueKind.FLOAT64, place)]).values()
    assert isinstance(value, float) and value == raw * scale + offset
    assert encode(place, value) == struct.pack(">h", raw)


def test_what_no_int64_can_hold_is_bad_and_broken_text_is_bad() -> None:
    banks = Banks(size=8)
    banks.holding[:] = 0xFFFF
    points = [
        binding(0, ValueKind.INT64, address("holding", 0, "uint64")),
        binding(1, ValueKind.TEXT, address("holding", 4, "text", length=2)),
        binding(2, ValueKind.INT64, address("holding", 0, "uint32")),
    ]
    got = read_all(banks, points)
    assert got[0] == (2**63 - 1, q.BAD_OUT_OF_RANGE)
    assert got[1][1] == q.BAD_DECODING_ERROR
    assert got[2] == (2**32 - 1, q.GOOD)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ({"encoding": "int16"}, 32768),
        ({"encoding": "uint16"}, -1),
        ({"encoding": "uint16"}, 1.5),
        ({"encoding": "int16", "scale": 0.1}, 4000.0),
        ({"encoding": "float32"}, 1e39),
        ({"encoding": "float64"}, math.nan),
        ({"encoding": "float64"}, math.inf),
        ({"encoding": "float32"}, "1"),
        ({"encoding": "uint16"}, True),
        ({"encoding": "bool"}, 1),
        ({"encoding": "text", "length": 2}, "水水"),
        ({"encoding": "text", "length": 2}, "a\0b"),
        ({"encoding": "text", "length": 2}, 5),
    ],
)
def test_values_that_do_not_fit_are_data_errors(where: dict[str, Any], value: Any) -> None:
    with pytest.raises(DataError):
        encode(Address.model_validate({"table": "holding", "address": 0, **where}), value)
