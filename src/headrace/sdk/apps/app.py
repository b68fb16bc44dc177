"""What an app is: a module that holds one `App`, and what of it is called when.

    app = App()

    @app.on_start                                   once, before anything else of it is called
    async def start(ctx): ...

    @app.samples("*/state")                         samples of points that its manifest lets it read, as they come;
                                                    or of those that a function of its settings names
    async def states(ctx, samples): ...

    @app.events("alarm.*")                          what happened
    async def alarms(ctx, events): ...

    @app.job("report", at="06:00,14:00,22:00")      by the clock of the plant
    async def report(ctx, due_ns): ...

    @app.route("POST", "/stops/{stop}/reason", action=Action.ACKNOWLEDGE)
    async def reason(ctx, request): return {"stop": request.params["stop"]}

One call at a time in the order of their coming, but for routes that only read (GET): they may run while another waits
for an answer. What raises is told to whoever asked, counted and shown; the app goes on. `ctx` is a `Context`.

Nothing here runs: `hosting/` does, in a process of the app's own, and `sdk.testing.apps` in a test.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from headrace.model.errors import ConfigError
from headrace.model.events import Event
from headrace.model.places import check_place
from headrace.sdk.access import Action
from headrace.sdk.apps.context import Context, Samples
from headrace.sdk.apps.request import Reply, Request
from headrace.sdk.apps.schedule import Schedule

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_PATH: Final = re.compile(r"(/([a-z0-9][a-z0-9_.-]{0,60}|\{[a-z][a-z0-9_]{0,30}\})){1,12}|/")
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_EVENT: Final = re.compile(r"[a-z][a-z0-9-]*(\.[a-z0-9-]+)*(\.\*)?|\*")

OnStart = Callable[[Context], Awaitable[None]]
OnSamples = Callable[[Context, Samples], Awaitable[None]]
OnEvents = Callable[[Context, Sequence[Event]], Awaitable[None]]
OnTime = Callable[[Context, int], Awaitable[None]]
OnRequest = Callable[[Context, Request], Awaitable[Reply | Any]]
_Start = TypeVar("_Start", bound=OnStart)
_OfSamples = TypeVar("_OfSamples", bound=OnSamples)
_OfEvents = TypeVar("_OfEvents", bound=OnEvents)
_OfTime = TypeVar("_OfTime", bound=OnTime)
_OfRequest = TypeVar("_OfRequest", bound=OnRequest)


PlacesOf = Callable[[Mapping[str, Any]], Iterable[str]]
"""Of an app's settings, the places whose samples it wants."""


