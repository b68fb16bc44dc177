"""What a statement reads: DuckDB's own optimised plan, looked through for the scans at its bottom.

    json_serialize_plan(…, optimize := true) ─► LOGICAL_GET of `samples` or `minutes` ─► columns, filters
                                                LOGICAL_FILTER right above one        ─► more filters

A filter becomes a condition on points (SQL over the table of points, answered by DuckDB itself) and a span of time.
What is not understood narrows nothing, and DuckDB filters again whatever arrives: a plan in an unknown form costs
time, never a row. The form belongs to a version of DuckDB; `tests/history/test_sql_plan.py` fails when it changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

ALL_COLUMNS: Final[frozenset[str]] = frozenset({"*"})
FOREVER: Final = (-(2**63), 2**63 - 1)
#: Columns of a scan that a point has too, under the same name.
POINT_COLUMNS: Final = frozenset({"path", "asset", "name", "unit", "kind"})
#: Columns that hold the time, and nanoseconds in one unit of each as DuckDB keeps it.
TIME_COLUMNS: Final = {"time": 1_000, "time_ns": 1}

_COMPARISONS: Final = {
    "COMPARE_EQUAL": "=",
    "COMPARE_NOTEQUAL": "<>",
    "COMPARE_LESSTHAN": "<",
    "COMPARE_GREATERTHAN": ">",
    "COMPARE_LESSTHANOREQUALTO": "<=",
    "COMPARE_GREATERTHANOREQUALTO": ">=",
}
_MIRRORED: Final = {"=": "=", "<>": "<>", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
#: Text functions and operators of (column, constant) that are asked of the points as they are.
_FUNCTIONS: Final = {
    **{name: f"{name}({{}}, ?)" for name in ("contains", "prefix", "suffix", "starts_with", "ends_with")},
    "regexp_matches": "regexp_matches({}, ?)",
    "regexp_full_match": "regexp_full_match({}, ?)",
    "~~": "({} LIKE ?)",
    "~~*": "({} ILIKE ?)",
}


@dataclass(frozen=True, slots=True)
class Condition:
    """Which points: SQL over the table of points with its parameters; and when: `[start_ns, end_ns)`."""

    points: str = "TRUE"
    parameters: tuple[str, ...] = ()
    start_ns: int = FOREVER[0]
    end_ns: int = FOREVER[1]

    def both(self, other: Condition) -> Condition:
        return Condition(
            *_joined(self, other, "AND"), max(self.start_ns, other.start_ns), min(self.end_ns, other.end_ns)
        )

    def either(self, other: Condition) -> Condition:
        return Condition(
            *_joined(self, other, "OR"), min(self.start_ns, other.start_ns), max(self.end_ns, other.end_ns)
        )


@dataclass(frozen=True, slots=True)
class Need:
    """What a statement reads of one table."""

    columns: frozenset[str]
    condition: Condition

    def with_another(self, other: Need) -> Need:
        return Need(self.columns | other.columns, self.condition.either(other.condition))


EVERYTHING: Final = Need(ALL_COLUMNS, Condition())


def needs_of(plan: Any, tables: Mapping[str, Sequence[str]]) -> dict[str, Need]:
    """By table, the union of all its scans. `tables` names the columns of each table that matters, in order."""
    needs: dict[str, Need] = {}
    for table, need in _scans(plan, tables, ()):
        needs[table] = needs[table].with_another(need) if table in needs else need
    return needs


def _scans(node: Any, tables: Mapping[str, Sequence[str]], above: Sequence[Any]) -> Iterator[tuple[str, Need]]:
    if isinstance(node, list):
        for one in node:
            yield from _scans(one, tables, ())
    elif isinstance(node, dict):
        if node.get("type") == "LOGICAL_GET":
            table = (node.get("function_data") or {}).get("table")
            if isinstance(table, str) and table in tables:
                yield table, _need(node, tables[table], above)
        for key, value in node.items():
            filters = node.get("expressions", ()) if node.get("type") == "LOGICAL_FILTER" and key == "children" else ()
            for one in value if isinstance(value, list) else (value,):
                yield from _scans(one, tables, filters)


def _need(get: Mapping[str, Any], names: Sequence[str], above: Sequence[Any]) -> Need:
    try:
        indexes = [entry.get("index", 0) for entry in get["column_indexes"]]
        read = [names[index] if index < len(names) else "" for index in indexes]  # '' is the number of a row
        shown = [read[at] for at in get.get("projection_ids") or range(len(read))]
        by_position = bool(get.get("table_filters_by_projection"))
        filters = (get.get("table_filters") or {}).get("filters") or ()
        condition = Condition()
        for entry in filters if by_position else ():
            condition = condition.both(_filter(entry["value"], read[entry["key"]]))
        for expression in above:
            condition = condition.both(_expression(expression, lambda at: shown[at]))
    except (KeyError, IndexError, TypeError, AttributeError, ValueError):
        return EVERYTHING
    return Need(frozenset(read) - {""}, condition)


def _filter(found: Mapping[str, Any], column: str) -> Condition:
    """A filter that DuckDB gave to the scan itself."""
    kind = str(found.get("filter_type", "")).removeprefix("LEGACY_")
    if kind == "CONSTANT_COMPARISON":
        return _comparison(column, _COMPARISONS.get(found["comparison_type"]), found["constant"])
    if kind == "IN_FILTER":
        return _any(_comparison(column, "=", value) for value in found["values"])
    if kind == "OPTIONAL_FILTER":
        return _filter(found["child_filter"], column) if found.get("child_filter") else Condition()
    if kind == "CONJUNCTION_AND":
        return _all(_filter(child, column) for child in found["child_filters"])
    if kind == "CONJUNCTION_OR":
        return _any(_filter(child, column) for child in found["child_filters"])
    if kind == "EXPRESSION_FILTER":
        return _expression(found["expr"], lambda _: column)
    return Condition()


def _expression(found: Mapping[str, Any], column_at: Callable[[int], str]) -> Condition:
    """An expression over columns of the scan, which `column_at` names."""
    kind = found.get("expression_class")
    children: Sequence[Any] = found.get("children") or ()
    if kind == "BOUND_CONJUNCTION":
        parts = (_expression(child, column_at) for child in children)
        return _all(parts) if found.get("type") == "CONJUNCTION_AND" else _any(parts)
    operator = _COMPARISONS.get(str(found.get("type")))
    if operator is not None and len(children) == 2:
        left, right = children
        if _is_column(left) and _is_constant(right):
            return _comparison(column_at(left.get("index", 0)), operator, right["value"])
        if _is_constant(left) and _is_column(right):
            return _comparison(column_at(right.get("index", 0)), _MIRRORED[operator], left["value"])
    if kind == "BOUND_FUNCTION":
        name = str(found["qname"]["path"][-1])
        if name in _FUNCTIONS and len(children) == 2 and _is_column(children[0]) and _is_constant(children[1]):
            column, value = column_at(children[0].get("index", 0)), children[1]["value"]
            if column in POINT_COLUMNS and _is_text(value):
                return Condition(_FUNCTIONS[name].format(column), (value["value"],))
    return Condition()


def _comparison(column: str, operator: str | None, constant: Mapping[str, Any]) -> Condition:
    value = constant.get("value")
    if operator is None or constant.get("is_null"):
        return Condition()
    if column in POINT_COLUMNS and _is_text(constant):
        return Condition(f"({column} {operator} ?)", (str(value),))
    if column in TIME_COLUMNS and isinstance(value, int) and not isinstance(value, bool):
        if column == "time" and (constant.get("type") or {}).get("id") != "TIMESTAMP WITH TIME ZONE":
            return Condition()
        unit, (lowest, highest) = TIME_COLUMNS[column], FOREVER
        first, after = value * unit, (value + 1) * unit  # a microsecond holds a thousand source times
        start = {"=": first, ">=": first, ">": after}.get(operator, lowest)
        end = {"=": after, "<=": after, "<": first}.get(operator, highest)
        return Condition(start_ns=min(max(start, lowest), highest), end_ns=max(min(end, highest), lowest))
    return Condition()


def _joined(left: Condition, right: Condition, word: str) -> tuple[str, tuple[str, ...]]:
    if "TRUE" in (left.points, right.points):
        plain = left if left.points != "TRUE" else right
        return (plain.points, plain.parameters) if word == "AND" else ("TRUE", ())
    return f"({left.points} {word} {right.points})", (*left.parameters, *right.parameters)


def _all(conditions: Iterator[Condition]) -> Condition:
    whole = Condition()
    for condition in conditions:
        whole = whole.both(condition)
    return whole


def _any(conditions: Iterator[Condition]) -> Condition:
    whole: Condition | None = None
    for condition in conditions:
        whole = condition if whole is None else whole.either(condition)
    return whole or Condition()


def _is_column(expression: Any) -> bool:
    return isinstance(expression, Mapping) and expression.get("expression_class") == "BOUND_REF"


def _is_constant(expression: Any) -> bool:
    return isinstance(expression, Mapping) and expression.get("expression_class") == "BOUND_CONSTANT"


def _is_text(constant: Mapping[str, Any]) -> bool:
    return (constant.get("type") or {}).get("id") == "VARCHAR" and isinstance(constant.get("value"), str)
