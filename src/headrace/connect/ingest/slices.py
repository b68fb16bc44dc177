"""The samples of one slice of a request, gathered in columns by what the wire said they are.

    parser ──add──► lanes (float, int, bool, text): handles, values, lines ──► kinds of their points ──► Batches
                                                                                   └► refused where one does not fit

A number fits a point where nothing of it is lost: 5 is a float64, 5.0 an int64, 5.5 is not, nor is 2^53 + 1 a float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.model.batch import TEXT_BYTES_MAX, TEXT_DTYPE, Batch, ValueKind
from headrace.sdk.services import IngestReceipt

INT64_MAX: Final = 2**63 - 1


@dataclass(slots=True)
class Lane:
    """Values of one type on the wire. `lines` are places in `Slice.numbers`; `quality` is empty where all are good."""

    handles: list[int] = field(default_factory=list)
    values: Any = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    quality: list[int] = field(default_factory=list)

    def add(self, handle: int, value: Any, line: int) -> None:
        self.handles.append(handle)
        self.values.append(value)
        self.lines.append(line)

    def keep(self, good: Sequence[bool] | NDArray[np.bool_]) -> None:
        """Forget the others."""
        at = np.flatnonzero(good).tolist()
        self.handles = [self.handles[row] for row in at]
        self.lines = [self.lines[row] for row in at]
        self.values = [self.values[row] for row in at]
        self.quality = [self.quality[row] for row in at] if self.quality else []


class Slice:
    """`numbers` and `times_ns` have one entry for each line that brought a sample; lanes refer to them by place."""

    def __init__(self, receipt: IngestReceipt) -> None:
        self.receipt = receipt
        self.numbers: list[int] = []
        self.times_ns: list[int] = []
        self.floats, self.ints, self.bools, self.texts = Lane(), Lane(), Lane(), Lane()

    def __len__(self) -> int:
        return sum(len(lane.handles) for lane in (self.floats, self.ints, self.bools, self.texts))

    def batches(self, kinds: NDArray[np.uint8], paths: Sequence[str] | Any, now_ns: int) -> list[Batch]:
        """One batch for each kind of point that came. `kinds` and `paths` tell of a handle what it is."""
        times = np.array(self.times_ns, np.int64)
        parts: dict[ValueKind, list[tuple[Any, Any, Any, Any]]] = {}
        for lane, kind, fit in (
            (self.floats, ValueKind.FLOAT64, _floats_to_ints),
            (self.ints, ValueKind.INT64, _ints_to_floats),
            (self.bools, ValueKind.BOOL, None),
            (self.texts, ValueKind.TEXT, None),
        ):
            if not lane.handles:
                continue
            handles, lines = np.array(lane.handles, np.uint32), np.array(lane.lines, np.int64)
            quality = np.array(lane.quality or np.zeros(len(handles)), np.uint32)
            values, wanted = np.array(lane.values, kind.dtype), kinds[handles]
            own = wanted == kind
            if own.all():
                parts.setdefault(kind, []).append((handles, lines, values, quality))
                continue
            other = ValueKind.INT64 if kind is ValueKind.FLOAT64 else ValueKind.FLOAT64
            at = np.flatnonzero(own)
            parts.setdefault(kind, []).append((handles[at], lines[at], values[at], quality[at]))
            refused = ~own
            if fit is not None:
                turned, exact = fit(values)
                at = np.flatnonzero((wanted == other) & exact)
                parts.setdefault(other, []).append((handles[at], lines[at], turned[at], quality[at]))
                refused &= ~((wanted == other) & exact)
            for row in np.flatnonzero(refused).tolist():
                declared = ValueKind(int(wanted[row])).label
                self.receipt.refuse(
                    self.numbers[lines[row]],
                    f"'{paths[int(handles[row])]}' is declared {declared}; {values[row]!s:.40} does not fit",
                )
        return [_join(kind, part, times, now_ns) for kind, part in parts.items() if any(len(one[0]) for one in part)]


def check_text(text: str) -> str | None:
    """What is wrong with a text value, or None."""
    size = len(text.encode()) if len(text) * 4 > TEXT_BYTES_MAX else 0
    return f"a text of {size} bytes; at most {TEXT_BYTES_MAX} are kept" if size > TEXT_BYTES_MAX else None


def _floats_to_ints(values: Any) -> tuple[Any, Any]:
    with np.errstate(invalid="ignore"):
        exact = (values == np.floor(values)) & (np.abs(values) < 2.0**63)
        return np.where(exact, values, 0).astype(np.int64), exact


def _ints_to_floats(values: Any) -> tuple[Any, Any]:
    turned = values.astype(np.float64)
    sure = np.abs(turned) < 2.0**63  # beyond it the way back would overflow
    return turned, sure & (np.where(sure, turned, 0).astype(np.int64) == values)


def _join(kind: ValueKind, parts: list[tuple[Any, Any, Any, Any]], times: Any, now_ns: int) -> Batch:
    handles, lines, values, quality = (np.concatenate(column) for column in zip(*parts, strict=True))
    if kind is ValueKind.TEXT:
        values = values.astype(TEXT_DTYPE)
    received = np.full(len(handles), now_ns, np.int64)
    return Batch(kind, handles, times[lines], received, values, quality)
