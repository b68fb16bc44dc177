"""What stream functions make, as points of the plant: of the kind and unit that the function declares, below the asset.

    points as declared ─► what the functions make of them ─┬─► a path nobody has ─► Point, with its function's name
                                                            └─► declared already ─► a problem where that was written

A function's outputs below an asset that nobody declared are kept in history, and are in no tree.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from headrace.model.assets import Asset
from headrace.model.errors import Conflict
from headrace.model.plant import PlantModel
from headrace.model.points import PATH_LENGTH_MAX, Point
from headrace.registry.declared import Declared
from headrace.registry.problems import Problems
from headrace.sdk.stream import StreamFunction
from headrace.sdk.stream_points import MadePoint, made_points


def add_made(
    points: dict[str, Point],
    functions: Sequence[StreamFunction],
    assets: Mapping[str, Asset],
    declared: Mapping[str, Mapping[str, Declared]],
    problems: Problems,
) -> None:
    """Adds to `points`; what is declared already stays, and is a problem where it was declared."""
    if not functions:
        return
    for path, one in made_points(functions, points).items():
        asset = path.rpartition("/")[0]
        if path in points or path in assets:
            where = declared["point"] if path in declared["point"] else declared["asset"]
            held = where.get(path) or where[asset]
            what = "an asset" if path in assets else "declared"
            message = f"'{path}' is {what}, and stream function '{one.function}' makes a point of that path"
            problems.add(held.where, f"{message}; rename it, or retire the function")
        elif len(path) > PATH_LENGTH_MAX and asset in assets:
            message = f"point '{path[:60]}…' of stream function '{one.function}' would have more than"
            problems.add(declared["asset"][asset].where, f"{message} {PATH_LENGTH_MAX} characters")
        elif asset in assets:
            points[path] = _point(one)


def check_made(function: StreamFunction, plant: PlantModel) -> None:
    """That the plant has nothing of another kind where this one's outputs would be.

    Raises: Conflict that names the path and who has it.
    """
    others = {path: one for path, one in plant.points.items() if one.function != function.name}
    for path in made_points([function], others):
        if path in plant.assets or path in others:
            known = others.get(path)
            if known is None:
                held = "is an asset"
            elif known.function:
                held = f"is made by stream function '{known.function}'"
            else:
                held = "is declared already"
            raise Conflict(
                f"stream function '{function.name}' would make '{path}', which {held}; give the output another name"
            )


def names_made(functions: Sequence[StreamFunction]) -> Collection[str]:
    """What the last segment of their outputs can be, but for those named after their input."""
    return frozenset(name for one in functions for name in one.outputs)


def _point(one: MadePoint) -> Point:
    return Point(one.path, one.output.kind, one.output.unit or "1", function=one.function)
