"""Areas: parts of the equipment hierarchy that somebody has a right on.

    Area(("acme/suzhou",))                          one subtree
    Area(("",), ("beta", "gamma"))                  everything but what belongs to two other tenants

A subtree is an asset and all below it: `acme/line-1` covers `acme/line-1/press-3` and not `acme/line-10`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Area:
    """Subtrees, less other subtrees. '' within is the whole plant; nothing within is nowhere."""

    within: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.within)

    def covers(self, path: str) -> bool:
        """Whether a path lies in the area; '' lies only in an area that begins at the top."""
        if not any(_below(path, root) for root in self.within):
            return False
        return not any(_below(path, root) for root in self.without)

    def touches(self, path: str) -> bool:
        """Whether some of the subtree of `path` lies in the area: so it is on the way to it, or in it."""
        if self.covers(path):
            return True
        return any(_below(root, path) and not any(_below(root, out) for out in self.without) for root in self.within)

    def meet(self, other: Area) -> Area:
        """What lies in both."""
        inner = [a for a in self.within for b in other.within if _below(a, b)]
        inner += [b for a in self.within for b in other.within if _below(b, a)]
        return area_of(inner, (*self.without, *other.without))

    def slices(self, ordered: Sequence[str]) -> list[slice]:
        """The parts of a sorted list of paths that lie in the area, in order and apart from each other."""
        holes = sorted(one for root in self.without for one in _spans(ordered, root))
        kept: list[slice] = []
        for at, end in sorted(one for root in self.within for one in _spans(ordered, root)):
            for hole_at, hole_end in holes:
                if hole_end <= at or hole_at >= end:
                    continue
                if hole_at > at:
                    kept.append(slice(at, hole_at))
                at = hole_end
            if at < end:
                kept.append(slice(at, end))
        return kept


NOWHERE: Final = Area()
EVERYWHERE: Final = Area(("",))


def area_of(within: Iterable[str], without: Iterable[str] = ()) -> Area:
    """The area of these subtrees, none of them below another; what is taken out and was never in is left out."""
    tops = _tops(within)
    return Area(tops, tuple(out for out in _tops(without) if any(_below(out, top) for top in tops)))


def _spans(ordered: Sequence[str], root: str) -> list[tuple[int, int]]:
    """Where a root and what is below it stand: two places, for `press-1` sorts between `press` and `press/`."""
    if not root:
        return [(0, len(ordered))]
    own, below = bisect_left(ordered, root), bisect_left(ordered, f"{root}/")
    spans = [(below, bisect_left(ordered, f"{root}0"))]  # '0' follows '/'
    if own < len(ordered) and ordered[own] == root:
        spans.insert(0, (own, own + 1))
    return [(at, end) for at, end in spans if at < end]


def _tops(roots: Iterable[str]) -> tuple[str, ...]:
    found: list[str] = []
    for root in sorted(set(roots), key=lambda one: (one.count("/") if one else -1, one)):
        if not any(_below(root, top) for top in found):
            found.append(root)
    return tuple(sorted(found))


def _below(path: str, root: str) -> bool:
    return not root or path == root or (path.startswith(root) and path[len(root)] == "/")
