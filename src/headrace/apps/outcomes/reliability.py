"""MTBF and MTTR, by both definitions in use, labelled; and the two rates of failure.

| label | MTBF | MTTR |
|---|---|---|
| per failure | operating time / failures | repair time / failures |
| ISO 22400-2 | operating time / (failures + 1) | repair time / (failures + 1) |

ISO 22400-2:2014 counts intervals between failures, one more than there are failures; maintenance counts failures. With
few failures they differ much, so no figure stands without its label.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reliability:
    """Hours; None where there was no failure, or no time."""

    failures: float
    operating_h: float
    repair_h: float
    planned_busy_h: float | None = None

    @property
    def mtbf_per_failure_h(self) -> float | None:
        return self.operating_h / self.failures if self.failures > 0 else None

    @property
    def mtbf_iso_22400_h(self) -> float:
        return self.operating_h / (self.failures + 1.0)

    @property
    def mttr_per_failure_h(self) -> float | None:
        return self.repair_h / self.failures if self.failures > 0 else None

    @property
    def mttr_iso_22400_h(self) -> float:
        return self.repair_h / (self.failures + 1.0)

    @property
    def downtime_rate(self) -> float | None:
        """Failure downtime over planned busy time; where that is not known, over operating and repair time."""
        busy_h = self.operating_h + self.repair_h if self.planned_busy_h is None else self.planned_busy_h
        return self.repair_h / busy_h if busy_h > 0 else None

    @property
    def failures_per_1000_h(self) -> float | None:
        return 1000.0 * self.failures / self.operating_h if self.operating_h > 0 else None
