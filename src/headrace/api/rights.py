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
    DEVICE = "device"  # a machine, by its own credential: the route itself asks the register of devices
    SIGNED_IN = "signed-in"  # anybody who has proved who they are


class Reach(StrEnum):
    """How much of the tenant a right has to span."""

    ANYWHERE = "anywhere"  # on some part: what is answered is narrowed to it, what is changed is checked by its path
    WHOLE = "whole"
    PLATFORM = "platform"  # and the tenant is the platform's own


@dataclass(frozen=True, slots=True)
class Right:
    """`before_password_change`: also for a user who still has the one-time password. `before_enrolment`: also for one
    whose second factor is missing. `fresh`: a person at a browser proved themselves within the last five minutes; for
    what lets somebody in, gives rights, or takes a safeguard away. A token has no person to ask. `any_query`: the
    caller is sent by a program that adds parameters of its own. `timed`: the request timeout applies; a write to a
    device has its own expiry and must not be abandoned half-way. `essential`: also while nothing can be recorded; a
    plant that has to stop writes may always."""

    need: Action | Gate
    before_password_change: bool = False
    before_enrolment: bool = False
    fresh: bool = False
    any_query: bool = False
    timed: bool = True
    reach: Reach = Reach.WHOLE
    essential: bool = False

    @property
    def recorded(self) -> bool:
        """Whether doing it, where it changes something, is refused while the audit trail cannot be written.

        Samples flow on: no essential function stops. Source: IEC 62443-3-3 SR 2.10.
        """
        return not self.essential and self.need not in (Action.VIEW, Action.INGEST)


_VIEW: Final = Right(Action.VIEW, reach=Reach.ANYWHERE)
_VIEW_WHOLE: Final = Right(Action.VIEW)  # of what has no place in the plant
_CONFIGURE: Final = Right(Action.CONFIGURE)
_MAINTAIN: Final = Right(Action.MAINTAIN)
_ADMINISTER: Final = Right(Action.ADMINISTER)
_SECURE: Final = Right(Action.SECURE)
_AUDIT: Final = Right(Action.AUDIT)
_OPERATE: Final = Right(Action.OPERATE, reach=Reach.PLATFORM)
_STATE: Final = Right(Action.VIEW, reach=Reach.PLATFORM)  # of the process that all tenants share
# As long as the body is, which is bounded in bytes and in silence:
_INGEST: Final = Right(Action.INGEST, timed=False, reach=Reach.ANYWHERE)
# What whoever finds a screen unattended must not do. Source: IEC 62443-3-3 SR 1.1, SR 2.1; OWASP ASVS 5.0 V7.5.
_ADMINISTER_FRESH: Final = Right(Action.ADMINISTER, fresh=True)
_SECURE_FRESH: Final = Right(Action.SECURE, fresh=True)
_OPERATE_FRESH: Final = Right(Action.OPERATE, reach=Reach.PLATFORM, fresh=True)
# Stops and starts processes, each of which has its own limit:
_BRING: Final = Right(Action.OPERATE, reach=Reach.PLATFORM, fresh=True, timed=False)
_TAKE_IN: Final = Right(Action.CONFIGURE, fresh=True, timed=False)
_OWN_SESSION: Final = Right(Gate.SIGNED_IN, before_password_change=True, before_enrolment=True)
_OWN_ACCOUNT: Final = Right(Gate.SIGNED_IN, before_enrolment=True)
_OWN_FACTORS: Final = Right(Gate.SIGNED_IN, before_enrolment=True, fresh=True)
_DOOR: Final = Right(Gate.PUBLIC, before_password_change=True, before_enrolment=True)

