"""Errors to HTTP, in one table and one shape: `{"error": {"code", "message", "hint"?}}`. Nothing internal is shown.

raised                  status  code
HeadraceError tree      TABLE   TABLE
pydantic validation     422     invalid-request (what is wrong, in plain English)
Starlette's own         its own not-found, method-not-allowed, …
anything else           500     internal, with an id that the log has too
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from headrace.api.schemas.plant import declaration_errors
from headrace.model.errors import (
    AccessError,
    ConfigError,
    Conflict,
    DataError,
    DeviceError,
    Garbled,
    HeadraceError,
    LimitReached,
    NotFound,
    Refused,
    Unavailable,
    Unreachable,
)
from headrace.sdk.entry import FreshProofNeeded

log = logging.getLogger(__name__)

#: The nearest class in an error's ancestry decides.
TABLE: Final[Mapping[type[HeadraceError], tuple[int, str]]] = {
    ConfigError: (422, "invalid-declaration"),
    DataError: (422, "invalid-data"),
    AccessError: (403, "not-allowed"),
    NotFound: (404, "not-found"),
    Conflict: (409, "conflict"),
    LimitReached: (429, "limit-reached"),
    Unavailable: (503, "unavailable"),
    Unreachable: (504, "device-unreachable"),
    Refused: (502, "device-refused"),
    Garbled: (502, "device-garbled"),
    DeviceError: (502, "device-error"),
    HeadraceError: (500, "internal"),
}

_STATUS_CODES: Final = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    408: "too-slow",
    413: "too-large",
    415: "unsupported-media-type",
}


class PasswordChangeNeeded(AccessError):
    """The caller signed in with a one-time password and has to choose another first."""

    def __init__(self) -> None:
        super().__init__("change your one-time password first: POST /api/v1/session/password")


class EnrolmentNeeded(AccessError):
    """The caller's tenant asks for a second factor, and there is none yet."""

    def __init__(self) -> None:
        super().__init__("add a second factor first: an authenticator app (POST /api/v1/account/totp) or a passkey")


class Forbidden(AccessError):
    """The request itself is not trusted, whoever makes it: a missing header, a foreign origin."""


def error_response(
    status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None, **extra: Any
) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message, **extra}}, status, headers=dict(headers or {}))


def describe(error: HeadraceError) -> tuple[int, str]:
    """(status, code) of an error."""
    if isinstance(error, PasswordChangeNeeded):
        return 403, "change-password"
    if isinstance(error, EnrolmentNeeded):
        return 403, "enrol-second-factor"
    if isinstance(error, FreshProofNeeded):
        return 403, "fresh-proof-needed"
    if isinstance(error, Forbidden):
        return 403, "untrusted-request"
    if isinstance(error, AccessError) and not error.authenticated:
        return 401, "sign-in-needed"
    return next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)


def headrace_response(error: HeadraceError) -> Response:
    status, code = describe(error)
    retry_s = str(getattr(error, "retry_s", 5))
    headers = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": retry_s}, 503: {"Retry-After": "1"}}.get(
        status
    )
    if status == 500:
        return internal_response(error)
    if isinstance(error, ConfigError):
        errors = [one.model_dump() for one in declaration_errors(error)]
        return error_response(status, code, str(error), headers=headers, errors=errors)
    return error_response(status, code, error.message, headers=headers)


def internal_response(error: Exception) -> Response:
    """Log a bug once, with an id that the caller can quote."""
    incident = secrets.token_hex(4)
    log.error("internal error %s", incident, exc_info=error)
    message = f"something went wrong inside Headrace; quote incident {incident} to find it in the log"
    return error_response(500, "internal", message)


def validation_message(errors: Sequence[Mapping[str, Any]]) -> str:
    """What is wrong with a request, in plain English: `limit: must be less than or equal to 5000`."""
    lines = []
    for error in errors[:5]:
        place = [str(part) for part in error.get("loc", ()) if part not in ("query", "path", "body", "header")]
        lines.append(f"{'.'.join(place) or 'the body'}: {_plain(error)}")
    if len(errors) > 5:
        lines.append(f"and {len(errors) - 5} more")
    return "; ".join(dict.fromkeys(lines))


def _plain(error: Mapping[str, Any]) -> str:
    kind = error.get("type", "")
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is not a field of this request"
    if kind == "json_invalid":
        return f"is not JSON: {error.get('ctx', {}).get('error', 'cannot be read')}"
    text = str(error.get("msg", "is wrong"))
    for opening in ("Input should be ", "Value error, "):
        text = text.removeprefix(opening)
    text = text[:1].lower() + text[1:]
    return f"must be {text}" if str(error.get("msg", "")).startswith("Input should be ") else text


def install(app: FastAPI) -> None:
    """Register the handlers on an application."""

    async def on_headrace(_: Request, error: Exception) -> Response:
        assert isinstance(error, HeadraceError)
        return headrace_response(error)

    async def on_validation(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return error_response(422, "invalid-request", validation_message(error.errors()))

    async def on_http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        code = _STATUS_CODES.get(error.status_code, "refused")
        message = str(error.detail) if error.status_code not in (404, 405) else _absent(error.status_code)
        return error_response(error.status_code, code, message, headers=error.headers)

    app.add_exception_handler(HeadraceError, on_headrace)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(HTTPException, on_http)


def _absent(status: int) -> str:
    return "there is nothing at this address" if status == 404 else "this address does not take that method"
