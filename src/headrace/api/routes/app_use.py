"""Apps as people use them: their pages, and their routes below `/apps/{name}/call/`."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from urllib.parse import quote

from fastapi import Query, Request, Response

from headrace.api.app_files import frame_response, page_response, reply_response
from headrace.api.context import ByCaller, WithServices
from headrace.api.guarded_route import PREFIX, api_router
from headrace.api.schemas.app_pages import WidgetPageAnswer
from headrace.api.schemas.apps import AppPageAnswer
from headrace.model.errors import NotFound
from headrace.sdk.app_desk import AppPage
from headrace.sdk.apps import PageKind
from headrace.sdk.apps import Request as AppRequest
from headrace.sdk.apps.reading import LANGUAGES
from headrace.sdk.apps.widgets import read_page

router = api_router("Apps")

_FOLDER: Final = "pages/"
_ANY: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}, "description": "As the app answers."}
}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {"required": False, "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}}}
}
_OPERATIONS: Final = {
    "GET": "getFromApp", "POST": "postToApp", "PUT": "putToApp", "PATCH": "patchInApp", "DELETE": "deleteInApp",
}  # fmt: skip


@router.get("/apps/pages", operation_id="listPages", summary="Pages of all apps that the caller may see")
async def list_pages(caller: ByCaller, services: WithServices) -> list[AppPageAnswer]:
    return [_shown(one) for one in await services.apps.pages(caller.principal)]


@router.get("/apps/{name}/pages", operation_id="listAppPages", summary="Pages of an app that the caller may see")
async def list_app_pages(name: str, caller: ByCaller, services: WithServices) -> list[AppPageAnswer]:
    return [_shown(one) for one in await services.apps.pages(caller.principal, name)]


@router.get(
    "/apps/{name}/pages/{path:path}", operation_id="getAppPageFile", summary="A file of an app's pages",
    response_class=Response, responses=_ANY,
)  # fmt: skip
async def get_app_page_file(name: str, path: str, caller: ByCaller, services: WithServices) -> Response:
    """In a sandbox of its own origin: scripts, styles and images from here, and no network."""
    return page_response(path, await services.apps.page_file(caller.principal, name, path))


@router.get(
    "/apps/{name}/frames/{page}", operation_id="getAppFrame", summary="A page for a sandboxed frame",
    response_class=Response, responses={200: {"content": {"text/html": {"schema": {"type": "string"}}}}},
)  # fmt: skip
async def get_app_frame(
    name: str, page: str, caller: ByCaller, services: WithServices,
    language: Annotated[Literal["en", "zh"], Query(description="What the page is to speak.")] = "en",
) -> Response:  # fmt: skip
    """A document that holds the module of the page whole: a frame in a sandbox has no session to ask for more with. It
    speaks to whoever shows it by `postMessage`, and reaches no network."""
    found = await _page_of(name, page, PageKind.MODULE, caller, services)
    module = await services.apps.page_file(caller.principal, name, found.page.file.removeprefix(_FOLDER))
    titles = found.page.title
    title = titles.get(language) or next(iter(titles.values()), name)
    return frame_response(app=name, page=page, version=found.version, title=title, language=language, module=module)


@router.get("/apps/{name}/widgets/{page}", operation_id="getAppWidgets", summary="A page of widgets, to be drawn")
async def get_app_widgets(name: str, page: str, caller: ByCaller, services: WithServices) -> WidgetPageAnswer:
    """Sources and calls are routes of the app: `/apps/{name}/call/…`. Checked when the app was installed, and here."""
    found = await _page_of(name, page, PageKind.WIDGETS, caller, services)
    text = (await services.apps.page_file(caller.principal, name, found.page.file.removeprefix(_FOLDER))).decode()
    return WidgetPageAnswer.of(found, read_page(text, found.page.file))


async def call_app(request: Request, name: str, path: str, caller: ByCaller, services: WithServices) -> Response:
    """What the app declares as a route, with the right that the route takes on the assets of the app. What is no JSON,
    text or picture comes as a download. 503 while the app does not run."""
    if request.method != "GET":
        await services.trail.ready()  # it will be recorded
    asked = AppRequest(
        request.method,
        f"/{path}",
        query=dict(request.query_params),
        body=await request.body(),
        media_type=request.headers.get("content-type", "").partition(";")[0].strip().lower(),
        language=language_of(request.headers.get("accept-language", "")),
    )
    return reply_response(await services.apps.call(caller.principal, name, asked))


for _method, _operation in _OPERATIONS.items():
    router.add_api_route(
        "/apps/{name}/call/{path:path}", call_app, methods=[_method], operation_id=_operation,
        summary=f"{_method} a route of an app", response_class=Response, responses=_ANY,
        openapi_extra=None if _method in ("GET", "DELETE") else _BODY,
    )  # fmt: skip


def language_of(accepted: str) -> str:
    """The first of an Accept-Language that apps speak. Source: RFC 9110 §12.5.4, weights not looked at."""
    for part in accepted[:200].lower().split(","):
        tag = part.partition(";")[0].strip().partition("-")[0]
        if tag in LANGUAGES:
            return tag
    return LANGUAGES[0]


async def _page_of(name: str, page: str, kind: PageKind, caller: ByCaller, services: WithServices) -> AppPage:
    found = next((one for one in await services.apps.pages(caller.principal, name) if one.page.name == page), None)
    if found is None or found.page.kind is not kind or not found.page.file.startswith(_FOLDER):
        raise NotFound(f"{name} has no page '{page[:60]}' of {kind.value} that {caller.principal.name} may see")
    return found


def _shown(one: AppPage) -> AppPageAnswer:
    root = f"{PREFIX}/apps/{quote(one.app)}"
    framed = one.page.kind is PageKind.MODULE and one.page.file.startswith(_FOLDER)
    return AppPageAnswer.seen(
        one, f"{root}/{quote(one.page.file)}", f"{root}/frames/{one.page.name}" if framed else None
    )