RIGHTS: Final[Mapping[str, Right]] = {
    "getHealth": Right(Gate.PUBLIC, before_password_change=True),
    "createSession": _DOOR,
    "completeSession": _DOOR,
    "getPendingSession": _DOOR,
    "createPasskeyOptions": _DOOR,
    "createPasskeySession": _DOOR,
    "listProviders": _DOOR,
    "getNotice": _DOOR,
    "departToProvider": _DOOR,
    "arriveFromProvider": Right(
        Gate.PUBLIC, before_password_change=True, before_enrolment=True, any_query=True
    ),  # RFC 6749 §4.1.2
    "getSession": _OWN_SESSION,
    "deleteSession": _OWN_SESSION,
    "changePassword": _OWN_SESSION,
    "getProofOptions": _OWN_ACCOUNT,
    "proveAgain": _OWN_ACCOUNT,
    "getFactors": _OWN_ACCOUNT,
    "offerTotp": _OWN_FACTORS,
    "confirmTotp": _OWN_FACTORS,
    "removeTotp": _OWN_FACTORS,
    "createRecoveryCodes": _OWN_FACTORS,
    "offerPasskey": _OWN_FACTORS,
    "addPasskey": _OWN_FACTORS,
    "removePasskey": _OWN_FACTORS,
    "removeIdentity": _OWN_FACTORS,
    "listOwnSessions": _OWN_ACCOUNT,
    "endOwnSession": _OWN_ACCOUNT,
    "endOtherSessions": _OWN_ACCOUNT,
    "listSafeguards": _SECURE,
    "listUserSessions": _SECURE,
    "endUserSession": _SECURE_FRESH,
    "endUserSessions": _SECURE_FRESH,
    "resetUserFactors": _SECURE_FRESH,
    "unlockUser": _SECURE_FRESH,
    "listUsers": _ADMINISTER,
    "createUser": _ADMINISTER_FRESH,
    "updateUser": _ADMINISTER_FRESH,
    "deleteUser": _ADMINISTER_FRESH,
    "resetPassword": _ADMINISTER_FRESH,
    "listRoles": Right(Gate.SIGNED_IN),
    "setRole": _SECURE_FRESH,
    "deleteRole": _SECURE,
    "getTenant": Right(Gate.SIGNED_IN),
    "getPolicy": _SECURE,
    "setPolicy": _SECURE_FRESH,
    "listTenants": _OPERATE,
    "createTenant": _OPERATE_FRESH,
    "updateTenant": _OPERATE_FRESH,
    "listPartners": Right(Action.SHARE, reach=Reach.ANYWHERE),
    "listGrants": _VIEW,
    "createGrant": Right(Action.SHARE, reach=Reach.ANYWHERE, fresh=True),
    "endGrant": Right(Action.SHARE, reach=Reach.ANYWHERE),
    "listTokens": _ADMINISTER,
    "createToken": _ADMINISTER_FRESH,
    "deleteToken": _ADMINISTER,
    "listAssets": _VIEW,
    "listTypes": _VIEW,
    "listPoints": _VIEW,
    "getPoint": _VIEW,
    "getLatest": _VIEW,
    "getHistoryRaw": _VIEW,
    "getHistoryDownsample": _VIEW,
    "exportHistory": _VIEW,
    "importHistory": Right(
        Action.CONFIGURE, timed=False, reach=Reach.ANYWHERE
    ),  # as long as the file is; paced, bounded
    "ingestJson": _INGEST,
    "ingestLines": _INGEST,
    "ingestLinesV1": _INGEST,
    "queryHistory": Right(Action.VIEW, timed=False, reach=Reach.ANYWHERE),  # has time limits of its own
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
    "startHistoryJob": _OPERATE,
    "getHistoryJob": _OPERATE,
    "listHistoryJobs": _OPERATE,
    "listCalculations": _VIEW,
    "startBackfill": _CONFIGURE,
    "listBackfills": _VIEW_WHOLE,
    "getBackfill": _VIEW_WHOLE,
    "cancelBackfill": _CONFIGURE,
    "startBacktest": _CONFIGURE,
    "listBacktests": _CONFIGURE,
    "getBacktest": _CONFIGURE,
    "cancelBacktest": _CONFIGURE,
    "listStreams": _VIEW_WHOLE,
    "listStreamActs": _VIEW_WHOLE,
    "addStream": Right(Action.CONFIGURE, timed=False),  # it is loaded, which has a time limit of its own
    "placeStream": _CONFIGURE,
    "promoteStream": _CONFIGURE,
    "rollBackStream": _CONFIGURE,
    "retireStream": _CONFIGURE,
    "getStreamDifference": _VIEW_WHOLE,
    "listApps": _VIEW,
    "getApp": _VIEW,
    "listInstalledApps": _OPERATE,
    "installApp": _BRING,
    "installLocalApp": _BRING,
    "updateApp": _BRING,
    "rollBackApp": _BRING,
    "uninstallApp": _BRING,
    "enableApp": _TAKE_IN,  # it gives rights
    "disableApp": _TAKE_IN,
    "getAppSettings": _CONFIGURE,
    "setAppSettings": Right(Action.CONFIGURE, timed=False),  # what runs is stopped first, which has its own limit
    "getAppHealth": _VIEW_WHOLE,
    "getAppLog": _MAINTAIN,
    "exportApp": Right(Action.CONFIGURE, timed=False),
    # Narrowed to what somebody may see: each page and route of an app says which right it takes on the app's assets.
    "listPages": _VIEW,
    "listAppPages": _VIEW,
    "getAppPageFile": Right(Action.VIEW, reach=Reach.ANYWHERE, any_query=True),
    "getAppFrame": _VIEW,
    "getAppWidgets": _VIEW,
    **{
        # as long as the app's own limit of a call
        name: Right(Action.VIEW, reach=Reach.ANYWHERE, any_query=True, timed=False)
        for name in ("getFromApp", "postToApp", "putToApp", "patchInApp", "deleteInApp")
    },
    "listAlarms": _VIEW,
    "acknowledgeAlarms": Right(Action.ACKNOWLEDGE, reach=Reach.ANYWHERE),
    "getAlarmHistory": _VIEW,
    "getAlarmKpis": _VIEW,
    "getAlarmRule": _VIEW,
    "resetAlarms": Right(Action.ACKNOWLEDGE, reach=Reach.ANYWHERE),
    "shelveAlarms": Right(Action.ACKNOWLEDGE, reach=Reach.ANYWHERE),
    "unshelveAlarms": Right(Action.ACKNOWLEDGE, reach=Reach.ANYWHERE),
    "removeAlarms": Right(Action.WRITE, reach=Reach.ANYWHERE, fresh=True),
    "returnAlarms": Right(Action.WRITE, reach=Reach.ANYWHERE),
    "listNotifications": _VIEW,
    "getOnCall": _VIEW,
    "testNotification": Right(Action.CONFIGURE, timed=False),  # as long as a channel may take to answer
    "writePoint": Right(Action.WRITE, timed=False, reach=Reach.ANYWHERE),
    "listWrites": _VIEW,
    "getWriteConditions": _VIEW,
    "approveWrite": Right(Action.APPROVE, timed=False, reach=Reach.ANYWHERE),
    "rejectWrite": Right(Action.APPROVE, timed=False, reach=Reach.ANYWHERE),
    "withdrawWrite": Right(Gate.SIGNED_IN, timed=False),  # their own, also when the right to write is gone
    "listLocks": _VIEW,
    "createLock": Right(Gate.SIGNED_IN, timed=False, essential=True),  # one of three rights, which the desk asks for
    "releaseLock": Right(Action.LOCK, timed=False, reach=Reach.ANYWHERE, fresh=True),
    "listConnections": _VIEW,
    "listOutlets": _VIEW,
    "browseConnection": _MAINTAIN,
    "getConnectionFingerprint": _MAINTAIN,
    "trustConnection": _CONFIGURE,
    "listDevices": _VIEW_WHOLE,
    "listDeviceRefusals": _VIEW_WHOLE,
    "getDevice": _VIEW_WHOLE,
    "createDevice": _CONFIGURE,
    "importDevices": Right(Action.CONFIGURE, timed=False),  # bounded in rows; assets of thousands take their time
    "updateDevice": _CONFIGURE,
    "approveDevice": Right(Action.CONFIGURE, timed=False),
    "blockDevice": _MAINTAIN,
    "rotateDeviceSecret": _MAINTAIN,
    "deleteDevice": _CONFIGURE,
    "listEdges": _VIEW_WHOLE,
    "getEdge": _VIEW_WHOLE,
    "inviteEdge": _CONFIGURE,
    "revokeEdge": _CONFIGURE,
    "deleteEdge": _CONFIGURE,
    "listDeviceCertificates": _VIEW_WHOLE,
    "getDeviceCertificates": _VIEW_WHOLE,
    "issueDeviceCertificate": _MAINTAIN,
    "revokeDeviceCertificate": _MAINTAIN,
    # By the device, which shows what it has: its login and secret, or the signature of its key.
    "renewDeviceCertificate": Right(Gate.DEVICE, before_password_change=True),
    "estCacerts": Right(Gate.PUBLIC, before_password_change=True),
    "estEnroll": Right(Gate.DEVICE, before_password_change=True),
    "getDeviceAuthority": Right(Gate.PUBLIC, before_password_change=True),
    "getDeviceRevocations": Right(Gate.PUBLIC, before_password_change=True),
    "getAuthority": Right(Gate.PUBLIC, before_password_change=True),
    "listCertificates": _STATE,
    "renewCertificate": Right(Action.SECURE, reach=Reach.PLATFORM, fresh=True),
    # Must not be abandoned half-way, and is bounded by what is sealed:
    "rotateKeys": Right(Action.SECURE, timed=False, reach=Reach.PLATFORM, fresh=True),
    "getDeclarations": _CONFIGURE,
    "planDeclarations": _CONFIGURE,
    "applyDeclarations": Right(Action.CONFIGURE, timed=False),
    "getSystem": _STATE,
    "getSecuritySettings": Right(Action.SECURE, reach=Reach.PLATFORM),
    "getAudit": _AUDIT,
    "getAuditState": _AUDIT,
    "exportAudit": _AUDIT,
    "verifyAudit": Right(Action.AUDIT, timed=False),  # as long as the trail is; one at a time
    "getMetrics": _STATE,
    "getOpenapi": Right(Gate.SIGNED_IN),
}
