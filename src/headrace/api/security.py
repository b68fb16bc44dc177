"""Who is calling, and may they: decided before a request's body is read.

request ─► Authorization: Bearer? ── by_token ──┐    (or Token, or Basic with the token as the password: InfluxDB)
        └► cookie headrace_session? by_session ─┤ Caller ─► one-time password? ─► X-Headrace, Origin ─► Action
        └► neither: 401                         ┘
"""

from __future__ import annotations

import base64
import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from headrace.access.roles import ENROLLING
from headrace.api.cookies import session_of
from headrace.api.errors import EnrolmentNeeded, Forbidden, PasswordChangeNeeded
from headrace.api.rates import Rates, peer_of
from headrace.api.rights import Gate, Reach, Right
from headrace.api.settings import ApiSettings
from headrace.model.errors import AccessError, NotFound
from headrace.sdk.access import DEFAULT_TENANT, Action, Principal
from headrace.sdk.accounts import AccessDesk

CSRF_HEADER: Final = "X-Headrace"
#: Sent by the console while nobody touches it: such a request keeps no session alive.
IDLE_HEADER: Final = "X-Headrace-Idle"
#: A Host header: an address in brackets, or a name or address; and a port. Source: RFC 9110 §7.2.
_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]{2,45}(?:%[a-z0-9._-]{1,20})?)\]|([a-z0-9_.-]{1,255}))(?::\d{0,5})?")
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who proved who they are. `session` is the cookie's secret, None for a token; `role` is
    the user's own, also while a one-time password opens nothing."""

    principal: Principal
    session: str | None
    role: str
    must_change_password: bool = False
    must_enrol: bool = False


class Doorkeeper:
    """Identifies callers and admits them to routes."""

    def __init__(self, access: AccessDesk, settings: ApiSettings, rates: Rates) -> None:
        self._access, self._settings, self._rates = access, settings, rates

    async def identify(self, connection: HTTPConnection) -> Caller:
        """Raises: AccessError(authenticated=False)."""
        header = connection.headers.get("authorization")
        if header is not None:
            return await self.by_token(_token(header))
        session = session_of(connection, self._settings)
        if not session:
            raise AccessError("sign in first, or send a token", authenticated=False)
        return await self.by_session(session, quiet=IDLE_HEADER in connection.headers)

    async def by_token(self, token: str) -> Caller:
        principal = await self._access.by_token(token)
        return Caller(principal, None, principal.role)

    async def by_session(self, session: str, *, quiet: bool = False) -> Caller:
        return await self._caller(await self._access.by_session(session, quiet=quiet), session)

    async def by_session_id(self, id: str) -> Caller:
        """For what was let in with a session and stays: its secret may have changed since."""
        return await self._caller(await self._access.by_session_id(id), "")

    async def _caller(self, principal: Principal, session: str) -> Caller:
        try:
            user = await self._access.user(principal.name)
        except NotFound:
            raise AccessError("sign in again", authenticated=False) from None
        return Caller(principal, session, user.role, user.must_change_password, principal.role == ENROLLING)

    async def admit(self, connection: HTTPConnection, method: str, right: Right) -> Caller | None:
        """The caller, None on a public route. Raises: AccessError, LimitReached."""
        if method not in SAFE_METHODS:
            self.check_origin(connection)
        peer = peer_of(connection, self._settings)
        if right.need in (Gate.PUBLIC, Gate.DEVICE):
            self._rates.anonymous(peer)
            return None
        try:
            caller = await self.identify(connection)
        except AccessError:
            self._rates.anonymous(peer)
            raise
        self._rates.principal(caller.principal, peer)
        if caller.session is not None and method not in SAFE_METHODS and connection.headers.get(CSRF_HEADER) != "1":
            raise Forbidden(f"send the header '{CSRF_HEADER}: 1' with a request that changes something")
        self.check(caller, right)
        if right.fresh and caller.session is not None:
            self._access.check_fresh(caller.session)
        return caller

    def check(self, caller: Caller, right: Right) -> None:
        """Raises: AccessError where the caller lacks the right as far as it has to reach."""
        if caller.must_change_password and not right.before_password_change:
            raise PasswordChangeNeeded
        if caller.must_enrol and not right.before_enrolment:
            raise EnrolmentNeeded
        if not isinstance(right.need, Action):
            return
        if right.reach is Reach.PLATFORM and caller.principal.tenant != DEFAULT_TENANT:
            raise AccessError("this is for the operator of the platform, not for its tenants")
        if right.reach is Reach.ANYWHERE and right.need in self._access.rights(caller.principal).areas:
            return
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
    written = _HOST.fullmatch(host_header)
    if written is None:
        return False
    name = (written[1] or written[2]).rstrip(".")
    if name in ("localhost", socket.gethostname().lower()) or name.endswith(".localhost"):
        return True
    if name in {entry.lower() for entry in extra}:
        return True
    try:
        ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return False
    return True
