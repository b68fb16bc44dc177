"""The values that stand now as batches, for new rules: points that send only changes would leave them waiting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headrace.model.batch import Batch, ValueKind
from headrace.sdk.services import LiveColumns, LiveValues


def newest(live: LiveValues, handles: Sequence[int]) -> list[Batch]:
    """One of numbers, one of text."""
    columns: LiveColumns = live.get(np.array(handles, np.uint32))
    text = np.array([isinstance(value, str) for value in columns.values], np.bool_)
    number = np.array([value is not None for value in columns.values], np.bool_) & ~text
    batches = []
    for chosen, kind in ((number, ValueKind.FLOAT64), (text, ValueKind.TEXT)):
        if chosen.any():
            values = columns.values[chosen].astype(kind.dtype)
            times = (columns.source_ns[chosen], columns.received_ns[chosen])
            batches.append(Batch.of(kind, columns.handles[chosen], times[0], values, columns.quality[chosen], times[1]))
    return batches
