"""Who is calling, and may they: decided before a request's body is read.

request ─► Authorization: Bearer? ── by_token ──┐    (or Token, or Basic with the token as the password: InfluxDB)
        └► cookie headrace_session? by_session ─┤ Caller ─► one-time password? ─► X-Headrace, Origin ─► Action
        └► neither: 401                         ┘
"""

from __future__ import annotations

import base64
import ipaddress
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from headrace.api.errors import Forbidden, PasswordChangeNeeded
from headrace.api.rights import Gate, Right
from headrace.api.settings import ApiSettings
from headrace.model.errors import AccessError, NotFound
from headrace.sdk.access import Action, Principal
from headrace.sdk.services import AccessDesk

COOKIE: Final = "headrace_session"
CSRF_HEADER: Final = "X-Headrace"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who proved who they are. `session` is the cookie's secret, None for a token; `role` is
    the user's own, also while a one-time password opens nothing."""

    principal: Principal
    session: str | None
    role: str
    must_change_password: bool = False


class Doorkeeper:
    """Identifies callers and admits them to routes."""

    def __init__(self, access: AccessDesk, settings: ApiSettings) -> None:
        self._access, self._settings = access, settings

    async def identify(self, connection: HTTPConnection) -> Caller:
        """Raises: AccessError(authenticated=False)."""
        header = connection.headers.get("authorization")
        if header is not None:
            return await self.by_token(_token(header))
        session = connection.cookies.get(COOKIE)
        if not session:
            raise AccessError("sign in first, or send a token", authenticated=False)
        return await self.by_session(session)

    async def by_token(self, token: str) -> Caller:
        principal = await self._access.by_token(token)
        return Caller(principal, None, principal.role)

    async def by_session(self, session: str) -> Caller:
        principal = await self._access.by_session(session)
        try:
            user = await self._access.user(principal.name)
        except NotFound:
            raise AccessError("sign in again", authenticated=False) from None
        return Caller(principal, session, user.role, user.must_change_password)

    async def admit(self, connection: HTTPConnection, method: str, right: Right) -> Caller | None:
        """The caller, None on a public route. Raises: AccessError."""
        if method not in SAFE_METHODS:
            self.check_origin(connection)
        if right.need is Gate.PUBLIC:
            return None
        caller = await self.identify(connection)
        if caller.session is not None and method not in SAFE_METHODS and connection.headers.get(CSRF_HEADER) != "1":
            raise Forbidden(f"send the header '{CSRF_HEADER}: 1' with a request that changes something")
        self.check(caller, right)
        return caller

    def check(self, caller: Caller, right: Right) -> None:
        """Raises: AccessError where the caller lacks the right on the plant as a whole."""
        if caller.must_change_password and not right.before_password_change:
            raise PasswordChangeNeeded
        if isinstance(right.need, Action):
            self._access.check(caller.principal, right.need, "")

    def check_origin(self, connection: HTTPConnection) -> None:
        """A browser names the page that asks; it has to be one of ours. Raises: Forbidden."""
        origin = connection.headers.get("origin")
        if origin is None or origin in self._settings.origins:
            return
        if urlsplit(origin).netloc.lower() != connection.headers.get("host", "").lower():
            raise Forbidden("this page is not part of Headrace; name its origin in the settings if it should be")


def _token(header: str) -> str:
    """Raises: AccessError."""
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() == "basic":
        try:
            token = base64.b64decode(token, validate=True).decode().partition(":")[2]
        except ValueError:
            token = ""
    if scheme.lower() not in ("bearer", "token", "basic") or not token:
        raise AccessError("the Authorization header must be 'Bearer <token>'", authenticated=False)
    return token


def host_is_ours(host_header: str, extra: tuple[str, ...]) -> bool:
    """Whether a Host header can be meant for us. A name that an attacker controls (DNS rebinding) never is.

    IP addresses cannot be rebound, so they pass; so do localhost, this machine's name and the names in `extra`.
    """
    try:
        name = (urlsplit(f"//{host_header}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if name in ("localhost", socket.gethostname().lower()) or name.endswith(".localhost"):
        return True
    if name in {entry.lower() for entry in extra}:
        return True
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
