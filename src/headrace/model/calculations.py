"""An expression at its place in the plant: what is worked out, and from which points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.model.expressions import Program
from headrace.model.machines import Machine


@dataclass(frozen=True, slots=True)
class Calculation:
    """`inputs`: the path of the point that each name of the program means here.

    Instances of one template share their program: the same object, so that they are worked out together. With a
    `machine`, the program gives its conditions, as bits.
    """

    program: Program
    inputs: Mapping[str, str]
    machine: Machine | None = None

    @property
    def memory_ns(self) -> int:
        """How far it looks back: to be right from a moment on it needs samples from so long before."""
        return self.program.memory_ns + (0 if self.machine is None else self.machine.memory_ns)
