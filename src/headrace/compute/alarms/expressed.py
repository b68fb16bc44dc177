"""Conditions that are written as expressions: to a rule they are one more point, true or false, that nobody else sees.

batches ─► Calculator ─► true or false by rule ─► the engine, beside the samples themselves
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.compute.points.calculator import Calculator
from headrace.compute.points.routes import Times
from headrace.model.alarms import AlarmRule
from headrace.model.batch import Batch, ValueKind
from headrace.model.calculations import Calculation
from headrace.model.points import Point


class Expressed:
    """`numbers`: the handles under which the engine looks for each rule's condition, all behind those of points."""

    def __init__(
        self, rules: Mapping[str, AlarmRule], handles: Mapping[str, int], before: Expressed | None = None
    ) -> None:
        self.calculations: dict[str, Calculation] = {}
        for name, rule in sorted(rules.items()):
            one = rule.calculation
            if one is not None and all(path in handles for path in one.inputs.values()):
                self.calculations[name] = one
        free = max(handles.values(), default=-1) + 1
        self.numbers = {name: free + at for at, name in enumerate(self.calculations)}
        points = {name: Point(name, ValueKind.BOOL) for name in self.calculations}
        previous = None if before is None else before.calculator
        self.handles = {**handles, **self.numbers}
        self.calculator: Calculator = Calculator(self.calculations, points, self.handles, previous)

    def take(self, batches: Sequence[Batch], moments_ns: Times | None = None) -> list[Batch]:
        """At `moments_ns` too where a condition looks at time: for the past, where nobody ticks."""
        if not self.numbers:
            return []
        return self.calculator.take(batches, moments_ns=moments_ns)

    def tick(self, now_ns: int) -> list[Batch]:
        return self.calculator.tick(now_ns) if self.numbers else []

    def late(self) -> dict[str, int]:
        """The oldest late sample of each rule since the last call."""
        found = {rule: stretch.first_ns for rule, stretch in self.calculator.late.items()}
        self.calculator.late.clear()
        return found
