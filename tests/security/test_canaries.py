"""A secret of every kind, a platform that works with them and fails with them, and then a search for them everywhere.

    canaries ─► homes, variables, files, bodies ─► `headrace serve --log debug`, commands ─► logs, answers, trail,
                                                                   exports, processes, every file of the home
A secret may lie where its user put it, and sealed or hashed; it is told once to whom it was made for, and never again.
"""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import paho.mqtt.client as paho
import psutil
import pyotp
import pytest
from paho.mqtt.enums import CallbackAPIVersion
from tests.e2e.platform_process import headrace, platform_process, wait_for
from tests.security.entering import signed_in

from headrace.access.seal import as_line, new_key
from headrace.cli.client import Client


class Canaries(dict[str, str]):
    """By kind. `told` are the answers that are meant to show one, once."""

    def make(self, kind: str, before: str = "") -> str:
        self[kind] = f"{before}cnry{secrets.token_hex(12)}"
        return self[kind]

    def found_in(self, text: bytes) -> set[str]:
        """Kinds that can be read out of some bytes, as they are or in a usual wrapping."""
        return {
            kind
            for kind, value in self.items()
            for form in (
                value.encode(),
                base64.b64encode(value.encode()).rstrip(b"="),
                value.encode().hex().encode(),
                value.encode("utf-16-le"),
            )
            if form in text
        }


class Echo(BaseHTTPRequestHandler):
    """A receiver and a provider of identities that say in their refusals all that they were sent."""

    timeout = 2  # what speaks MQTT to it

    def do_GET(self) -> None:
        here = f"http://127.0.0.1:{self.connection.getsockname()[1]}"
        names = {
            "authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "jwks",
            "userinfo_endpoint": "userinfo",
        }  # fmt: skip
        self._say(200, {
            "issuer": here, **{name: f"{here}/{path}" for name, path in names.items()},
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"], "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        })  # fmt: skip

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"] or 0)).decode("utf-8", "replace")
        basic = self.headers["authorization"] or ""
        if basic.startswith("Basic "):
            basic += base64.b64decode(basic[6:]).decode()
        said = f"{basic} {body} {dict(self.headers)}"
        self.server.said.append(said)  # type: ignore[attr-defined]
        self._say(400 if self.path == "/token" else 500, {"error": "invalid_client", "error_description": said})

    def _say(self, status: int, document: dict[str, Any]) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def echo() -> Iterator[tuple[str, list[str]]]:
    """Its address, and what it was sent."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        said: list[str] = []
        server.said = said  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", said
        server.shutdown()


def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def plant(url: str, gate: int) -> str:
    gone, port = closed_port(), url.rpartition(":")[2]
    return f"""
connections:
  gate:
    driver: gateway
    settings: {{listen: "127.0.0.1:{gate}", processes: 2, payload: {{kind: raw}}, enrolment: {{key: "file:enrolment"}}}}
  broker:
    driver: mqtt
    settings: {{host: 127.0.0.1, port: {port}, user: plant, password: "env:CANARY_BROKER"}}
  server:
    driver: opcua
    settings: {{url: "opc.tcp://127.0.0.1:{gone}/", security: none, user: plant, password: "file:server"}}
assets: {{acme: {{level: site}}}}
points:
  acme/power: {{type: float64, unit: kW, connection: gate, address: {{device: meter, topic: devices/meter/power}}}}
  acme/order: {{type: text}}
  acme/flow: {{type: float64, connection: broker, address: {{topic: flow}}}}
  acme/level: {{type: float64, connection: server, address: {{node: "ns=2;s=level"}}}}
alarms: {{"acme/power:hot": {{condition: high, limit: 5, priority: high}}}}
outlets:
  erp:
    protocol: webhook
    settings: {{url: "{url}/", token: "env:CANARY_TOKEN", secret: "file:webhook", events: ["*"], samples: true}}
  namespace:
    protocol: mqtt
    settings: {{host: 127.0.0.1, port: {port}, user: out, password: "file:out"}}
