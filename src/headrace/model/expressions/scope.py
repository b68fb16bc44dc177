"""What names an expression may use: points relative to the asset that it belongs to, or anywhere in the plant.

oil.temperature                     of this asset
`../press-2/oil.temperature`        of its sibling
`/acme/suzhou/boiler/steam.flow`    from the top
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headrace.model.batch import ValueKind
from headrace.model.errors import DataError
from headrace.model.points import Point, check_path


@dataclass(frozen=True, slots=True)
class Variable:
    """What is known of a name before it has a value. `unit` is a UCUM code; text and bool have none."""

    kind: ValueKind
    unit: str = "1"


Scope = Mapping[str, Variable]
"""Names as an expression writes them. A mapping of few names is one; `AssetScope` is one over a whole plant."""


class AssetScope(Mapping[str, Variable]):
    """Names as they are written at `asset`; iterates over the asset's own. Whoever makes it decides what is seen."""

    def __init__(self, points: Mapping[str, Point], asset: str) -> None:
        self._points, self._asset = points, asset

    def path(self, name: str) -> str:
        """The path of the point that a name means here, whether there is one or not. Raises: KeyError, DataError."""
        if name.startswith("/"):
            return check_path(name[1:])
        segments = self._asset.split("/") if self._asset else []
        parts = name.split("/")
        while parts and parts[0] == "..":
            if not segments:
                raise KeyError(name)
            segments.pop()
            parts.pop(0)
        return check_path("/".join([*segments, *parts]))

    def __getitem__(self, name: str) -> Variable:
        """Raises: KeyError for no point, DataError for what is no name of one."""
        point = self._points[self.path(name)]
        return Variable(point.kind, point.unit)

    def __contains__(self, name: object) -> bool:
        try:
            return isinstance(name, str) and self.path(name) in self._points
        except (KeyError, DataError):
            return False

    def __iter__(self) -> Iterator[str]:
        start = f"{self._asset}/" if self._asset else ""
        return (path[len(start) :] for path in self._points if path.startswith(start) and "/" not in path[len(start) :])

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def beside(self, name: str) -> Iterator[str]:
        """Names of points of the asset that `name` means, written as `name` is: what it might have been."""
        above = name.rpartition("/")[0]
        try:
            start = self.path(f"{above}/x" if above or name.startswith("/") else "x").rpartition("/")[0]
        except (KeyError, DataError):
            return
        start = f"{start}/" if start else ""
        for path in self._points:
            if path.startswith(start) and "/" not in path[len(start) :]:
                yield f"{above}/{path[len(start) :]}" if above or name.startswith("/") else path[len(start) :]
