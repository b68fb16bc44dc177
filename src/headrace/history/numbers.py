"""Columns of whole numbers made small, for many chunks at once; and decimals as whole numbers, bit for bit.

    steps       each element minus the one before       residuals   distance from the smallest of the chunk
    shrink      residuals in the largest unit that divides all of a chunk's
    decimals    float64 as integers at the smallest of five scales, where that gives every value back

`starts` and `sizes` say where chunks begin in a column and how long they are. Shape: (chunks,) each.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from headrace.history.pack import widths_for

OFFSETS, STEPS = 0, 1
PLAIN: Final = 255  # scale of what is no decimal: 64 bits as they are
UNITS_NS: Final = (1, 1_000, 1_000_000, 1_000_000_000)  # by unit code
SCALES: Final = (1.0, 10.0, 100.0, 1_000.0, 10_000.0)

Starts = NDArray[np.int64]
Sizes = NDArray[np.int64]


def steps_of(column: NDArray[Any], starts: Starts, sizes: Sizes) -> NDArray[Any]:
    """Differences to the element before; a chunk's first repeats its second, so that it does not count."""
    steps = np.empty_like(column)
    np.subtract(column[1:], column[:-1], out=steps[1:])
    single = sizes == 1
    steps[starts[~single]] = steps[starts[~single] + 1]
    steps[starts[single]] = 0
    return steps


def residuals_of(numbers: NDArray[Any], starts: Starts, sizes: Sizes) -> tuple[NDArray[np.uint64], NDArray[Any]]:
    """Distance of each number from the smallest of its chunk, and those smallest."""
    smallest = np.minimum.reduceat(numbers, starts)
    return (numbers - np.repeat(smallest, sizes)).astype(np.int64, copy=False).view(np.uint64), smallest


def shrink(residuals: NDArray[np.uint64], starts: Starts, sizes: Sizes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Divide residuals in place by the largest unit that fits all of a chunk; units and widths. Shape: (chunks,)."""
    largest = np.maximum.reduceat(residuals, starts)
    units = np.zeros(len(starts), np.uint8)
    for code in (3, 2, 1):
        unit = np.uint64(UNITS_NS[code])
        # The largest residual must divide, or the chunk cannot: that spares most chunks the full test.
        maybe = np.flatnonzero((units == 0) & (largest > 0) & (largest % unit == 0))
        if not len(maybe):
            continue
        chosen = np.zeros(len(starts), np.bool_)
        chosen[maybe] = True
        mask = np.repeat(chosen, sizes)
        part = residuals[mask]
        offsets = np.concatenate([[0], np.cumsum(sizes[maybe])[:-1]])
        divided = part // unit
        fits = np.logical_and.reduceat(divided * unit == part, offsets)
        if fits.any():
            taken = np.zeros(len(starts), np.bool_)
            taken[maybe[fits]] = True
            residuals[np.repeat(taken, sizes)] = divided[np.repeat(fits, sizes[maybe])]
            units[taken] = code
    return units, widths_for(np.maximum.reduceat(residuals, starts))


def encode_numbers(
    numbers: NDArray[np.int64], starts: Starts, sizes: Sizes, table: dict[str, NDArray[Any]]
) -> NDArray[np.uint64]:
    """Offsets or steps of each chunk, whichever is narrower; fills `value_*` of the table. Shape: (samples,)."""
    steps = steps_of(numbers, starts, sizes)
    by_step, smallest_step = residuals_of(steps, starts, sizes)
    by_offset, smallest = residuals_of(numbers, starts, sizes)
    step_width = widths_for(np.maximum.reduceat(by_step, starts))
    offset_width = widths_for(np.maximum.reduceat(by_offset, starts))
    # Of equal widths, the narrower spread compresses better.
    middle = np.add.reduceat(by_offset.astype(np.float64), starts) / sizes
    spread = np.add.reduceat(np.abs(by_offset - np.repeat(middle, sizes)), starts)
    travel = np.add.reduceat(np.abs(steps.astype(np.float64)), starts)
    stepped = (step_width < offset_width) | ((step_width == offset_width) & (step_width > 0) & (travel <= spread))
    table["value_form"][:] = np.where(stepped, STEPS, OFFSETS)
    table["value_first"][:] = np.where(stepped, numbers[starts], smallest)
    table["value_step"][:] = np.where(stepped, smallest_step, 0)
    table["value_width"][:] = np.where(stepped, step_width, offset_width)
    if stepped.all():
        return by_step
    if stepped.any():
        np.copyto(by_offset, by_step, where=np.repeat(stepped, sizes))
    return by_offset


def decimals(values: NDArray[np.float64], starts: Starts, sizes: Sizes) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Each chunk's values as integers at the smallest scale that gives them back bit for bit.

    −0.0, NaN and infinities never fit, and leave their chunk as 64-bit patterns (scale PLAIN).
    Shape: (samples,) int64 and (chunks,) uint8.
    """
    numbers = values.view(np.int64).copy()
    scales = np.full(len(starts), PLAIN, np.uint8)
    # Three values of each chunk tell the least scale that can do; most chunks are then tested once.
    probes = np.stack([values[starts], values[starts + sizes // 2], values[starts + sizes - 1]])
    least = np.full(len(starts), len(SCALES))
    for code in reversed(range(len(SCALES))):
        least[_round_trip(probes, SCALES[code])[1].all(axis=0)] = code
    for code, scale in enumerate(SCALES):
        maybe = np.flatnonzero((least <= code) & (scales == PLAIN))
        if not len(maybe):
            continue
        if len(maybe) == len(starts):
            mask: Any = slice(None)
        else:
            chosen = np.zeros(len(starts), np.bool_)
            chosen[maybe] = True
            mask = np.repeat(chosen, sizes)
        whole, exact = _round_trip(values[mask], scale)
        offsets = np.concatenate([[0], np.cumsum(sizes[maybe])[:-1]])
        fits = np.logical_and.reduceat(exact, offsets)
        if fits.all() and isinstance(mask, slice):
            numbers = whole
        elif fits.any():
            taken = np.zeros(len(starts), np.bool_)
            taken[maybe[fits]] = True
            numbers[np.repeat(taken, sizes)] = whole[np.repeat(fits, sizes[maybe])]
        scales[maybe[fits]] = code
    return numbers, scales


def _round_trip(values: NDArray[np.float64], scale: float) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Values as integers at a scale, and which of them decode to the same bits."""
    with np.errstate(invalid="ignore", over="ignore"):
        whole = np.rint(values * scale if scale != 1 else values).astype(np.int64)
    back = whole.astype(np.float64)
    if scale != 1:
        back /= scale
    return whole, back.view(np.int64) == values.view(np.int64)
