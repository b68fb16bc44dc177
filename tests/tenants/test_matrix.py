"""Every route × every role × own and other tenant: allowed or refused as `api/rights.py` declares, and nothing told.

A request of each operation names objects of `acme`; who asks is every role of acme, of beta, of the platform's own
tenant, and nobody. `docs/conformance/routes.md` is drawn from the same `admits`.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from tests.api.described import described
from tests.api.test_rights import OPERATIONS
from tests.tenants.hub import OURS, ROLES, Hub
from tools.route_matrix import Admits, admits

from headrace.api.rights import RIGHTS, Gate

LINE = "acme/suzhou/press-shop/line-1"
POINT = f"{LINE}/press-1/oil.temperature"
SETPOINT = f"{LINE}/press-1/setpoint.pressure"
SPAN = {"start": "2026-11-22T08:00:00Z", "end": "2026-11-22T08:10:00Z"}
LINES = {"Content-Type": "text/plain"}

#: What each operation is asked with: query, body, and what stands for the names in its path.
ASKED: dict[str, dict[str, Any]] = {
    "createSession": {"json": {"user": "nobody", "password": "x"}},
    "createUser": {"json": {"name": "acme.new", "role": "viewer"}},
    "updateUser": {"json": {"disabled": True}, "names": {"name": "acme.owner"}},
    "deleteUser": {"names": {"name": "acme.owner"}},
    "resetPassword": {"names": {"name": "acme.owner"}},
    **{
        name: {"names": {"name": "acme.owner", "id": "x"}}
        for name in ("listUserSessions", "endUserSession", "endUserSessions", "resetUserFactors", "unlockUser")
    },
    "createToken": {"json": {"name": "t", "role": "viewer"}},
    "getPoint": {"names": {"path": POINT}},
    "listPoints": {"params": {"asset": LINE}},
    "getLatest": {"params": {"path": POINT}},
    "getHistoryRaw": {"params": {"path": POINT, **SPAN}},
    "getHistoryDownsample": {"params": {"path": POINT, "count": 2, **SPAN}},
    "exportHistory": {"params": {"asset": LINE, "format": "csv", **SPAN}},
    "ingestJson": {"content": json.dumps({"path": POINT, "value": 1.0})},
    "ingestLines": {"content": f"{LINE}/press-1 oil.temperature=1.0\n", "headers": LINES},
    "ingestLinesV1": {"content": f"{LINE}/press-1 oil.temperature=1.0\n", "headers": LINES},
    "queryHistory": {"json": {"sql": f"select count(*) from samples where path = '{POINT}'"}},
    "queryNothing": {"json": {"sql": ""}},
    "prometheusQuery": {"params": {"query": f'point{{path="{POINT}"}}', "time": "1795334405"}},
    "prometheusQueryRange": {
        "params": {"query": f'point{{path="{POINT}"}}', "start": "1795334400", "end": "1795334460", "step": "15"}
    },
    "prometheusSeries": {"params": {"match[]": f'point{{path="{POINT}"}}'}},
    "prometheusValues": {"names": {"label": "path", "name": "path"}},
    "startBacktest": {"json": {"start": "now-1h", "rules": [f"{POINT}:hot"]}},
    **{name: {"names": {"id": "1"}} for name in ("getBackfill", "cancelBackfill")},
    "startBackfill": {"json": {"points": [POINT], "start": "now-1h"}},
    "addStream": {"json": {"source": "acme.mean 1"}},
    "getStreamDifference": {"names": {"name": "acme.wear", "version": "1"}},
    "placeStream": {"json": {"on": "workers"}, "names": {"name": "acme.wear", "version": "1"}},
    "promoteStream": {"json": {"why": "x"}, "names": {"name": "acme.wear", "version": "1"}},
    "retireStream": {"json": {"why": "x"}, "names": {"name": "acme.wear", "version": "1"}},
    "rollBackStream": {"json": {"why": "x"}, "names": {"name": "acme.wear"}},
    **{
        name: {"names": {"name": "acme.view", "path": "count"}}
        for name in (
            "getApp",
            "getAppSettings",
            "getAppHealth",
            "getAppLog",
            "exportApp",
            "listAppPages",
            "getFromApp",
            "postToApp",
            "putToApp",
            "patchInApp",
            "deleteInApp",
        )
    },
    "getAppPageFile": {"names": {"name": "acme.view", "path": "line.js"}},
    "getAppFrame": {"names": {"name": "acme.view", "page": "line"}},
    "getAppWidgets": {"names": {"name": "acme.view", "page": "day"}},
    "enableApp": {"json": {"version": "1.0.0"}, "names": {"name": "acme.view"}},
    "disableApp": {"json": {"data": "keep"}, "names": {"name": "acme.spare"}},
    "setAppSettings": {"json": {"values": {"limit": 70}}, "names": {"name": "acme.view"}},
    "installApp": {"content": "PK"},
    "updateApp": {"content": "PK"},
    "installLocalApp": {"json": {"ticket": "0"}},
    "rollBackApp": {"json": {"why": "x"}},
    "acknowledgeAlarms": {"json": {"rules": [f"{POINT}:hot"]}},
    "getAlarmHistory": {"params": {"point": POINT}},
    "listAlarms": {"params": {"area": LINE}},
    "getAlarmRule": {"names": {"rule": f"{POINT}:hot"}},
    "getAlarmKpis": {"params": {"area": LINE, **SPAN}},
    **{name: {"json": {"rules": [f"{POINT}:hot"]}} for name in ("resetAlarms", "unshelveAlarms", "returnAlarms")},
    **{name: {"json": {"rules": [f"{POINT}:hot"], "reason": "x"}} for name in ("shelveAlarms", "removeAlarms")},
    "listNotifications": {"params": {"alarm": f"{POINT}:hot"}},
    "testNotification": {"json": {"channel": "mail", "contact": "li"}},
    "writePoint": {"json": {"path": SETPOINT, "value": 180, "reason": "warm-up"}},
    "listWrites": {"params": {"path": SETPOINT}},
    "browseConnection": {"names": {"name": "acme.press-plc-1"}},
    "getConnectionFingerprint": {"names": {"name": "acme.press-plc-1"}},
    "trustConnection": {"json": {"fingerprint": "3F:0A"}, "names": {"name": "acme.press-plc-1"}},
    **{name: {"names": {"name": "acme.meter"}} for name in ("getDevice", "blockDevice", "deleteDevice")},
    "createDevice": {"json": {"name": "acme.new"}},
    "updateDevice": {"json": {"note": "x"}, "names": {"name": "acme.meter"}},
    "approveDevice": {"json": {}, "names": {"name": "acme.meter"}},
    "rotateDeviceSecret": {"json": {}, "names": {"name": "acme.meter"}},
    **{name: {"names": {"name": "acme.edge"}} for name in ("getEdge", "revokeEdge", "deleteEdge")},
    "inviteEdge": {"json": {"name": "acme.two", "prefix": "acme/suzhou"}},
    "setRole": {"json": {"actions": ["view"]}, "names": {"name": "acme-role"}},
    "createGrant": {"json": {"partner": "default", "asset": LINE, "purpose": "acme"}},
    "setPolicy": {"json": {"separate_duties": False}},
    "updateTenant": {"json": {"title": "x"}, "names": {"name": "acme"}},
    "createTenant": {"json": {"name": "gamma", "roots": ["gamma"]}},
}
REFUSED = (401, 403)
#: These make something of one's own by that name.
MAKING = ("createUser", "setRole", "createTenant", "createGrant", "createDevice", "inviteEdge", "addStream")
OF_OTHERS = [
    (name, who)
    for name, asked in sorted(ASKED.items())
    for who in ("beta.owner", "default.owner")
    if "acme" in json.dumps(asked) and name not in MAKING
    if (name, who) != ("updateTenant", "default.owner")  # that is the operator's
]


async def ask(client: httpx.AsyncClient, hub: Hub, who: str | None, method: str, path: str, operation: str) -> Any:
    asked = dict(ASKED.get(operation, {}))
    names = asked.pop("names", {})
    for name in ("path", "name", "id", "label", "version", "page"):
        path = path.replace(f"{{{name}:path}}", names.get(name, "x")).replace(f"{{{name}}}", names.get(name, "x"))
    headers = {**OURS, **hub.as_(who), **asked.pop("headers", {})}
    return await client.request(method, path, headers=headers, **asked)


def templates() -> dict[str, tuple[str, str]]:

    return {
        operation["operationId"]: (method.upper(), path)
        for path, methods in described()["paths"].items()
        for method, operation in methods.items()
    }


TEMPLATES = templates()


@pytest.mark.clause(
    "62443-3-3 SR 2.1", "62443-3-3 SR 2.1 RE 1", "62443-3-3 SR 2.1 RE 2", "62443-4-2 CR 2.1", "GB/T 22239-2019 8.1.4.2"
)
@pytest.mark.parametrize("operation", [one[2] for one in OPERATIONS])
async def test_as_declared(client: httpx.AsyncClient, firms: Hub, operation: str) -> None:
    right, (method, path) = RIGHTS[operation], TEMPLATES[operation]
    nobody = await ask(client, firms, None, method, path, operation)
    if right.need is Gate.DEVICE:  # no people's business: `tests/platform/test_device_certificates.py`
        assert nobody.status_code in (400, 401, 415, 422), nobody.text
        return
    assert (nobody.status_code == 401) == (right.need is not Gate.PUBLIC or operation == "createSession"), nobody.text
    for tenant in ("acme", "beta", "default"):
        for role in ROLES:
            if role == "owner" and operation in ("updateUser", "deleteUser", "resetPassword", "updateTenant"):
                continue  # done last, below: it changes the firm that all others are asked of
            cheap = operation == "queryHistory" and role not in ("viewer", "owner", "source")
            asked = "queryNothing" if cheap else operation  # SQL costs a process; two a tenant are enough
            answer = await ask(client, firms, f"{tenant}.{role}", method, path, asked)
            who = (tenant, role, answer.status_code, answer.text[:300])
            assert answer.status_code < 500, who
            declared = admits(right, role)
            if declared is Admits.NO or (declared is Admits.PLATFORM and tenant != "default"):
                assert answer.status_code in REFUSED, who
            elif tenant == "acme":
                assert answer.status_code not in REFUSED or operation in ("changePassword", "createSession"), who
            if tenant == "beta" and operation not in ("listPartners", "getOpenapi"):
                told = answer.text.replace(POINT, "").replace(SETPOINT, "").replace(LINE, "")
                told = told.replace("acme.press-plc-1", "").replace("acme.owner", "").replace("acme.new", "")
                for name in (
                    "acme-role",
                    "acme.meter",
                    "acme.edge",
                    "acme.two",
                    "acme.wear",
                    "acme.view",
                    "acme.spare",
                    "acme.mean",
                    "'acme/suzhou'",
                ):
                    told = told.replace(name, "")
                assert "acme" not in told, who


@pytest.mark.clause("62443-3-3 SR 5.1", "62443-3-3 SR 4.1", "GB/T 22239-2019 8.1.4.2")
@pytest.mark.parametrize(("operation", "who"), OF_OTHERS)
async def test_objects_of_another_tenant_are_not_there(
    client: httpx.AsyncClient, firms: Hub, operation: str, who: str
) -> None:
    """The same status and the same words as for an object that never was."""
    method, path = TEMPLATES[operation]
    theirs = await ask(client, firms, who, method, path, operation)
    ASKED["strange"] = json.loads(json.dumps(ASKED[operation]).replace("acme", "zeta"))
    try:
        never = await ask(client, firms, who, method, path, "strange")
    finally:
        del ASKED["strange"]
    assert theirs.status_code == never.status_code, (theirs.text, never.text)
    assert theirs.text.replace("acme", "zeta") == never.text


@pytest.mark.parametrize("operation", ["updateUser", "deleteUser", "resetPassword", "updateTenant"])
async def test_what_changes_a_firm_is_for_its_own(client: httpx.AsyncClient, firms: Hub, operation: str) -> None:
    method, path = TEMPLATES[operation]
    others = ("beta.owner", "default.owner") if operation != "updateTenant" else ("beta.owner", "acme.owner")
    for who in others:
        answer = await ask(client, firms, who, method, path, operation)
        assert answer.status_code in (403, 404), (who, answer.text)
    own = "default.owner" if operation == "updateTenant" else "acme.owner"
    answer = await ask(client, firms, own, method, path, operation)
    assert answer.status_code < 300 or answer.status_code == 409, answer.text  # the last administrator stays
