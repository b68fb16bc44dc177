"""Cookies: the session's secret, and what a browser brings back from a provider. HttpOnly, and Secure over TLS.

Over TLS their names begin with `__Host-`: no neighbour on another port, path or subdomain can set one for us.
Source: RFC 6265bis §4.1.3.2; IEC 62443-3-3 SR 3.8.
"""

from __future__ import annotations

from typing import Final, Literal

from starlette.requests import HTTPConnection
from starlette.responses import Response

from headrace.api.settings import ApiSettings

COOKIE: Final = "headrace_session"
#: Comes back with a navigation that another site began, so it cannot be strict; it opens nothing by itself.
BROWSER_COOKIE: Final = "headrace_provider"
PENDING_COOKIE: Final = "headrace_pending"
_SHORT_S: Final = 600


def named(cookie: str, settings: ApiSettings) -> str:
    return f"__Host-{cookie}" if settings.secure else cookie


def read(connection: HTTPConnection, cookie: str, settings: ApiSettings) -> str:
    """'' where there is none."""
    return connection.cookies.get(named(cookie, settings), "")


def session_of(connection: HTTPConnection, settings: ApiSettings) -> str:
    return read(connection, COOKIE, settings)


def set_session(response: Response, secret: str, settings: ApiSettings) -> None:
    """Until the browser closes, or the session ends here."""
    _set(response, COOKIE, secret, settings, "strict", None)


def set_short(
    response: Response, cookie: str, secret: str, settings: ApiSettings, samesite: Literal["lax", "strict"]
) -> None:
    """For ten minutes."""
    _set(response, cookie, secret, settings, samesite, _SHORT_S)


def clear(response: Response, cookie: str, settings: ApiSettings) -> None:
    response.delete_cookie(named(cookie, settings), path="/", httponly=True, samesite="strict", secure=settings.secure)


def _set(
    response: Response,
    cookie: str,
    secret: str,
    settings: ApiSettings,
    samesite: Literal["lax", "strict"],
    max_age_s: int | None,
) -> None:
    response.set_cookie(
        named(cookie, settings),
        secret,
        max_age=max_age_s,
        path="/",
        httponly=True,
        samesite=samesite,
        secure=settings.secure,
    )
