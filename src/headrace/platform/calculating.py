"""The bus on which samples pass calculated points on their way to everybody.

publish ─► everybody          what these samples make ─► everybody, history first of all
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from headrace.exchange.local import LocalBus
from headrace.model.batch import Batch

Calculate = Callable[[Sequence[Batch]], Sequence[Batch]]


def _nothing(_batches: Sequence[Batch]) -> Sequence[Batch]:
    return ()


class CalculatingBus(LocalBus):
    """`calculate` is set once who calculates is there. A result never comes before the samples that it is made of."""

    def __init__(self) -> None:
        super().__init__()
        self.calculate: Calculate = _nothing

    async def publish(self, batches: Sequence[Batch], *, stored: bool = False) -> None:
        made = self.calculate(batches)
        if not made:
            await super().publish(batches, stored=stored)
        elif stored:  # the samples are in history already, what they make is not
            await super().publish(batches, stored=True)
            await super().publish(made)
        else:
            await super().publish([*batches, *made])

    async def publish_results(self, batches: Sequence[Batch]) -> None:
        """What was calculated: nothing is made of it again."""
        await super().publish(batches)
