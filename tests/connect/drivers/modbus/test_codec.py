"""Modbus bytes: the standard's own examples, and whatever bytes hypothesis thinks of."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.connect.drivers.modbus import codec
from headrace.connect.drivers.modbus.codec import (
    Function,
    ModbusException,
    RtuFrames,
    TcpFrames,
    answer_length,
    crc16,
    payload_of,
    request_length,
    rtu_frame,
    tcp_frame,
)
from headrace.connect.drivers.modbus.simulator import Banks, answer
from headrace.model.errors import Garbled


@pytest.mark.parametrize(
    ("request_", "pdu"),
    [
        (codec.read_request(Function.READ_COILS, 0x13, 0x13), "01 00 13 00 13"),  # §6.1
        (codec.read_request(Function.READ_HOLDING_REGISTERS, 0x6B, 3), "03 00 6B 00 03"),  # §6.3
        (codec.write_coil(0xAC, True), "05 00 AC FF 00"),  # §6.5
        (codec.write_register(1, b"\x00\x03"), "06 00 01 00 03"),  # §6.6
        (codec.write_coils(0x13, [bool(0x01CD >> n & 1) for n in range(10)]), "0F 00 13 00 0A 02 CD 01"),  # §6.11
        (codec.write_registers(1, b"\x00\x0a\x01\x02"), "10 00 01 00 02 04 00 0A 01 02"),  # §6.12
        (codec.mask_write(4, 0xF2, 0x25), "16 00 04 00 F2 00 25"),  # §6.16
    ],
)
def test_requests_are_the_standards_examples(request_: codec.Request, pdu: str) -> None:
    assert request_.pdu == bytes.fromhex(pdu)


def test_the_check_sum_is_the_standards() -> None:
    assert crc16(bytes.fromhex("02 07")) == 0x1241  # Serial Line V1.02 §6.2.2
    assert rtu_frame(0, 0x11, bytes.fromhex("03 00 6B 00 03")) == bytes.fromhex("11 03 00 6B 00 03 76 87")


def test_an_answer_is_held_against_its_request() -> None:
    asked = codec.read_request(Function.READ_HOLDING_REGISTERS, 0, 2)
    assert payload_of(asked, bytes.fromhex("03 04 01 02 03 04")) == bytes.fromhex("01 02 03 04")
    with pytest.raises(ModbusException, match="illegal data address"):
        payload_of(asked, bytes.fromhex("83 02"))
    for wrong in ("", "03", "04 04 01 02 03 04", "03 02 01 02", "03 04 01 02 03", "83", "83 02 00", "84 02"):
        with pytest.raises(Garbled):
            payload_of(asked, bytes.fromhex(wrong))
    with pytest.raises(Garbled):
        payload_of(codec.write_register(1, b"\0\3"), bytes.fromhex("06 00 01 00 04"))


frame = st.tuples(st.integers(0, 65_535), st.integers(0, 255), st.binary(min_size=1, max_size=253))


@given(st.lists(frame, max_size=6), st.lists(st.integers(1, 40), max_size=30))
def test_tcp_frames_come_whole_however_the_bytes_are_cut(frames: list[tuple[int, int, bytes]], cuts: list[int]) -> None:
    data, parser, got = b"".join(tcp_frame(*each) for each in frames), TcpFrames(), []
    for cut in cuts:
        got += parser.feed(data[:cut])
        data = data[cut:]
    got += parser.feed(data)
    assert got == frames


@given(st.lists(st.tuples(st.integers(1, 247), st.integers(1, 125)), max_size=5), st.integers(1, 17))
def test_rtu_frames_come_whole_however_the_bytes_are_cut(reads: list[tuple[int, int]], step: int) -> None:
    pdus = [(unit, bytes([3, 2 * count]) + bytes(2 * count)) for unit, count in reads]
    data, parser, got = b"".join(rtu_frame(0, *each) for each in pdus), RtuFrames(answer_length), []
    for at in range(0, len(data), step):
        got += parser.feed(data[at : at + step])
    assert got == [(0, unit, pdu) for unit, pdu in pdus]


@given(st.lists(st.binary(max_size=300), max_size=8), st.sampled_from(["tcp", "answers", "requests"]))
def test_arbitrary_bytes_raise_only_garbled(chunks: list[bytes], framing: str) -> None:
    parser = {
        "tcp": TcpFrames,
        "answers": lambda: RtuFrames(answer_length),
        "requests": lambda: RtuFrames(request_length),
    }[framing]()
    asked = codec.read_request(Function.READ_INPUT_REGISTERS, 0, 3)
    try:
        for chunk in chunks:
            for _, _, pdu in parser.feed(chunk):
                payload_of(asked, pdu)
    except (Garbled, ModbusException):
        pass


@given(st.binary(min_size=1, max_size=253))
def test_the_simulator_answers_any_request(pdu: bytes) -> None:
    banks = Banks(size=400)
    said = answer(pdu, banks)
    assert said[0] & 0x7F == pdu[0] & 0x7F and len(said) <= 253
    if said[0] == pdu[0] | 0x80 and pdu[0] < 0x80:
        assert len(said) == 2


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_mask_write_is_what_the_standard_says(held: int, and_mask: int, or_mask: int) -> None:
    banks = Banks(size=1)
    banks.holding[0] = held
    answer(struct.pack(">BHHH", 22, 0, and_mask, or_mask), banks)
    assert int(banks.holding[0]) == (held & and_mask) | (or_mask & ~and_mask & 0xFFFF)


@given(st.binary(min_size=2, max_size=250).map(lambda data: bytes([3, len(data)]) + data), st.integers(0, 2**14))
def test_one_wrong_bit_in_an_rtu_frame_is_never_taken(pdu: bytes, place: int) -> None:
    sent = rtu_frame(0, 17, pdu)
    at = place % (8 * len(sent))
    broken = bytearray(sent)
    broken[at // 8] ^= 1 << at % 8
    try:
        assert RtuFrames(answer_length).feed(bytes(broken)) == []  # a longer frame is still awaited
    except Garbled:
        pass


def test_a_wrong_check_sum_is_garbled() -> None:
    sent = bytearray(rtu_frame(0, 17, bytes([3, 2, 0, 7])))
    sent[-1] ^= 1
    with pytest.raises(Garbled, match="check sum"):
        RtuFrames(answer_length).feed(bytes(sent))
