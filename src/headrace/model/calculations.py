"""An expression at its place in the plant: what is worked out, and from which points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from headrace.model.expressions import Program


@dataclass(frozen=True, slots=True)
class Calculation:
    """`inputs`: the path of the point that each name of the program means here.

    Instances of one template share their program: the same object, so that they are worked out together.
    """

    program: Program
    inputs: Mapping[str, str]
