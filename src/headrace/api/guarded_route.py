"""A route that admits its caller before it reads anything: rights, unknown parameters, timeout, bugs.

admit (rights.py, rates.py) ─► can it be recorded? ─► no unknown query parameter ─► FastAPI's own handling ─► answer
    all within the request timeout
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException

from headrace.api.context import context_of
from headrace.api.errors import internal_response
from headrace.api.rates import HEAVY, peer_of
from headrace.api.rights import RIGHTS, Right
from headrace.api.schemas.base import ErrorAnswer
from headrace.api.security import SAFE_METHODS
from headrace.model.errors import DataError, HeadraceError, Unavailable

PREFIX: Final = "/api/v1"


class GuardedRoute(APIRoute):
    @property
    def right(self) -> Right:
        """Raises: RuntimeError for a route that `RIGHTS` does not have."""
        right = RIGHTS.get(self.operation_id or "")
        if right is None:
            raise RuntimeError(f"declare in api/rights.py who may call {self.path} ({self.operation_id})")
        return right

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle, right = super().get_route_handler(), self.right
        heavy = self.operation_id in HEAVY
        known = frozenset(_query_names(self.dependant))

        async def guarded(request: Request) -> Response:
            context = context_of(request)
            try:
                async with asyncio.timeout(context.settings.request_timeout_s if right.timed else None) as limit:
                    caller = request.state.caller = await context.door.admit(request, request.method, right)
                    if right.recorded and request.method not in SAFE_METHODS:
                        await context.services.trail.ready()
                    if not right.any_query:
                        _check_query(request, known)
                    if not heavy or caller is None:
                        return await handle(request)
                    async with context.rates.heavy(caller.principal, peer_of(request, context.settings)):
                        return await handle(request)
            except TimeoutError as error:
                if not limit.expired():
                    return internal_response(error)
                raise Unavailable("this took too long and was given up; ask for less, or try again") from None
            except (HeadraceError, HTTPException, RequestValidationError):
                raise
            except Exception as error:
                return internal_response(error)

        return guarded


def api_router(tag: str, *, prefix: str = PREFIX, error: Any = ErrorAnswer) -> APIRouter:
    """A router whose routes are guarded and document the one shape of errors, or what a foreign protocol has for it."""
    errors: dict[int | str, dict[str, Any]] = {"default": {"model": error, "description": "What went wrong."}}
    return APIRouter(prefix=prefix, tags=[tag], route_class=GuardedRoute, responses=errors)


def _query_names(dependant: Dependant) -> Iterator[str]:
    """Of a route and of all that it depends on."""
    yield from (parameter.alias for parameter in dependant.query_params)
    for inner in dependant.dependencies:
        yield from _query_names(inner)


def _check_query(request: Request, known: frozenset[str]) -> None:
    for name in request.query_params:
        if name not in known:
            near = difflib.get_close_matches(name[:60], known, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"it takes {', '.join(sorted(known)) or 'none'}"
            raise DataError(f"'{name[:60]}' is not a parameter of this request; {hint}")
