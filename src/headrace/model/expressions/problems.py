"""What is wrong with an expression, where, and what to do. Also the bounds that every expression keeps."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Final

from headrace.model.errors import DataError
from headrace.model.time import DAY_NS

LENGTH_MAX: Final = 4_000
"""Characters."""
DEPTH_MAX: Final = 60
"""Brackets and functions within each other."""
NODES_MAX: Final = 500
"""Values, points, operators and functions."""
POINTS_MAX: Final = 100
SPAN_MAX_NS: Final = 31 * DAY_NS
"""The longest look back, windows within windows added up."""


class ExpressionError(DataError):
    """`text[start:end]` is where; `also` are other places that belong to it, such as the other side of a `+`."""

    def __init__(self, message: str, start: int, end: int, *, also: tuple[tuple[int, int], ...] = ()) -> None:
        super().__init__(message)
        self.start, self.end, self.also = start, end, also

    def pointed(self, text: str) -> str:
        """The text with a line below that points at the place, for terminals; one character is one column."""
        line_start = text.rfind("\n", 0, self.start) + 1
        line = text[line_start:].split("\n", 1)[0]
        length = max(1, min(self.end, line_start + len(line)) - self.start)
        return f"{line}\n{' ' * (self.start - line_start)}{'^' * length} {self.message}"


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing."""
    folded = {each.casefold(): each for each in known}
    found = difflib.get_close_matches(name[:200].casefold(), folded, n=1, cutoff=0.6)
    return f"; did you mean '{folded[found[0]]}'?" if found else ""
