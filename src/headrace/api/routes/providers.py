"""Sign-in through providers of identities: a browser goes there, and comes back.

GET /session/oidc/{name} ─► 303 to the provider, a short-lived cookie ─► … ─► GET …/callback ─► cookie, 303 to a page

Answers are pages, for a person looks at them: what went wrong is a word in the address, which the console puts in the
person's language; the whole of it is in the audit trail.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import Query, Request
from fastapi.responses import RedirectResponse

from headrace.api.context import InContext
from headrace.api.cookies import BROWSER_COOKIE, PENDING_COOKIE, clear, read, session_of, set_session, set_short
from headrace.api.errors import describe
from headrace.api.guarded_route import api_router
from headrace.api.schemas.factors import ProviderAnswer
from headrace.api.seen import seen_of
from headrace.model.errors import HeadraceError
from headrace.sdk.entry import SecondFactorNeeded

router = api_router("Session")

_PAGE: Final[dict[int | str, dict[str, Any]]] = {303: {"description": "The browser goes on."}}
Parameter = Annotated[str | None, Query(max_length=8192)]


@router.get("/session/providers", operation_id="listProviders", summary="Who else may say who I am")
async def list_providers(context: InContext) -> list[ProviderAnswer]:
    return [ProviderAnswer.of(one) for one in context.services.access.providers()]


@router.get(
    "/session/oidc/{name}",
    operation_id="departToProvider",
    summary="Go to a provider",
    status_code=303,
    response_class=RedirectResponse,
    responses=_PAGE,
)
async def depart(
    name: str, request: Request, context: InContext, link: bool = False, again: bool = False
) -> RedirectResponse:
    """`link`: that account opens mine from now on. `again`: prove once more that it is me."""
    session = session_of(request, context.settings) or None
    seen = seen_of(request, context.settings)
    try:
        departure = await context.services.access.depart(
            name, seen, link=session if link else None, again=session if again else None
        )
    except HeadraceError as error:
        return _refused(error)
    answer = RedirectResponse(departure.url, 303)
    set_short(answer, BROWSER_COOKIE, departure.browser, context.settings, "lax")
    return answer


@router.get(
    "/session/oidc/{name}/callback",
    operation_id="arriveFromProvider",
    summary="Come back from a provider",
    status_code=303,
    response_class=RedirectResponse,
    responses=_PAGE,
)
async def arrive(
    name: str,
    request: Request,
    context: InContext,
    state: Parameter = None,
    code: Parameter = None,
    iss: Parameter = None,
    error: Parameter = None,
) -> RedirectResponse:
    said = {"state": state, "code": code, "iss": iss, "error": error}
    seen = seen_of(request, context.settings)
    try:
        secret, _ = await context.services.access.arrive(
            name,
            {key: value for key, value in said.items() if value is not None},
            read(request, BROWSER_COOKIE, context.settings),
            seen,
        )
    except SecondFactorNeeded as needed:
        answer = RedirectResponse("/signin?pending=true", 303)
        set_short(answer, PENDING_COOKIE, needed.pending.secret, context.settings, "strict")
        return answer
    except HeadraceError as failed:
        return _refused(failed)
    former = session_of(request, context.settings)
    if former and former != secret:
        await context.services.access.sign_out(former)
    answer = RedirectResponse("/signin", 303)
    set_session(answer, secret, context.settings)
    clear(answer, BROWSER_COOKIE, context.settings)
    return answer


def _refused(error: HeadraceError) -> RedirectResponse:
    return RedirectResponse(f"/signin?refused={describe(error)[1]}", 303)
