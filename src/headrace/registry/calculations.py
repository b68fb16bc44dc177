"""Expressions of declarations: compiled once a template, at home in each of its assets, none going round in a circle.

    points with an expression ──names, kinds, units──► Program (shared) ──► Calculation a point ──► circles out

A point's kind and unit are declared, and the expression has to fit them: so the order of declarations does not matter.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Final

from headrace.model.batch import ValueKind
from headrace.model.calculations import Calculation
from headrace.model.errors import DataError
from headrace.model.expressions import AssetScope, ExpressionError, Program, Variable, compile, names_of
from headrace.model.machines import Machine
from headrace.model.points import Point
from headrace.registry.declared import Blame
from headrace.registry.problems import Problems

_NUMERIC: Final = (ValueKind.FLOAT64, ValueKind.INT64)
_FITS: Final = {(ValueKind.INT64, ValueKind.FLOAT64)}
"""(what an expression gives, what a point may be) beside the same."""

_Sight = tuple[tuple[str, Variable | None], ...]


class Expressions:
    """Compiles texts over these points. Equal texts over equal names share one program."""

    def __init__(self, points: Mapping[str, Point], problems: Problems, failed: Collection[str] = ()) -> None:
        """`failed` are points with a problem of their own: what names them is left out without a word."""
        self._points, self._problems, self._failed = points, problems, failed
        self._names: dict[str, tuple[str, ...]] = {}
        self._programs: dict[tuple[str, str | None, _Sight], Program] = {}

    def compile(self, text: str, asset: str, unit: str | None, blame: Blame, *key: str | int) -> Calculation | None:
        """The calculation of a text at an asset; None where something is wrong, which is told at `key` of `blame`."""
        scope = AssetScope(self._points, asset)
        try:
            names = self._names.get(text)
            if names is None:
                names = self._names[text] = names_of(text)
            if any(_path(scope, name) in self._failed for name in names):
                return None
            sight = tuple((name, scope.get(name)) for name in names)
            program = self._programs.get((text, unit, sight))
            if program is None:
                program = self._programs[text, unit, sight] = compile(text, scope, unit=unit)
        except ExpressionError as error:
            part = text[error.start : error.end]
            said = f"at '{part}': {error.message}" if part and part != text else error.message
            self._problems.add(
                blame.within(*key, value=text, offset=error.start), f"{said} (expression of '{asset}')", once=True
            )
            return None
        except DataError as error:
            self._problems.add(blame.at(*key), error.message, once=True)
            return None
        return Calculation(program, {name: scope.path(name) for name in program.inputs})


def names_in(text: str) -> tuple[str, ...]:
    """The points that a text names; none where it cannot be read."""
    try:
        return names_of(text)
    except ExpressionError:
        return ()


def calculations(
    points: Mapping[str, Point], blames: Mapping[str, Blame], expressions: Expressions, problems: Problems
) -> dict[str, Calculation]:
    """Of every calculated point; those with a problem of their own are left out."""
    found: dict[str, Calculation] = {}
    for path, point in points.items():
        if point.machine is not None:
            one = _machine(point, point.machine, blames[path], expressions, problems)
            if one is not None:
                found[path] = one
        elif point.expression:
            one = expressions.compile(
                point.expression,
                point.asset_path,
                point.unit if point.kind in _NUMERIC and point.unit != "1" else None,
                blames[path],
                "expression",
            )
            if one is not None and _fits(one.program, point, blames[path], problems):
                found[path] = one
    for circle in list(_circles(found)):
        shown = " → ".join(circle)
        key = "expression" if points[circle[0]].machine is None else "machine"
        problems.add(blames[circle[0]].at(key), f"these are calculated from each other: {shown}", once=True)
        for path in circle:
            found.pop(path, None)
    return found


def _machine(
    point: Point, machine: Machine, blame: Blame, expressions: Expressions, problems: Problems
) -> Calculation | None:
    """Each condition by itself, so that what is wrong is told where it stands; then all of them as one program."""
    right = True
    for at, one in enumerate(machine.transitions):
        if one.when:
            where = ("machine", "transitions", at, "when")
            made = expressions.compile(one.when, point.asset_path, None, blame, *where)
            if made is not None and made.program.kind is not ValueKind.BOOL:
                problems.add(
                    blame.at(*where), f"a condition is true or false; this gives {made.program.kind.label}", once=True
                )
                made = None
            right = right and made is not None
    if not right:
        return None
    every = expressions.compile(machine.conditions, point.asset_path, None, blame, "machine")
    return None if every is None else Calculation(every.program, every.inputs, machine)


def _fits(program: Program, point: Point, blame: Blame, problems: Problems) -> bool:
    given, wanted = program.kind, point.kind
    if given is not wanted and (given, wanted) not in _FITS:
        said = f"the expression gives {given.label}, and the point is {wanted.label}"
        way = "use round(…) in another unit" if wanted is ValueKind.INT64 else f"write 'type: {given.label}'"
        problems.add(blame.at("expression"), f"{said}; {way}", once=True)
        return False
    if given in _NUMERIC and program.unit != point.unit:
        message = f"the expression gives {program.unit}, and the point has no unit; write 'unit: {program.unit}'"
        problems.add(blame.at("expression"), message, once=True)
        return False
    return True


def _path(scope: AssetScope, name: str) -> str | None:
    try:
        return scope.path(name)
    except (KeyError, DataError):
        return None


def _circles(found: Mapping[str, Calculation]) -> Iterator[list[str]]:
    """Each circle once, in order of its parts; by depth first, without recursion."""
    done: set[str] = set()
    for start in found:
        trail: list[str] = []
        place: dict[str, int] = {}
        stack = [(start, False)]
        while stack:
            path, leaving = stack.pop()
            if leaving:
                trail.pop()
                del place[path]
                done.add(path)
                continue
            if path in place:
                yield [*trail[place[path] :], path]
                continue
            if path in done or path not in found:
                continue
            place[path] = len(trail)
            trail.append(path)
            stack.append((path, True))
            stack.extend((one, False) for one in found[path].inputs.values())
