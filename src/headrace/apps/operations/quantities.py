"""Counters become quantities: what was made between two samples, through resets and roll-overs.

A counter's increment belongs to the moment of the sample that shows it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headrace.apps.operations.elements import GIVEN, Quantity
from headrace.model.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Counter:
    """A point that counts. `rollover`: at which value it begins again at 0 (65536 for a word), 0 where it never does.

    `increment_max`: more between two samples is no count but a wrong reading, and is left out. `factor`: quantity of a
    count. Raises: ConfigError.
    """

    point: str
    kind: Quantity
    rollover: float = 0.0
    increment_max: float = float("inf")
    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.kind not in GIVEN:
            raise ConfigError(f"{self.kind.name} is worked out; a counter counts one of {_given()}")
        if self.rollover < 0 or self.increment_max <= 0 or self.factor <= 0:
            raise ConfigError(f"{self.point}: rollover must not be negative, increment_max and factor be positive")


def increments(counter: Counter, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each sample adds to the one before. Shape: (samples,) in, (samples − 1,) out. Units: the counter's quantity.

    A count that falls has rolled over, where it can and the step is the shorter way round; otherwise it was set to 0
    and counts since then.
    """
    step = values[1:] - values[:-1]
    fell = step < 0
    since_reset = np.maximum(values[1:], 0.0)
    if counter.rollover:
        around = step + counter.rollover
        since_reset = np.where((around >= 0) & (around <= counter.rollover / 2), around, since_reset)
    step = np.where(fell, since_reset, step)
    return np.where(step > counter.increment_max, 0.0, step * counter.factor)


def _given() -> str:
    return ", ".join(kind.name for kind in sorted(GIVEN))
