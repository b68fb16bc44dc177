"""Hours of people for KPI 1: attendance (APAT) and work at units (APWT).

A person who tends several units at once works once: at each moment the time is split evenly among these units, so the
work of a person never exceeds the time that has passed. Source: ISO 22400-2:2014 §6, worker efficiency.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Spans:
    """From when to when a person was at a unit, or attended (unit −1). Shape: (spans,) each; ns, half-open."""

    person: NDArray[np.int64]
    unit: NDArray[np.int64]
    start_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]


def work_ns(spans: Spans, start_ns: int, end_ns: int) -> dict[int, float]:
    """APWT by unit within [start, end). The same person at the same unit twice at once counts once."""
    found: dict[int, float] = {}
    first, last = np.maximum(spans.start_ns, start_ns), np.minimum(spans.end_ns, end_ns)
    for person in np.unique(spans.person):
        mine = (spans.person == person) & (last > first)
        units, starts, ends = spans.unit[mine], first[mine], last[mine]
        edges = np.unique(np.concatenate([starts, ends]))
        for left, right in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            at = np.unique(units[(starts <= left) & (ends >= right)]).tolist()
            for unit in at:
                found[unit] = found.get(unit, 0.0) + (right - left) / len(at)
    return found


def attendance_ns(spans: Spans, start_ns: int, end_ns: int) -> int:
    """APAT within [start, end): a person who is twice on the list is there once."""
    everywhere = Spans(spans.person, np.zeros_like(spans.unit), spans.start_ns, spans.end_ns)
    return round(sum(work_ns(everywhere, start_ns, end_ns).values()))
