"""Who gets in, and the only way that a write takes: the parts of asyncua's server that Headrace replaces.

    ActivateSession ─► name and password ─► a token of Headrace ─► Principal ─► may it view? ─► the session
    Write ─► a point that takes writes? ─► OutletContext.write: authorised, ranged, sent, read back, audited ─► status

A password travels encrypted, for asyncua refuses a user token on a channel whose policy leaves it in the clear unless
that endpoint was declared. Methods, new nodes and history are nobody's here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.internal_session import InternalSession
from asyncua.server.user_managers import UserManager

from headrace.connect.drivers.opcua.lean import LeanInternalServer
from headrace.model.commands import Command, CommandState
from headrace.model.errors import AccessError, HeadraceError, NotFound, Unavailable
from headrace.model.points import Point
from headrace.sdk.access import Principal
from headrace.sdk.outlet import OutletContext

logger = logging.getLogger(__name__)

ANONYMOUS: Final = Principal("anonymous", "viewer", "opcua")
_CODES: Final = ua.StatusCodes


class Visitor(User):  # type: ignore[misc]
    """Whom a session belongs to."""

    def __init__(self, principal: Principal) -> None:
        super().__init__(role=UserRole.User, name=principal.name)
        self.principal = principal


class Users(UserManager):  # type: ignore[misc]
    """Tokens of Headrace as passwords; the name that goes with one is up to its holder."""

    def __init__(self, context: OutletContext, anonymous: bool) -> None:
        self._context, self._anonymous = context, anonymous

    def get_user(self, iserver: Any, username: Any = None, password: Any = None, certificate: Any = None) -> Any:
        """None turns the caller away: BadUserAccessDenied."""
        del iserver, certificate
        if username is None and password is None:
            return Visitor(ANONYMOUS) if self._anonymous else None
        try:
            principal = self._context.authenticate(str(password or ""))
            self._context.may_view(principal)
        except AccessError:
            return None
        return Visitor(principal)


class Gate(LeanInternalServer):
    """asyncua's inner server, with sessions of ours for those who come from outside."""

    def __init__(self, context: OutletContext, anonymous: bool, point_of: Callable[[Any], Point | None]) -> None:
        super().__init__(user_manager=Users(context, anonymous))
        self.context, self.point_of = context, point_of
        self.writes = False

    def create_session(self, name: str, user: Any = None, external: bool = False) -> Any:
        kind: Any = Session if external else InternalSession
        return kind(
            self,
            self.aspace,
            self.subscription_service,
            name,
            user=user or User(role=UserRole.Anonymous),
            external=external,
        )


class Session(InternalSession):  # type: ignore[misc]
    """A client's session. Reading is asyncua's; writing is control's."""

    async def write(self, params: Any) -> list[Any]:
        return [ua.StatusCode(await self._write_one(one)) for one in params.NodesToWrite]

    async def _write_one(self, asked: Any) -> int:
        gate: Gate = self.iserver
        point = gate.point_of(asked.NodeId)
        if point is None:
            return int(_CODES.BadNotWritable if asked.NodeId in gate.aspace._nodes else _CODES.BadNodeIdUnknown)
        if asked.AttributeId != ua.AttributeIds.Value or not gate.writes or not point.writable:
            return int(_CODES.BadNotWritable)
        if asked.IndexRange:
            return int(_CODES.BadWriteNotSupported)
        value = asked.Value.Value.Value if asked.Value.Value is not None else None
        if not isinstance(value, bool | int | float | str):
            return int(_CODES.BadTypeMismatch)
        visitor = self.user
        if not isinstance(visitor, Visitor) or visitor.principal is ANONYMOUS:
            return int(_CODES.BadUserAccessDenied)
        try:
            command = await gate.context.write(
                point.path, value, visitor.principal, f"written by an OPC UA client through '{gate.context.outlet}'"
            )
        except NotFound:
            return int(_CODES.BadNodeIdUnknown)
        except Unavailable:
            return int(_CODES.BadResourceUnavailable)
        except HeadraceError:
            return int(_CODES.BadInternalError)
        return status_of(command)

    async def call(self, params: list[Any]) -> list[Any]:
        """Nothing here can be called, but what subscriptions need: asyncua's own methods."""
        return [ua.CallMethodResult(StatusCode=ua.StatusCode(_CODES.BadMethodInvalid)) for _ in params]

    async def history_read(self, params: Any) -> Any:
        del params
        raise ServiceError(_CODES.BadHistoryOperationUnsupported)


def status_of(command: Command) -> int:
    """How a command ended, in OPC UA's words; the audit trail has the rest."""
    if command.state is CommandState.CONFIRMED:
        return int(_CODES.Good)
    if command.state is CommandState.AWAITING:
        return int(_CODES.BadRequestNotComplete)  # not processed yet: a second person decides
    if command.state is CommandState.REFUSED:
        if "may not" in command.detail:
            return int(_CODES.BadUserAccessDenied)
        return int(_CODES.BadOutOfRange)
    return int(_CODES.BadDeviceFailure)
