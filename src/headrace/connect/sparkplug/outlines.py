"""Where the metrics of each payload are: timestamp, metrics, seq, in that order, and nothing else.

many payloads ──► walked in step: the k-th metric of all of them at once
few, or the long ones that are left ──► walked one by one
what is not so plain ──► `odd`: protobuf reads it
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.connect.sparkplug.metrics import METRICS_MAX, NO_SEQUENCE, SEQUENCE_MAX

Bytes = NDArray[np.uint8]
Places = NDArray[np.int64]
#: A step costs a few NumPy calls, as much as walking this many payloads one metric further.
_TOGETHER_MIN: Final = 16
_METRIC, _SENT, _SEQ = 0x12, 0x08, 0x18
_PADDING: Final = bytes(16)


def windows(data: Bytes, size: int) -> Bytes:
    """A view: `size` bytes from each place on. Shape: (places, size)."""
    return np.ndarray((len(data) - size + 1, size), np.uint8, data.data, strides=(1, 1))


class Outlines:
    """By message: `seq`, `sent`, `has_sent`, `count` (0 for odd ones); starts and sizes of all metrics from `rows`.

    `joined` is all payloads and some padding, `base` where each begins.
    """

    def __init__(self, payloads: Sequence[bytes]) -> None:
        number = len(payloads)
        lengths = np.fromiter(map(len, payloads), np.int64, number)
        self.joined = b"".join(payloads) + _PADDING
        self.data = np.frombuffer(self.joined, np.uint8)
        ends = np.cumsum(lengths)
        self.base = ends - lengths
        self.seq = np.full(number, NO_SEQUENCE, np.int64)
        self.sent = np.zeros(number, np.uint64)
        self.has_sent = np.zeros(number, np.bool_)
        self.count = np.zeros(number, np.int64)
        self.odd: list[int] = []
        self._steps: list[tuple[Places, Places, Places]] = []  # messages, starts, sizes of their k-th metrics
        self._alone: list[tuple[int, list[int], list[int]]] = []
        left = self._together(ends) if number >= _TOGETHER_MIN else range(number)
        for at in left:
            self._walk(at, int(self.base[at]), int(ends[at]))

    def rows(self, odd_counts: Sequence[int]) -> tuple[Places, Places, Places]:
        """First row of each message, and starts and sizes by row, zero for odd messages."""
        self.count[self.odd] = odd_counts
        first = np.concatenate(([0], np.cumsum(self.count)))
        starts, sizes = np.zeros(int(first[-1]), np.int64), np.zeros(int(first[-1]), np.int64)
        for step, (messages, step_starts, step_sizes) in enumerate(self._steps):
            rows = first[messages] + step
            starts[rows], sizes[rows] = step_starts, step_sizes
        for at, own_starts, own_sizes in self._alone:
            begin = int(first[at])
            starts[begin : begin + len(own_starts)] = own_starts
            sizes[begin : begin + len(own_sizes)] = own_sizes
        return first, starts, sizes

    # --- in step --------------------------------------------------------------------------------------------------

    def _together(self, ends: Places) -> list[int]:
        """Walk all; gives back those to be walked alone."""
        data, at = self.data, self.base.copy()
        has_sent = (data[at] == _SENT) & (at < ends)
        sent, width = varints(data, at + 1)
        at += np.where(has_sent, 1 + width, 0)
        active = np.flatnonzero(at < ends)
        steps: list[tuple[Places, Places, Places]] = []
        good = (width <= 9) | ~has_sent
        while True:
            active = active[data[at[active]] == _METRIC]
            if len(active) < _TOGETHER_MIN or len(steps) == METRICS_MAX:
                break
            here = at[active]
            sizes = data[here + 1].astype(np.int64)
            starts = here + 2
            wide = sizes > 0x7F
            if wide.any():
                more = data[here + 2].astype(np.int64)
                good[active[wide & ((more > 0x7F) | (more == 0))]] = False
                sizes = np.where(wide, (sizes & 0x7F) | more << 7, sizes)
                starts += wide
            after = starts + sizes
            fits = (after <= ends[active]) & good[active]
            if not fits.all():
                good[active[~fits]] = False
                active, starts, sizes, after = active[fits], starts[fits], sizes[fits], after[fits]
            steps.append((active, starts, sizes))
            at[active] = after
            active = active[after < ends[active]]
        unfinished = np.zeros(len(ends), np.bool_)
        unfinished[active] = True
        has_seq = good & ~unfinished & (at < ends)
        has_seq[has_seq] = data[at[has_seq]] == _SEQ
        seq, width = varints(data, np.minimum(at + 1, len(data) - 11))
        at += np.where(has_seq & (width <= 9), 1 + width, 0)
        good &= (at == ends) & ~unfinished
        self._steps = [
            (messages[kept], starts[kept], sizes[kept])
            for messages, starts, sizes in steps
            for kept in [good[messages]]
        ]
        for messages, _, _ in self._steps:
            self.count[messages] += 1
        self.has_sent[good] = has_sent[good]
        self.sent[good] = np.where(has_sent, sent, np.uint64(0))[good]
        known = np.where(has_seq, np.minimum(seq, np.uint64(SEQUENCE_MAX + 1)).astype(np.int64), NO_SEQUENCE)
        self.seq[good] = known[good]
        left: list[int] = np.flatnonzero(~good).tolist()
        return left

    # --- one by one -----------------------------------------------------------------------------------------------

    def _walk(self, message: int, at: int, end: int) -> None:
        data = self.joined
        starts: list[int] = []
        sizes: list[int] = []
        sent = seq = None
        if at < end and data[at] == _SENT:
            sent, at = _varint(data, at + 1)
        while at < end and data[at] == _METRIC:
            size = data[at + 1]
            at += 2
            if size > 0x7F:
                more = data[at]
                if not 0 < more <= 0x7F:
                    break
                size = size & 0x7F | more << 7
                at += 1
            starts.append(at)
            sizes.append(size)
            at += size
        if at < end and data[at] == _SEQ:
            seq, at = _varint(data, at + 1)
        if at != end or len(starts) > METRICS_MAX:
            self.odd.append(message)
            return
        if sent is not None:
            self.sent[message], self.has_sent[message] = sent, True
        if seq is not None:
            self.seq[message] = min(seq, SEQUENCE_MAX + 1)
        self.count[message] = len(starts)
        self._alone.append((message, starts, sizes))


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Value and where it ends; a place that no payload ends at for one of more than nine bytes."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 56:
            return 0, len(data) + 1


def varints(data: Bytes, at: Places) -> tuple[NDArray[np.uint64], Places]:
    """The varints from each place on, and their widths; a width of 10 means that it is longer than nine bytes."""
    value = np.zeros(len(at), np.uint64)
    width = np.full(len(at), 10, np.int64)
    going = np.ones(len(at), np.bool_)
    for step in range(9):
        byte = data[at + step]
        value |= np.where(going, byte & np.uint8(0x7F), np.uint8(0)).astype(np.uint64) << np.uint64(7 * step)
        ends = going & (byte < 0x80)
        width[ends] = step + 1
        going &= ~ends
        if not going.any():
            break
    return value, width
