"""Every operation that the API declares, with data that fits and data that does not, by `make soak` only.

    a real `headrace serve`, a plant that is read, samples, two firms
        ──► its own OpenAPI ──► Schemathesis, as nobody, a viewer, the administrator of another firm, an owner
        ──► no 5xx; statuses, types and bodies as declared; sign-in asked for; what is deleted is gone

HEADRACE_API_MINUTES (default 30) is how long all of them take together; HEADRACE_SEED repeats a run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.modbus_device import DeviceProcess
from tests.e2e.platform_process import environment, platform_process, wait_for
from tests.properties import drawn_seed
from tests.security.entering import signed_in, token_of

from headrace.cli.client import Client

pytestmark = [pytest.mark.soak, pytest.mark.timeout(7200)]

MINUTES = float(os.environ.get("HEADRACE_API_MINUTES") or 30)
ROOT = Path(__file__).parents[2]
HALL = "acme/hall"


@dataclass(frozen=True)
class Who:
    """`share` of the minutes; `without` are the operations that this caller is not to call, each with its reason."""

    name: str
    share: float
    without: dict[str, str]
    rate: str | None = None
    tags: tuple[str, ...] = ()


ENDS_ITSELF = {
    "deleteToken": "may delete the token that the run is made with",
    "updateTenant": "may close the firm that the run belongs to",
    "setPolicy": "may ask for a second factor, which a token has not",
}
ENDS_SESSION = {
    "deleteSession": "is the end of the session that the run is made with",
    "endOwnSession": "may be the same",
    "endUserSession": "may be the same, by the name of its user",
    "endUserSessions": "may be the same",
    "createSession": "answers with another session, or slows the door for a wrong password",
    "changePassword": "a wrong old password slows, then locks, the account",
    "proveAgain": "a wrong password slows, then locks, the account",
}
CALLERS = (
    Who("anonymous", 0.1, {}, rate="8/s"),  # a stranger may ask ten times a second: more would only see 429
    Who("viewer", 0.2, {}),
    Who("beta.administrator", 0.25, ENDS_ITSELF),
    Who("session", 0.1, ENDS_SESSION, tags=("Account", "Session")),  # what a token cannot do: one's own account
    Who("owner", 0.35, ENDS_ITSELF),
)
#: A machine may be unreachable or refuse, and the answer says so: no failure of ours.
OF_MACHINES = ["browseConnection", "getConnectionFingerprint", "trustConnection", "writePoint", "approveWrite"]
CHECKS = [
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "unsupported_method", "use_after_free", "negative_data_rejection",
    "ensure_resource_availability",
]  # fmt: skip
#: As Schemathesis has it, and what is too large for any operation.
REFUSED = [400, 401, 403, 404, 405, 406, 409, 413, 414, 415, 422, 428, 429, 431, "5xx"]
#: For nobody: whoever has a token would ask without it far more often than a stranger may, and be told to wait.
CHECKS_OF_DOORS = ["ignored_auth"]


def plant(port: int) -> str:
    address = "{{table: holding, address: {}, encoding: uint32}}"
    return "\n".join(
        [
            f"connections: {{plc: {{driver: modbus, settings: {{host: 127.0.0.1, port: {port}}}}}}}",
            f"assets: {{acme: {{level: enterprise}}, {HALL}: {{level: area}}}}",
            "points:",
            *(
                f"  {HALL}/counter-{number}: {{type: int64, interval: 500ms, connection: plc, "
                f"access: read-write, address: {address.format(2 * number)}}}"
                for number in range(4)
            ),
        ]
    )


NAMES = {
    "paths": [f"{HALL}/counter-0", f"{HALL}/counter-3", HALL, "acme", "beta/x", "strange"],
    "names": ["plc", "admin", "owner", "viewer", "meter", "edge-1", "beta", "beta.meter", "path", "strange"],
    "times": ["now-1h", "now", "2026-11-22T08:00:00Z", "0", "1700000000", "-1", "9" * 30],
}  # fmt: skip
KNOWN = {
    "path.path": "paths", "query.path": "paths", "query.asset": "paths", "query.point": "paths",
    "path.name": "names", "query.start": "times", "query.end": "times", "query.time": "times",
}  # fmt: skip


def configured(who: Who, token: str | None, seed: int) -> str:
    """A `schemathesis.toml`."""
    lines = [f"seed = {seed}", f"hooks = {json.dumps(str(Path(__file__).with_name('soak_hooks.py')))}",
             "continue-on-failure = true", "request-timeout = 60"]  # fmt: skip
    if who.rate:
        lines.append(f'rate-limit = "{who.rate}"')
    if who.name == "session":
        lines += ["[headers]", 'X-Headrace = "1"', "[auth.openapi.session]", f'api_key = "{token}"']
    elif token:
        lines += ["[auth.openapi.token]", f'bearer = "{token}"']
    for name, values in NAMES.items():
        lines += [f"[dictionaries.{name}]", f"values = {json.dumps(values)}"]
    lines += ["[checks.negative_data_rejection]", f"expected-statuses = {json.dumps(REFUSED)}", "[parameters]"]
    lines += [f'"{where}" = {{ dictionary = "{name}", probability = 0.5 }}' for where, name in KNOWN.items()]
    for operation in OF_MACHINES:
        lines += [
            "[[operations]]", f'include-operation-id = "{operation}"',
            "[operations.checks.not_a_server_error]", 'expected-statuses = ["2xx", "3xx", "4xx", "502", "504"]',
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


@pytest.mark.clause("62443-3-3 SR 3.5", "62443-3-3 SR 3.7", "62443-3-3 SR 7.1", "GB/T 22239-2019 8.1.4.4")
def test_the_api_is_what_it_says_it_is(tmp_path: Path) -> None:
    seed = drawn_seed()
    with (
        DeviceProcess(8) as device,
        platform_process(tmp_path / "home", "-f", str(tmp_path / "plant.yaml")) as platform,
    ):
        (tmp_path / "plant.yaml").write_text(plant(device.port))
        client = platform.start()
        tokens = filled(client)
        document = client.get("/openapi.json")
        wrong = {}
        for who in CALLERS:
            described = tmp_path / f"{who.name}.json"
            described.write_text(json.dumps(one_way_in(document, "session" if who.name == "session" else "token")))
            status, said = attacked(client.url, described, who, tokens.get(who.name), seed, tmp_path)
            print(said[-1500:])
            if status:
                wrong[who.name] = said
            assert platform.process is not None and platform.process.poll() is None, platform.log.read_text()[-5000:]
        log = platform.log.read_text()
        assert not wrong, "\n".join(wrong.values())
        assert "Traceback" not in log and "internal error" not in log, log[-5000:]


def filled(client: Client) -> dict[str, str]:
    """Tokens of all callers, once a device, an edge, a second firm and samples are there."""
    made = client.post("/tenants", {"name": "beta", "roots": ["beta"], "separate_duties": False})
    ((owner, once),) = made["one_time_passwords"].items()
    theirs = signed_in(client.url, owner, once)
    tokens = {"beta.administrator": token_of(theirs, "soak", "administrator")}
    theirs.post("/devices", json={"name": "beta.meter"}).raise_for_status()
    tokens["session"] = theirs.cookies["headrace_session"]
    for role in ("viewer", "owner"):
        tokens[role] = token_of(client.http, f"soak-{role}", role)
    client.post("/devices", {"name": "meter"})
    client.post("/edges", {"name": "edge-1", "prefix": f"{HALL}"})
    wait_for(lambda: client.get("/latest", path=f"{HALL}/counter-0")["paths"], 60, "a sample")
    return tokens


def one_way_in(document: dict[str, Any], way: str) -> dict[str, Any]:
    """Without the other: a good token beside a made-up cookie is a good token."""
    kept: dict[str, Any] = json.loads(json.dumps(document))
    for operations in kept["paths"].values():
        for operation in operations.values():
            operation["security"] = [one for one in operation["security"] if way in one]
    schemes = kept["components"]["securitySchemes"]
    kept["components"]["securitySchemes"] = {way: schemes[way]}
    return kept


def attacked(url: str, described: Path, who: Who, token: str | None, seed: int, folder: Path) -> tuple[int, str]:
    """(exit status, what was said) of Schemathesis."""
    settings = folder / f"{who.name}.toml"
    settings.write_text(configured(who, token, seed))
    command = [
        sys.executable, "-m", "schemathesis.cli", "--config-file", str(settings), "--no-color", "run", str(described),
        "--url", url, "--max-time", str(max(round(MINUTES * 60 * who.share), 10)),
        "--checks", ",".join([*CHECKS, *(CHECKS_OF_DOORS if token is None else ())]),
        *(part for operation in who.without for part in ("--exclude-operation-id", operation)),
        *(part for tag in who.tags for part in ("--include-tag", tag)),
    ]  # fmt: skip
    with (folder / f"{who.name}.txt").open("wb") as log:
        done = subprocess.run(command, stdout=log, stderr=log, cwd=folder, env=environment(), check=False)
    return done.returncode, f"--- {who.name}\n{(folder / f'{who.name}.txt').read_text()}"
