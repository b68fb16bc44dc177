"""What an app said of itself, checked: it is the word of a stranger, and the platform dispatches by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from headrace.hosting.abilities import Declared, DeclaredJob, DeclaredRoute
from headrace.hosting.jobs import Timed
from headrace.model.errors import ConfigError, HeadraceError
from headrace.model.places import check_place
from headrace.model.time import SECOND_NS
from headrace.sdk.apps import Action, App, Schedule
from headrace.sdk.apps.schedule import check_zone

ITEMS_MAX: Final = 500
_DAY_MINUTES: Final = 24 * 60


@dataclass(frozen=True, slots=True)
class Loaded:
    declared: Declared
    jobs: tuple[Timed, ...]


def read(told: Mapping[str, Any]) -> Loaded:
    """Raises: ConfigError."""
    try:
        app, samples = App(), list[tuple[str, ...]]()
        for method, path, action in _rows(told, "routes"):
            app.route(method, path, action=Action(action))(_nothing)
        for places in _rows(told, "samples"):
            samples.append(tuple(check_place(place) for place in places))
        for types in _rows(told, "events"):
            app.events(*types)(_nothing)
        jobs = tuple(_job(app, *row) for row in _rows(told, "jobs"))
    except HeadraceError as error:
        raise ConfigError(f"what the app declares does not hold: {error.message}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"what the app declares cannot be read: {type(error).__name__}") from None
    return Loaded(
        Declared(
            tuple(DeclaredRoute(one.method, one.path, one.action) for one in app.routes),
            tuple(DeclaredJob(one.name) for one in jobs),
            tuple(samples),
            tuple(one.types for one in app.event_handlers),
        ),
        jobs,
    )


def _rows(told: Mapping[str, Any], name: str) -> Sequence[Any]:
    rows = told[name]
    if not isinstance(rows, list) or len(rows) > ITEMS_MAX or not all(isinstance(row, list) for row in rows):
        raise ConfigError(f"an app has at most {ITEMS_MAX} {name}")
    return rows


def _job(app: App, name: str, catch_up: bool, times: list[Any]) -> Timed:
    """Raises: ConfigError, TypeError, ValueError."""
    app.job(name, every="1h")(_nothing)  # its name, and that there is no other
    every_ns, minutes, weekdays, month_days, zone = times
    schedule = Schedule(
        every_ns,
        tuple(sorted(_within(minutes, 0, _DAY_MINUTES - 1))),
        frozenset(_within(weekdays, 0, 6)),
        frozenset(_within(month_days, 1, 31)),
        check_zone(zone) if zone else "",
    )
    if not isinstance(every_ns, int) or bool(every_ns) == bool(schedule.minutes) or 0 < every_ns < SECOND_NS:
        raise ConfigError(f"job '{name}' is due at no times")
    return Timed(name, schedule, catch_up is True)


def _within(given: Any, low: int, high: int) -> list[int]:
    if not isinstance(given, list) or not all(type(one) is int and low <= one <= high for one in given):
        raise ConfigError("times of a job are whole numbers")
    return given


async def _nothing(*_: Any) -> None:
    """Stands for what is in the app's own process."""
