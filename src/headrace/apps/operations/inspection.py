"""First pass yield (KPI 15) from inspections of numbered parts: each part counts once, with its first result."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def first_pass(
    serial: NDArray[np.int64], time_ns: NDArray[np.int64], good: NDArray[np.bool_], start_ns: int, end_ns: int
) -> tuple[int, int]:
    """(GP, IP) of the parts whose first inspection lies in [start, end). Shape: (inspections,) each, in any order.

    Of two at the same time the one that failed counts: a part that was not good at once did not pass.
    """
    order = np.lexsort((good, time_ns, serial))
    serial, time_ns, good = serial[order], time_ns[order], good[order]
    first = np.ones(len(serial), np.bool_)
    first[1:] = serial[1:] != serial[:-1]
    inside = first & (time_ns >= start_ns) & (time_ns < end_ns)
    return int(good[inside].sum()), int(inside.sum())
