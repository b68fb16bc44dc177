"""Who may call what: every route by its operation id. A route that is not here cannot be built."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from headrace.sdk.access import Action


class Gate(StrEnum):
    """Needs that are no right of a role."""

    PUBLIC = "public"  # no login
    SIGNED_IN = "signed-in"  # anybody who has proved who they are


@dataclass(frozen=True, slots=True)
class Right:
    """`before_password_change`: also for a user who still has the one-time password. `timed`: the request timeout
    applies; a write to a device has its own expiry and must not be abandoned half-way."""

    need: Action | Gate
    before_password_change: bool = False
    timed: bool = True


_VIEW: Final = Right(Action.VIEW)
_CONFIGURE: Final = Right(Action.CONFIGURE)
_ADMINISTER: Final = Right(Action.ADMINISTER)
_INGEST: Final = Right(Action.INGEST, timed=False)  # as long as the body is, which is bounded in bytes and in silence
_OWN_SESSION: Final = Right(Gate.SIGNED_IN, before_password_change=True)

RIGHTS: Final[Mapping[str, Right]] = {
    "getHealth": Right(Gate.PUBLIC, before_password_change=True),
    "createSession": Right(Gate.PUBLIC, before_password_change=True),
    "getSession": _OWN_SESSION,
    "deleteSession": _OWN_SESSION,
    "changePassword": _OWN_SESSION,
    "listUsers": _ADMINISTER,
    "createUser": _ADMINISTER,
    "updateUser": _ADMINISTER,
    "deleteUser": _ADMINISTER,
    "listTokens": _ADMINISTER,
    "createToken": _ADMINISTER,
    "deleteToken": _ADMINISTER,
    "listAssets": _VIEW,
    "listTypes": _VIEW,
    "listPoints": _VIEW,
    "getPoint": _VIEW,
    "getLatest": _VIEW,
    "getHistoryRaw": _VIEW,
    "getHistoryDownsample": _VIEW,
    "exportHistory": _VIEW,
    "importHistory": Right(Action.CONFIGURE, timed=False),  # as long as the file is; paced, and bounded in bytes
    "ingestJson": _INGEST,
    "ingestLines": _INGEST,
    "ingestLinesV1": _INGEST,
    "queryHistory": Right(Action.VIEW, timed=False),  # reads what every viewer reads; it has time limits of its own
    "prometheusQuery": _VIEW,
    "prometheusQueryForm": _VIEW,
    "prometheusQueryRange": _VIEW,
    "prometheusQueryRangeForm": _VIEW,
    "prometheusSeries": _VIEW,
    "prometheusSeriesForm": _VIEW,
    "prometheusLabels": _VIEW,
    "prometheusLabelsForm": _VIEW,
    "prometheusValues": _VIEW,
    "prometheusMetadata": _VIEW,
    "prometheusBuildinfo": _VIEW,
    "startHistoryJob": _ADMINISTER,
    "getHistoryJob": _ADMINISTER,
    "listHistoryJobs": _ADMINISTER,
    "listAlarms": _VIEW,
    "acknowledgeAlarms": Right(Action.ACKNOWLEDGE),
    "getAlarmHistory": _VIEW,
    "writePoint": Right(Action.WRITE, timed=False),
    "listWrites": _VIEW,
    "listConnections": _VIEW,
    "listOutlets": _VIEW,
    "browseConnection": _CONFIGURE,
    "getConnectionFingerprint": _CONFIGURE,
    "trustConnection": _CONFIGURE,
    "listDevices": _VIEW,
    "listDeviceRefusals": _VIEW,
    "getDevice": _VIEW,
    "createDevice": _CONFIGURE,
    "importDevices": Right(Action.CONFIGURE, timed=False),  # bounded in rows; assets of thousands take their time
    "updateDevice": _CONFIGURE,
    "approveDevice": Right(Action.CONFIGURE, timed=False),
    "blockDevice": _CONFIGURE,
    "rotateDeviceSecret": _CONFIGURE,
    "deleteDevice": _CONFIGURE,
    "listEdges": _VIEW,
    "getEdge": _VIEW,
    "inviteEdge": _CONFIGURE,
    "revokeEdge": _CONFIGURE,
    "deleteEdge": _CONFIGURE,
    "getDeclarations": _CONFIGURE,
    "planDeclarations": _CONFIGURE,
    "applyDeclarations": Right(Action.CONFIGURE, timed=False),
    "getSystem": _VIEW,
    "getAudit": Right(Action.AUDIT),
    "getMetrics": _VIEW,
    "getOpenapi": _VIEW,
}
