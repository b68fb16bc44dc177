"""What a birth tells: names, aliases and types for decoding, and all that an engineer wants to see of them.

A birth is kept as the bytes it came in and read again when points change or somebody browses: a hundred thousand
metrics are then a few megabytes, not a few hundred.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from headrace.connect.sparkplug.properties import first_of, read_properties
from headrace.connect.sparkplug.schema import KIND_OF_TYPE, DataType, Payload
from headrace.model.batch import ValueKind
from headrace.model.errors import DataError
from headrace.model.units import check_unit

BDSEQ: Final = "bdSeq"
REBIRTH: Final = "Node Control/Rebirth"

_UNIT_NAMES: Final = frozenset({"engunit", "engunits", "engineering units", "engineeringunits", "unit", "units"})
_ABOUT_NAMES: Final = frozenset({"documentation", "description", "tooltip"})
_READ_ONLY_NAMES: Final = frozenset({"readonly", "read_only"})


@dataclass(frozen=True, slots=True)
class Offer:
    """One metric of a birth. `unit` is UCUM, or None where the birth gives none or one that UCUM does not know."""

    name: str
    alias: int | None
    datatype: int
    kind: ValueKind | None
    writable: bool
    unit: str | None
    about: str


def entries(birth: bytes) -> list[tuple[str, int | None, int]]:
    """Name, alias and type of each metric that has a name."""
    return [
        (metric.name, metric.alias if metric.HasField("alias") else None, metric.datatype)
        for metric in Payload.FromString(birth).metrics
        if metric.name
    ]


def offers(birth: bytes) -> Iterator[Offer]:
    """In the order of the birth."""
    for metric in Payload.FromString(birth).metrics:
        if metric.name:
            yield _offer(metric)


def find(birth: bytes, name: str) -> Offer | None:
    """One metric by name."""
    return next((_offer(metric) for metric in Payload.FromString(birth).metrics if metric.name == name), None)


def _offer(metric: Any) -> Offer:
    try:
        properties = read_properties(metric.properties) if metric.properties else {}
    except DataError:
        properties = {}
    kind = KIND_OF_TYPE.get(metric.datatype)
    unit = first_of(properties, _UNIT_NAMES)
    known = _ucum(unit)
    about = [first_of(properties, _ABOUT_NAMES), unit if known is None else None, None if kind else _type_name(metric)]
    return Offer(
        metric.name,
        metric.alias if metric.HasField("alias") else None,
        metric.datatype,
        kind,
        first_of(properties, _READ_ONLY_NAMES) is not True,
        known,
        "; ".join(str(part) for part in about if part),
    )


def _ucum(unit: Any) -> str | None:
    if not isinstance(unit, str) or not unit:
        return None
    spelt = {"°C": "Cel", "°F": "[degF]", "rpm": "{rev}/min", "RPM": "{rev}/min"}.get(unit, unit)
    try:
        check_unit(spelt)
    except DataError:
        return None
    return spelt


def _type_name(metric: Any) -> str:
    try:
        return f"type {DataType(metric.datatype).name.lower()} makes no sample"
    except ValueError:
        return f"type {metric.datatype} is not known"
