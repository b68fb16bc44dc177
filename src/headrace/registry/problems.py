"""Everything wrong with a set of declarations, found in one pass: where it is, what it is, what was probably meant."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from headrace.model.errors import ConfigError

PROBLEMS_MAX: Final = 200
"""Beyond this nobody reads on; the rest is counted."""

_CANDIDATES_MAX: Final = 2_000


class Where(NamedTuple):
    """A place in a declaration file; `line` and `column` count from 1, 0 is unknown."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


class Problems:
    """Collects `ConfigError`s, each once."""

    def __init__(self) -> None:
        self._errors: dict[tuple[Where, str], ConfigError] = {}
        self._places: set[Where] = set()
        self._more = 0

    def __bool__(self) -> bool:
        return bool(self._errors)

    def __len__(self) -> int:
        return len(self._errors) + self._more

    def add(self, where: Where, message: str, *, once: bool = False) -> None:
        """Note a problem. With `once`, only the first at its place: a template is wrong for each of its assets."""
        if (where, message) in self._errors or (once and where.line and where in self._places):
            return
        if len(self._errors) >= PROBLEMS_MAX:
            self._more += 1
            return
        self._places.add(where)
        self._errors[where, message] = ConfigError(
            message, file=where.file, line=where.line or None, column=where.column or None
        )

    def errors(self) -> list[ConfigError]:
        """By file, line and column."""
        placed = [self._errors[key] for key in sorted(self._errors)]
        more = [ConfigError(f"and {self._more} more problems; mend these first")] if self._more else []
        return placed + more


def nearest(wrong: str, valid: Collection[str]) -> str | None:
    """The valid name most like a wrong one, or None where nothing is alike."""
    candidates: Iterable[str] = valid
    if len(valid) > _CANDIDATES_MAX:  # comparing texts is quadratic: look among siblings and namesakes first
        head, _, tail = wrong.rpartition("/")
        alike = [name for name in valid if (head and name.startswith(head)) or name.endswith(tail)]
        candidates = alike[:_CANDIDATES_MAX]
    folded = {name.casefold(): name for name in candidates}
    found = difflib.get_close_matches(wrong.casefold(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def did_you_mean(wrong: str, valid: Collection[str]) -> str:
    """`; did you mean 'x'?`, or `; use a, b or c` where nothing is alike and the list is short, else nothing."""
    match = nearest(wrong, valid)
    if match is not None:
        return f"; did you mean '{match}'?"
    return f"; use {listed(valid)}" if 0 < len(valid) <= 12 else ""


def listed(names: Iterable[str], word: str = "or") -> str:
    """`a`, `a or b`, `a, b or c`."""
    items = list(names)
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {word} {items[-1]}"
