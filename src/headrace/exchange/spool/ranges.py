"""Which sequence numbers the hub still lacks: a few closed spans, in order."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator


class Ranges:
    """Immutable. Iterates over `(first, last)`, both inclusive, in order; neighbours are joined."""

    __slots__ = ("_lasts", "_spans")

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        joined: list[tuple[int, int]] = []
        for first, last in sorted(span for span in spans if span[0] <= span[1]):
            if joined and first <= joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
            else:
                joined.append((first, last))
        self._spans = tuple(joined)
        self._lasts = [last for _, last in joined]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(self._spans)

    def __len__(self) -> int:
        """How many spans, not how many numbers."""
        return len(self._spans)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ranges) and self._spans == other._spans

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Ranges({list(self._spans)})"

    @property
    def numbers(self) -> int:
        return sum(last - first + 1 for first, last in self._spans)

    def next_from(self, number: int) -> int | None:
        """The least number that is in it and not below `number`."""
        at = bisect_left(self._lasts, number)
        return max(number, self._spans[at][0]) if at < len(self._spans) else None

    def touches(self, first: int, last: int) -> bool:
        found = self.next_from(first)
        return found is not None and found <= last

    def within(self, first: int, last: int) -> Ranges:
        return Ranges((max(a, first), min(b, last)) for a, b in self._spans if b >= first and a <= last)

    def after(self, number: int) -> Ranges:
        """Without everything up to `number`."""
        return Ranges((max(a, number + 1), b) for a, b in self._spans if b > number)

    def joined(self, first: int, last: int) -> Ranges:
        return Ranges((*self._spans, (first, last)))
