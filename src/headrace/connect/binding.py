"""From declared points to what drivers see: addresses checked by the driver's own model, one error a wrong point.

Point.source.address ──DriverType.address──► model ──DriverType.check(kind, access)──► PointBinding
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from headrace.model.errors import ConfigError
from headrace.model.plant import Connection
from headrace.model.points import Point
from headrace.sdk.driver import DriverType, PointBinding


@dataclass(slots=True)
class Bindings:
    """`by_connection` holds what can be read; `errors` one ConfigError for each point that cannot."""

    by_connection: dict[str, list[PointBinding]] = field(default_factory=dict)
    errors: dict[str, ConfigError] = field(default_factory=dict)


def bind(
    points: Iterable[Point],
    handles: Mapping[str, int],
    connections: Mapping[str, Connection],
    drivers: Mapping[str, DriverType],
) -> Bindings:
    """`handles` gives each path its number in the store. Points without a source are left out; never raises."""
    bindings = Bindings({name: [] for name in connections})
    for point in points:
        if point.source is None:
            continue
        try:
            connection = connections[point.source.connection]
            driver_type = drivers[connection.driver]
            address = driver_type.address.model_validate(dict(point.source.address))
            driver_type.check(address, point.kind, point.writable)
        except KeyError as error:
            bindings.errors[point.path] = ConfigError(f"{point.path}: there is no connection or driver {error}")
        except ValidationError as error:
            bindings.errors[point.path] = ConfigError(f"{point.path}: {explain(error)}")
        except ConfigError as error:
            bindings.errors[point.path] = ConfigError(f"{point.path}: {error.message}")
        else:
            span = None if point.range is None else (point.range.low, point.range.high)
            bindings.by_connection[connection.name].append(
                PointBinding(
                    handles[point.path],
                    point.path,
                    point.kind,
                    address,
                    point.source.interval_ns,
                    point.writable,
                    span,
                )
            )
    return bindings


def explain(error: ValidationError) -> str:
    """All that a pydantic model found wrong, on one line: `port: Input should be less than 65536; …`."""
    parts = []
    for found in error.errors(include_url=False, include_context=False, include_input=False):
        where = ".".join(str(step) for step in found["loc"])
        message = found["msg"].removeprefix("Value error, ")
        parts.append(f"{where}: {message}" if where else message)
    return "; ".join(parts)
