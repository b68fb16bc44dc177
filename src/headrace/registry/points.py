"""Points: from a type's template or standing alone, to `Point`.

A point of a type has fields that are the same for all assets, checked once, and an address that is filled in and
checked for each. An override replaces whole fields of the type's point for one asset.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from headrace.model.batch import ValueKind
from headrace.model.errors import DataError
from headrace.model.guards import Guard
from headrace.model.machines import Machine
from headrace.model.plant import Connection
from headrace.model.points import Access, Point, PointSource, Range, Title
from headrace.model.retention import DEFAULT_CLASS
from headrace.model.time import SECOND_NS, parse_duration_ns
from headrace.model.units import check_unit
from headrace.registry.declared import Blame, Declared
from headrace.registry.drivers import complaints
from headrace.registry.guards import guard_of, with_paths
from headrace.registry.machines import machine_of
from headrace.registry.problems import Problems, did_you_mean
from headrace.registry.templates import Fill, compile_template
from headrace.sdk.driver import DriverType

_NUMERIC: Final = (ValueKind.FLOAT64, ValueKind.INT64)
_OF_DEVICES: Final = ("address", "connection", "interval", "access")


class _Fields(NamedTuple):
    """What a spec says apart from connection and address."""

    kind: ValueKind
    unit: str
    range: Range | None
    access: Access
    title: Title
    write_range: Range | None
    decimals: int | None
    interval_ns: int
    retention: str
    guard: Guard
    expression: str
    machine: Machine | None


class PointBuilder:
    """Checks specs against each other, their connections and their drivers."""

    def __init__(
        self,
        connections: Mapping[str, Connection],
        declared: Mapping[str, Declared],
        drivers: Mapping[str, DriverType],
        retention: Collection[str],
        problems: Problems,
    ) -> None:
        self._connections = connections
        self._declared = declared
        self._retention = dict.fromkeys((DEFAULT_CLASS, *retention))
        self._drivers = drivers
        self._problems = problems
        self.guarded: dict[str, Blame] = {}  # points with interlocks, and where these were written
        self.calculated: dict[str, Blame] = {}  # points with an expression, and where this was written

    @property
    def problems(self) -> Problems:
        return self._problems

    def build(self, path: str, spec: Mapping[str, Any], blame: Blame) -> Point | None:
        """A point that stands alone or was overridden, its address filled in. None where something is wrong."""
        fields = self.fields(spec, blame)
        if fields is None:
            return None
        return self.bind(path, fields, spec.get("connection"), spec.get("address"), blame)

    def fields(self, spec: Mapping[str, Any], blame: Blame) -> _Fields | None:
        before = len(self._problems)
        kind = ValueKind.from_label(spec.get("type", "float64"))
        unit = spec.get("unit", "1")
        access = Access(spec.get("access", "read"))
        try:
            check_unit(unit)
        except DataError as error:
            self._problems.add(blame.at("unit"), error.message)
        if kind not in _NUMERIC:
            for name in ("unit", "range", "write_range", "decimals"):
                if name in spec and not (name == "unit" and unit == "1"):
                    message = f"a {kind.label} point has no {name}"
                    self._problems.add(blame.at(name, of_key=True), message)
        span, write = (Range(*map(float, spec[name])) if name in spec else None for name in ("range", "write_range"))
        if write is not None and access is Access.READ:
            self._problems.add(
                blame.at("write_range", of_key=True),
                "'write_range' needs 'access: read-write'; this point is read only",
            )
        if write is not None and span is not None and not (write.low in span and write.high in span):
            self._problems.add(
                blame.at("write_range"),
                f"'write_range' [{write.low:g}, {write.high:g}] leaves the range [{span.low:g}, {span.high:g}]",
            )
        retention = spec.get("retention", DEFAULT_CLASS)
        if retention not in self._retention:
            hint = did_you_mean(retention, self._retention)
            self._problems.add(blame.at("retention"), f"there is no retention class '{retention}'{hint}")
        guard = guard_of(spec, kind, access, blame, self._problems)
        machine = machine_of(spec, kind, blame, self._problems)
        text = spec.get("expression", "") if machine is None else machine.text
        for name in _OF_DEVICES if text else ():
            if name in spec and not (name == "access" and access is Access.READ):
                way = "expression" if machine is None else "machine"
                message = f"a calculated point has no {name}; take out '{name}' or '{way}'"
                self._problems.add(blame.at(name, of_key=True), message)
        if len(self._problems) > before:
            return None
        interval_ns = parse_duration_ns(spec["interval"]) if "interval" in spec else SECOND_NS
        title = spec.get("title", {})
        decimals = spec.get("decimals")
        return _Fields(kind, unit, span, access, title, write, decimals, interval_ns, retention, guard, text, machine)

    def bind(
        self, path: str, fields: _Fields, connection: str | None, address: Mapping[str, Any] | None, blame: Blame
    ) -> Point | None:
        """Give a point its source; without connection and address it has none."""
        source = None
        if connection is not None and connection not in self._declared:
            hint = did_you_mean(connection, self._declared)
            self._problems.add(blame.at("connection"), f"there is no connection '{connection}'{hint}")
            return None
        if address is not None:
            if connection is None:
                self._problems.add(
                    blame.at("address", of_key=True), f"point '{path}' has an address and no connection to read it from"
                )
                return None
            if not self._address_is_right(path, connection, address, blame):
                return None
            source = PointSource(connection, address, fields.interval_ns)
        elif fields.access is Access.READ_WRITE:
            self._problems.add(blame.at("access"), f"point '{path}' can be written and has no address to write to")
            return None
        if fields.guard.interlocks:
            self.guarded[path] = blame
        if fields.expression:
            self.calculated[path] = blame
        return Point(
            path,
            fields.kind,
            fields.unit,
            fields.range,
            fields.access,
            fields.title,
            source,
            fields.write_range,
            fields.decimals,
            fields.retention,
            with_paths(fields.guard, path.rpartition("/")[0]),
            fields.expression,
            fields.machine,
        )

    def _address_is_right(self, path: str, connection: str, address: Mapping[str, Any], blame: Blame) -> bool:
        known = self._connections.get(connection)
        if known is None:
            return False  # its own error is reported where it is declared
        driver = self._drivers[known.driver]
        wrong = complaints(driver.address, address, f"the address of driver '{driver.name}'")
        for complaint in wrong:
            where = blame.at("address", *complaint.loc, of_key=complaint.of_key)
            self._problems.add(where, f"{complaint.message} (point '{path}')", once=True)
        return not wrong


class PointTemplate:
    """One point of a type, checked as far as it is the same for every asset."""

    def __init__(self, name: str, spec: Mapping[str, Any], blame: Blame, builder: PointBuilder) -> None:
        self.name = name
        self._spec = spec
        self._blame = blame
        self._builder = builder
        self._fields = builder.fields(spec, blame)
        self._address: Mapping[str, Any] | None = spec.get("address")
        self._fill: Fill | None = None
        try:
            self._fill = compile_template(self._address, blame.owner.spec.get("parameters", {}))
        except DataError as error:
            builder.problems.add(blame.at("address"), error.message)
            self._fields = None

    def build(
        self, path: str, asset: Declared, parameters: Mapping[str, Any], override: Declared | None
    ) -> Point | None:
        """The point of one asset. None where something is wrong."""
        if self._fields is None:
            return None
        connection = self._spec.get("connection", asset.spec.get("connection"))
        if override is None:
            return self._bind(path, asset, connection, parameters, self._fields, self._blame)
        spec = override.spec
        blame = Blame(override, (), self._blame)
        if spec.get("type", self._fields.kind.label) != self._fields.kind.label:
            self._builder.problems.add(
                override.at("type"),
                f"point '{path}' is {spec['type']} here and {self._fields.kind.label} in its type "
                f"'{self._blame.owner.key}' ({self._blame.at('type')}); an override keeps the type",
            )
            return None
        fields = self._builder.fields({**self._spec, **spec}, blame)
        if fields is None:
            return None
        connection = spec.get("connection", connection)
        if "address" in spec:
            return self._builder.bind(path, fields, connection, spec["address"], blame)
        return self._bind(path, asset, connection, parameters, fields, blame)

    def prototype(self, asset: str) -> Point | None:
        """The point without a source, for checks of a type that no asset has."""
        fields = self._fields
        if fields is None:
            return None
        return Point(
            f"{asset}/{self.name}", fields.kind, fields.unit, fields.range, guard=with_paths(fields.guard, asset),
            expression=fields.expression, machine=fields.machine,
        )  # fmt: skip

    @property
    def blame(self) -> Blame:
        return self._blame

    def _bind(
        self,
        path: str,
        asset: Declared,
        connection: str | None,
        parameters: Mapping[str, Any],
        fields: _Fields,
        blame: Blame,
    ) -> Point | None:
        address = self._address
        if address is not None and connection is None:
            self._builder.problems.add(
                asset.where,
                f"type '{self._blame.owner.key}' reads its points from a device: give asset '{asset.key}' a connection",
            )
            return None
        if self._fill is not None:
            try:
                address = self._fill(parameters)
            except DataError as error:
                self._builder.problems.add(blame.at("address"), f"{error.message} (point '{path}')", once=True)
                return None
        return self._builder.bind(path, fields, connection, address, blame)
