"""Production orders and their operations, as far as figures need them.

A *job* is one operation of one order at one unit. Jobs have numbers, dense from 0; facts and cells name them so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from headrace.model.errors import DataError

NO_JOB: Final = -1


@dataclass(frozen=True, slots=True)
class Job:
    """`pri_ns`: planned run time per item, 0 where it is not known and the unit's own counts. `quantity` is planned, as
    is `scrap` of it. `first`: the order's first operation (KPI 18). Raises: DataError.
    """

    order: str
    operation: str = ""
    product: str = ""
    pri_ns: float = 0.0
    quantity: float = 0.0
    scrap: float = 0.0
    first: bool = True

    def __post_init__(self) -> None:
        if not self.order:
            raise DataError("an order has no number; give the one that is on its papers")
        if not (self.pri_ns >= 0 and self.quantity >= 0 and 0 <= self.scrap < float("inf")):
            raise DataError(f"order {self.order}: times and quantities must not be negative")


@dataclass(frozen=True, slots=True)
class JobColumns:
    """By job number, with a last row for no job. Shape: (jobs + 1,) each.

    `scrap_share`: planned scrap of a planned piece. So PSQ follows what was made: half an order has half the scrap.
    """

    pri_ns: NDArray[np.float64]
    scrap_share: NDArray[np.float64]
    first: NDArray[np.bool_]

    @classmethod
    def of(cls, jobs: Sequence[Job]) -> JobColumns:
        shares = [job.scrap / job.quantity if job.quantity else 0.0 for job in jobs]
        return cls(
            np.array([*(job.pri_ns for job in jobs), 0.0]),
            np.array([*shares, 0.0]),
            np.array([*(job.first for job in jobs), False], np.bool_),
        )