"""


def publish(port: int, login: str, password: str) -> None:
    """As a device would, once; whether it was let in is not asked."""
    client = paho.Client(CallbackAPIVersion.VERSION2, client_id=login)
    client.username_pw_set(login, password)
    client.connect("127.0.0.1", port)
    answered = threading.Event()
    client.on_publish = client.on_disconnect = lambda *_: answered.set()
    client.loop_start()
    client.publish(f"devices/{login}/power", "7.5", qos=1)
    answered.wait(5)  # heard or refused; one in quarantine may be told nothing
    client.disconnect()
    client.loop_stop()


@pytest.mark.timeout(300)
@pytest.mark.clause(
    "62443-3-3 SR 4.1", "62443-3-3 SR 1.5", "62443-3-3 SR 1.10", "62443-3-3 SR 6.1", "GB/T 22239-2019 8.1.4.8"
)
def test_no_secret_is_anywhere_but_where_it_was_put(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canaries, heard = Canaries(), dict[str, bytes]()
    home, gate = tmp_path / "home", closed_port()
    (home / "secrets").mkdir(parents=True)
    for name in ("enrolment", "server", "webhook", "out"):
        (home / "secrets" / name).write_text(canaries.make(name) + "\n")
    for name in ("BROKER", "TOKEN", "OIDC"):
        monkeypatch.setenv(f"CANARY_{name}", canaries.make(f"variable {name}"))
    canaries["seal key"] = as_line(new_key()).split()[-1]
    monkeypatch.setenv("CANARY_SEAL", canaries["seal key"])
    with (
        echo() as (url, sent),
        platform_process(
            home, "-f", str(tmp_path / "plant.yaml"), "--sign-in", str(tmp_path / "providers.yaml"), "--log", "debug",
            "--seal-key", "env:CANARY_SEAL",
        ) as platform,
    ):  # fmt: skip
        (tmp_path / "plant.yaml").write_text(plant(url, gate))
        (tmp_path / "providers.yaml").write_text(
            f"providers: [{{name: works, issuer: '{url}', client_id: headrace, client_secret: 'env:CANARY_OIDC'}}]"
        )
        client = platform.start()
        once = re.search(r"one-time password\s+(\S+)", platform.log.read_text())
        assert once is not None
        use(client, once[1], canaries, heard, gate)
        commands(home, canaries, heard)
        heard["children"] = children_of(platform.process.pid if platform.process else 0, client)
        looked_at(client, heard)
        platform.stop()
        # The first password is shown once, to who starts it.
        heard["log"] = platform.log.read_bytes().replace(once[1].encode(), b"")
    canaries["one-time password"] = once[1]
    heard |= files_of(home)
    assert len(canaries) >= 20 and sum(map(len, heard.values())) > 1_000_000
    used = canaries.found_in("".join(sent).encode())
    assert used == {"variable TOKEN", "variable OIDC", "authorisation code"}, "else there was nothing to leak"
    leaks = {where: kinds for where, text in heard.items() if (kinds := canaries.found_in(text))}
    assert leaks == {}


def use(client: Client, once: str, canaries: Canaries, heard: dict[str, bytes], gate: int) -> None:
    """Everything that takes or makes a secret, right and wrong."""

    def keep(answer: httpx.Response) -> None:
        heard[f"{len(heard)} {answer.request.method} {answer.request.url.path} {answer.status_code}"] = (
            answer.read() + str(answer.headers).encode()
        )

    password = canaries.make("password")
    mine = signed_in(client.url, "admin", once, password)
    canaries["session"] = mine.cookies["headrace_session"]
    totp = mine.post("/account/totp").json()["secret"]
    canaries["seed"] = totp
    codes = mine.post("/account/totp/confirm", json={"code": pyotp.TOTP(totp).now()}).json()["codes"]
    canaries |= {f"recovery code {number}": code for number, code in enumerate(codes)}
    canaries["token"] = client.post("/tokens", {"name": "grafana", "role": "viewer"})["secret"]
    canaries["device secret"] = client.post("/devices", {"name": "meter"})["secret"]
    canaries.make("given device secret")
    client.post("/devices", {"name": "meter-2", "secret": canaries["given device secret"]})
    canaries["edge token"] = client.post("/edges", {"name": "edge-1", "prefix": "acme"})["token"]
    canaries["second password"] = client.post("/users", {"name": "li", "role": "viewer"})["one_time_password"]
    canaries["firm's password"] = client.post(
        "/tenants", {"name": "beta", "roots": ["beta"], "separate_duties": False}
    )["one_time_passwords"]["beta.owner"]

    anybody = httpx.Client(
        base_url=f"{client.url}/api/v1", headers={"X-Headrace": "1"}, event_hooks={"response": [keep]}, trust_env=False
    )
    wrong = canaries.make("wrong password")
    for body in (
        {"user": "admin", "password": wrong}, {"user": "admin", "password": [password]}, {"password": password},
        {"user": ["admin"], "password": password}, {"user": "li", "password": password + "x"},
    ):  # fmt: skip
        anybody.post("/session", json=body)
    json_ = {"Content-Type": "application/json"}
    anybody.post("/session", content=f'{{"user": "admin", "password": "{password}", ', headers=json_)
    anybody.post("/session", content=f'"{password}"', headers=json_)
    anybody.post("/session/second-factor", json={"pending": canaries["session"], "code": codes[0]})
    for secret in ("token", "session", "edge token"):
        for path in ("/assets", f"/assets?token={canaries[secret]}", f"/points/{canaries[secret]}"):
            anybody.get(path, headers={"Authorization": f"Bearer {canaries[secret]}x"})
            anybody.get(path, headers={"Cookie": f"headrace_session={canaries[secret]}x"})
    anybody.post(f"{client.url}/write", params={"u": "x", "p": canaries["token"]}, content="acme power=")
    anybody.post(f"{client.url}/write", headers={"Authorization": f"Token {canaries['token']}"}, content="acme power=1")
    left = anybody.get("/session/oidc/works")
    state = httpx.URL(left.headers["location"]).params["state"]
    anybody.get("/session/oidc/works/callback", params={"state": state, "code": canaries.make("authorisation code")})
    client.http.event_hooks = {"response": [keep]}
    for path, body in (
        ("/devices", {"name": "meter-3", "secret": [canaries["given device secret"]]}),
        ("/devices", {"name": "no name", "secret": canaries["given device secret"]}),
        ("/devices", {"name": "meter-2", "secret": canaries["given device secret"]}),
        ("/users", {"name": "li", "role": "viewer", "password": password}),
    ):
        client.http.post(path, json=body)
    guest = canaries.make("secret of a new device")
    wait_for(lambda: listens(gate), 30, "the gateway")
    for login, shown in (
        ("meter", canaries["device secret"]), ("meter", canaries["device secret"] + "x"),
        ("meter-9", f"{canaries['enrolment']}:{guest}"), ("meter-8", canaries["enrolment"]),
    ):  # fmt: skip
        publish(gate, login, shown)
    client.http.post("/history/sql", json={"sql": "SELECT * FROM samples"})
    wait_for(lambda: all(one["error"] for one in client.get("/outlets")), 30, "outlets that are refused")


def listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def commands(home: Path, canaries: Canaries, heard: dict[str, bytes]) -> None:
    """What the command says of secrets that it was given, when all goes wrong."""
    gone, at_home = closed_port(), ("--home", str(home))
    other = home.with_name("other")
    database, history, seal = (canaries.make(kind) for kind in ("database password", "history password", "bad seal"))
    os.environ["CANARY_BAD_SEAL"] = seal
    for variables, arguments in (
        ({}, ("doctor", *at_home)), ({}, ("doctor", "--json", *at_home)), ({}, ("sbom",)),
        ({}, ("export", str(home.with_name("exported")), *at_home)), ({}, ("audit", "tail", *at_home)),
        ({}, ("audit", "export", "-o", str(home.with_name("trail.csv")), *at_home)),
        ({}, ("device", "list", *at_home)), ({}, ("edges", "list", *at_home)), ({}, ("token", "list", *at_home)),
        ({}, ("user", "list", *at_home)), ({}, ("keys", "rotate", *at_home)),
        ({"HEADRACE_TOKEN": canaries["token"] + "x"}, ("points", "list", *at_home)),
        ({}, ("points", "list", "--server", f"http://admin:{canaries['password']}@127.0.0.1:{gone}")),
        ({"HEADRACE_DATABASE_URL": f"postgresql+psycopg://plant:{database}@127.0.0.1:{gone}/plant"},
         ("serve", "--home", str(other), "--port", "0", "--log", "debug", "--for", "1")),
        ({"HEADRACE_DATABASE_URL": f"postgresql+nothing://plant:{database}@127.0.0.1:{gone}/plant"},
         ("serve", "--home", str(other), "--port", "0", "--for", "1")),
        ({"HEADRACE_DATABASE_URL": f"plant:{database}@127.0.0.1"}, ("serve", "--home", str(other), "--for", "1")),
        ({"HEADRACE_HISTORY": f"iotdb://root:{history}@127.0.0.1:{gone}/plant"},
         ("serve", "--home", str(other), "--port", "0", "--log", "debug", "--for", "1")),
        ({}, ("serve", "--home", str(other), "--port", "0", "--for", "1", "--seal-key", "env:CANARY_BAD_SEAL")),
        ({"HEADRACE_EDGE_TOKEN": canaries["edge token"]},
         ("edge", "--hub", f"127.0.0.1:{gone}", "--home", str(other), "--port", "0", "--log", "debug", "--for", "3")),
        ({"HEADRACE_EDGE_TOKEN": canaries["edge token"] + "x"},
         ("edge", "--hub", f"127.0.0.1:{gone}", "--home", str(home.with_name("third")), "--port", "0", "--for", "1")),
    ):  # fmt: skip
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            done = headrace(*arguments)
        heard[f"{len(heard)} command {' '.join(arguments[:2])} {done.returncode}"] = (
            done.stdout + done.stderr
        ).encode()
    for file in (*home.with_name("exported").rglob("*"), home.with_name("trail.csv")):
        if file.is_file():
            heard[str(file)] = file.read_bytes()


def children_of(pid: int, client: Client) -> bytes:
    """Command lines of the platform and all that it started, and what those were given."""
    slow = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range < b.range"
    asking = threading.Thread(target=lambda: client.http.post("/history/sql", json={"sql": slow}), daemon=True)
    asking.start()
    children = wait_for(
        lambda: len(found := psutil.Process(pid).children(recursive=True)) >= 3 and found, 30, "a process for SQL"
    )
    said = [Path(f"/proc/{pid}/cmdline").read_bytes()]
    for child in children:
        said += [Path(f"/proc/{child.pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
    asking.join()
    return b"\n".join(said)


def looked_at(client: Client, heard: dict[str, bytes]) -> None:
    """Everything that can be read of the platform."""
    for path in (
        "/system", "/declarations", "/connections", "/outlets", "/devices", "/device-refusals", "/edges", "/tokens",
        "/users", "/tenants", "/audit?limit=1000", "/audit/export?format=ndjson", "/audit/export?format=csv",
        "/audit/state", "/alarms", "/alarms/history", "/points", "/assets", "/openapi.json", "/certificates",
        "/history/export?asset=&format=csv&start=0", "/latest?path=acme/power", "/history/jobs", "/writes",
        "/devices/meter", "/devices/meter-9", "/edges/edge-1", "/session/providers", f"{client.url}/metrics",
    ):  # fmt: skip
        answer = client.http.get(path)
        assert answer.status_code == 200, (path, answer.text)
        heard[f"GET {path}"] = answer.content


def files_of(home: Path) -> dict[str, bytes]:
    """All but those where the user put them."""
    return {
        str(file.relative_to(home)): file.read_bytes()
        for file in home.rglob("*")
        if file.is_file() and file.parent != home / "secrets"
    }
