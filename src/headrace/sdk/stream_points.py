"""Which points a stream function reads, whose key each is, and which points it makes of them. Pure, and without arrays:
the engine binds by it, and the registry declares by it what comes out.

    paths ─► inputs that they are of ─► keys ─► an output each
                  ▲                                 │
                  └── what one function makes, another may read
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headrace.sdk.stream import By, Output, StreamFunction

_EVERY: Final = "*"


@dataclass(frozen=True, slots=True)
class MadePoint:
    """A point that a function makes."""

    path: str
    function: str
    output: Output


class Places:
    """Of one function."""

    def __init__(self, function: StreamFunction) -> None:
        self.function = function
        self._assets = None if function.assets == _EVERY else re.compile(fnmatch.translate(function.assets))
        self._inputs = [
            (re.compile(fnmatch.translate(one.point)) if "/" in one.point else None, one.point)
            for one in function.inputs.values()
        ]
        self.names = None if any(pattern for pattern, _ in self._inputs) else {point for _, point in self._inputs}
        """What the last segment of an input can be; None where it can be any."""

    def read(self, path: str) -> tuple[str, int] | None:
        """The key of a point, and the number of the input that it is of; None where the function does not read it."""
        asset, _, name = path.rpartition("/")
        by, outputs = self.function.by, self.function.outputs
        own = any(path.endswith(f".{one}") for one in outputs) if by is By.POINT else (
            name in outputs and (by is By.ASSET or asset == self.function.to)
        )  # fmt: skip
        if own or (self._assets is not None and not self._assets.fullmatch(asset)):
            return None
        for number, (pattern, point) in enumerate(self._inputs):
            if pattern.fullmatch(path) if pattern is not None else name == point:
                return {By.ASSET: asset, By.POINT: path, By.ALL: self.function.to}[by], number
        return None

    def output_of(self, path: str) -> str | None:
        """The output that a point of this path could be; None where the function never makes it."""
        asset, _, name = path.rpartition("/")
        function = self.function
        if function.by is By.POINT:
            return next((one for one in function.outputs if path.endswith(f".{one}")), None)
        if name not in function.outputs or (function.by is By.ALL and asset != function.to):
            return None
        inside = function.by is By.ALL or self._assets is None or self._assets.fullmatch(asset) is not None
        return name if inside else None

    def output_path(self, key: str, output: str) -> str:
        """Of an asset's point, or one beside the point that is the key."""
        if self.function.by is By.POINT:
            return f"{key}.{output}"
        return f"{self.function.to if self.function.by is By.ALL else key}/{output}"


def made_points(functions: Sequence[StreamFunction], paths: Iterable[str]) -> Mapping[str, MadePoint]:
    """What these make of these points, by path; also of what others among them make. The first to make a path has it.

    Looks at each point for each function that reads by pattern, else at points of the names that it reads alone.
    """
    found: dict[str, MadePoint] = {}
    places = [Places(one) for one in functions]
    new = list(paths)
    for _ in functions:  # each round can only come from what a function made in the one before
        by_name: dict[str, list[str]] = {}
        for path in new:
            by_name.setdefault(path.rpartition("/")[2], []).append(path)
        made: dict[str, MadePoint] = {}
        for one in places:
            near = new if one.names is None else [path for name in sorted(one.names) for path in by_name.get(name, ())]
            keys = dict.fromkeys(bound[0] for path in near if (bound := one.read(path)) is not None)
            for key in keys:
                for name, output in one.function.outputs.items():
                    path = one.output_path(key, name)
                    if path not in found:
                        made.setdefault(path, MadePoint(path, one.function.name, output))
        if not made:
            break
        found |= made
        new = list(made)
    return found