@dataclass(frozen=True, slots=True)
class SamplesHandler:
    """`places` as in a manifest: globs of point paths (`model/places.py`); `of` names others, by the settings."""

    places: tuple[str, ...]
    body: OnSamples
    of: tuple[PlacesOf, ...] = ()

    def wanted(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Each once. Raises: ConfigError for what is no place; what `of` raises."""
        named = [check_place(place) for of in self.of for place in of(settings)]
        return tuple(dict.fromkeys((*self.places, *named)))


@dataclass(frozen=True, slots=True)
class EventsHandler:
    """`types` are exact, or end in `.*`, or are `*`."""

    types: tuple[str, ...]
    body: OnEvents


@dataclass(frozen=True, slots=True)
class Job:
    """`catch_up`: times that passed while it did not run are made up for, each one; else only the last of them."""

    name: str
    schedule: Schedule
    catch_up: bool
    body: OnTime


@dataclass(frozen=True, slots=True)
class Route:
    """`path` is below the app's own name; `{word}` is any one segment. `action` is the right that it takes on the
    assets of the app."""

    method: str
    path: str
    action: Action
    body: OnRequest


@dataclass(slots=True)
class App:
    """Made once, at the top of the app's module; its declarations are checked as they are made."""

    starts: list[OnStart] = field(default_factory=list)
    stops: list[OnStart] = field(default_factory=list)
    sample_handlers: list[SamplesHandler] = field(default_factory=list)
    event_handlers: list[EventsHandler] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)

    def on_start(self, body: _Start) -> _Start:
        self.starts.append(body)
        return body

    def on_stop(self, body: _Start) -> _Start:
        """Called when it is stopped in good order; a process may also end without."""
        self.stops.append(body)
        return body

    def samples(self, *places: str | PlacesOf) -> Callable[[_OfSamples], _OfSamples]:
        """Samples of these points, or of those that a function names when it is given the settings: an app that looks
        at a few points of a large plant is given no others. Each is given at least once, also after a restart: where
        that matters, keep how far you are in a table in the same `write`. Raises: ConfigError."""
        if not places:
            raise ConfigError('say of which points: @app.samples("*/state")')
        said = tuple(check_place(place) for place in places if isinstance(place, str))
        of = tuple(place for place in places if not isinstance(place, str))

        def declare(body: _OfSamples) -> _OfSamples:
            self.sample_handlers.append(SamplesHandler(said, body, of))
            return body

        return declare

    def events(self, *types: str) -> Callable[[_OfEvents], _OfEvents]:
        """Events of these types from now on: `alarm.raised`, `alarm.*`. Raises: ConfigError."""
        for one in types or ("",):
            if not _EVENT.fullmatch(one):
                raise ConfigError(f"'{one}' names no events; write a type such as 'alarm.raised', or 'alarm.*'")

        def declare(body: _OfEvents) -> _OfEvents:
            self.event_handlers.append(EventsHandler(types, body))
            return body

        return declare

    def job(
        self, name: str, *, every: str = "", at: str = "", days: str = "", zone: str = "", catch_up: bool = False
    ) -> Callable[[_OfTime], _OfTime]:
        """By `every` (`15min`, at multiples of it) or `at` times of the wall clock (`06:00,14:00`), on `days`
        (`mon-fri`, `1` for the first of the month) in a time zone; without one, in that of the app's setting `zone`,
        else UTC.

        Raises: ConfigError.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError(f"'{name}' is no name of a job; use lower case and dashes, such as 'shift-report'")
        if any(one.name == name for one in self.jobs):
            raise ConfigError(f"there are two jobs named '{name}'")
        schedule = Schedule.of(every=every, at=at, days=days, zone=zone)

        def declare(body: _OfTime) -> _OfTime:
            self.jobs.append(Job(name, schedule, catch_up, body))
            return body

        return declare

    def route(self, method: str, path: str, *, action: Action = Action.VIEW) -> Callable[[_OfRequest], _OfRequest]:
        """Something that people and programs may ask for at `/api/v1/apps/<app>/…`. Raises: ConfigError."""
        if method not in METHODS:
            raise ConfigError(f"'{method}' is no method of a route; use one of {', '.join(METHODS)}")
        if not _PATH.fullmatch(path):
            raise ConfigError(f"'{path}' is no path of a route; write '/orders/{{order}}': lower case, one word a part")
        if method != "GET" and action is Action.VIEW:
            raise ConfigError(f"{method} {path} changes something; say which right it takes, such as Action.WRITE")
        if any(one.method == method and _alike(one.path, path) for one in self.routes):
            raise ConfigError(f"{method} {path} is declared twice")

        def declare(body: _OfRequest) -> _OfRequest:
            self.routes.append(Route(method, path, action, body))
            return body

        return declare

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route of a request and what its `{words}` are; words in the path itself come before `{words}`."""
        return find_route(self.routes, method, path)


class Routed(Protocol):
    """What a request may be for."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...


_Routed = TypeVar("_Routed", bound=Routed)


def find_route(routes: Iterable[_Routed], method: str, path: str) -> tuple[_Routed, dict[str, str]] | None:
    """As `App.find`, of routes that were told."""
    found: list[tuple[int, _Routed, dict[str, str]]] = []
    parts = path.strip("/").split("/")
    for route in routes:
        params = _match(route.path.strip("/").split("/"), parts) if route.method == method else None
        if params is not None:
            found.append((len(params), route, params))
    if not found:
        return None
    _, route, params = min(found, key=lambda one: one[0])
    return route, params


def _match(wanted: Sequence[str], parts: Sequence[str]) -> dict[str, str] | None:
    if len(wanted) != len(parts):
        return None
    params: dict[str, str] = {}
    for word, part in zip(wanted, parts, strict=True):
        if word.startswith("{"):
            if not part:
                return None
            params[word[1:-1]] = part
        elif word != part:
            return None
    return params


def _alike(one: str, other: str) -> bool:
    return re.sub(r"\{[^}]*\}", "{}", one) == re.sub(r"\{[^}]*\}", "{}", other)
