"""The API as OpenAPI 3.1: FastAPI's own, and what only we know: security, rights, the live feed's messages."""

from __future__ import annotations

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from headrace import __version__
from headrace.api.cookies import COOKIE
from headrace.api.guarded_route import PREFIX
from headrace.api.rights import RIGHTS, Gate
from headrace.api.schemas.live import MESSAGES

_REF: Final = "#/components/schemas/{model}"
_SECURITY: Final[list[dict[str, list[str]]]] = [{"session": []}, {"token": []}]
DESCRIPTION: Final = f"""\
Everything that the console shows and does. Sign in with `POST {PREFIX}/session`, or send `Authorization: Bearer …`.
A request with the session cookie that changes something needs the header `X-Headrace: 1`.

Errors have one shape, `{{"error": {{"code", "message", "hint"?}}}}`; programs look at `code`.

**Live feed**: WebSocket `{PREFIX}/live`, messages `LiveSubscribe` → `LivePoints`, `LiveChanges`, `LiveAlarms`.
Close codes: 4401 sign in, 4403 not allowed, 4400 broken message, 4408 nothing taken for 30 s, 4429 too many clients.

`GET /api/v1/roles` tells what each role may do. `x-headrace-needs` names the right that an operation needs.
Where `x-headrace-fresh-proof` is true, a session that was last proved more than five minutes ago gets 403
`fresh-proof-needed`: prove again with `POST {PREFIX}/session/proof`, then repeat. A token is not asked.
"""
_TAGS: Final = [
    {"name": "Session", "description": "Signing in and out."},
    {"name": "Plant", "description": "Assets and points as declared."},
    {"name": "Values", "description": "Newest samples and history, in columns."},
    {"name": "Grafana", "description": "The part of Prometheus' HTTP API that Grafana reads with."},
    {"name": "Alarms", "description": "Conditions that need a person."},
    {"name": "Control", "description": "Setpoints."},
    {"name": "Connections", "description": "Sessions with devices."},
    {"name": "Devices", "description": "Who may publish to a gateway, and who waits to be let in."},
    {"name": "Edges", "description": "Machines that run a part of the platform, and their links."},
    {"name": "Declarations", "description": "The plant as text."},
    {"name": "Account", "description": "One's own second factors and sessions."},
    {"name": "Access", "description": "Users, tokens and the audit trail."},
    {"name": "System", "description": "The platform itself."},
]


def document(app: FastAPI) -> dict[str, Any]:
    """OpenAPI 3.1 of an application's routes, with security, rights and the messages of the live feed."""
    found: dict[str, Any] = get_openapi(
        title="Headrace", version=__version__, description=DESCRIPTION, routes=app.routes, tags=_TAGS
    )
    for operations in found["paths"].values():
        for operation in operations.values():
            right = RIGHTS[operation["operationId"]]
            need = right.need
            operation["security"] = [] if need in (Gate.PUBLIC, Gate.DEVICE) else _SECURITY
            operation["x-headrace-needs"] = need.value
            if right.fresh:
                operation["x-headrace-fresh-proof"] = True
    components = found.setdefault("components", {})
    components["securitySchemes"] = {
        "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
        "token": {"type": "http", "scheme": "bearer"},
    }
    _, live = models_json_schema([(model, "validation") for model in MESSAGES], ref_template=_REF)
    for name, schema in live["$defs"].items():
        components["schemas"].setdefault(name, schema)
    return found
