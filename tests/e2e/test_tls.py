"""TLS without anybody giving a certificate: the platform as its users run it, with the clients that they have."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.console.conftest import ARGUMENTS, CHROMIUM
from tests.e2e.platform_process import PlatformProcess, headrace
from tests.services import require_service
from websockets.sync.client import connect as open_socket

from headrace.cli.client import Client
from headrace.model.errors import AccessError


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "home"


@pytest.fixture(scope="module")
def platform(home: Path) -> Iterator[Client]:
    """Beyond loopback, with no certificate given."""
    running = PlatformProcess(home, "--host", "0.0.0.0", "--allow-host", "plant.example")
    try:
        yield running.start()
    finally:
        running.kill()


def port_of(client: Client) -> int:
    return int(client.url.rpartition(":")[2])


def openssl(*arguments: str) -> str:
    require_service("openssl", shutil.which("openssl") is not None, "apt-get install openssl")
    done = subprocess.run(
        ["openssl", *arguments], input="", capture_output=True, text=True, timeout=30, check=False
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.mark.clause("62443-3-3 SR 3.1 RE 1", "62443-3-3 SR 4.1 RE 1", "GB/T 22239-2019 8.1.2.2")
def test_it_starts_beyond_loopback_and_commands_on_this_machine_trust_it(platform: Client, home: Path) -> None:
    assert platform.url.startswith("https://")
    assert platform.get("/system")
    with pytest.raises(OSError), socket.create_connection(("127.0.0.1", port_of(platform)), 5) as plain:
        plain.sendall(b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        if b"HTTP" not in plain.recv(100):
            raise OSError("nothing is answered in the clear")


@pytest.mark.clause("62443-3-3 SR 1.8", "62443-4-2 CR 1.8")
def test_openssl_finds_the_right_chain_and_refuses_other_names(platform: Client, home: Path) -> None:
    ca, where = str(home / "tls" / "ca.pem"), f"127.0.0.1:{port_of(platform)}"
    for name in ("localhost", "plant.example", socket.gethostname().lower()):
        said = openssl("s_client", "-connect", where, "-CAfile", ca, "-verify_hostname", name, "-verify_return_error")
        assert "Verify return code: 0 (ok)" in said and "TLSv1.3" in said
    said = openssl("s_client", "-connect", where, "-CAfile", ca, "-verify_hostname", "bank.example")
    assert "ostname mismatch" in said.lower() or "hostname mismatch" in said.lower()
    assert "Verify return code: 19" in openssl("s_client", "-connect", where, "-verify_hostname", "localhost")


@pytest.mark.clause("62443-3-3 SR 4.3", "GB/T 22239-2019 8.1.2.2")
@pytest.mark.parametrize("version", ["-tls1", "-tls1_1"])
def test_openssl_gets_nowhere_with_old_versions(platform: Client, version: str) -> None:
    where = f"127.0.0.1:{port_of(platform)}"
    said = openssl("s_client", "-connect", where, version, "-cipher", "ALL:@SECLEVEL=0")
    assert "Cipher is (NONE)" in said
    assert "Cipher is ECDHE-ECDSA" in openssl("s_client", "-connect", where, "-tls1_2")


def test_curl_takes_the_authority_that_is_served(platform: Client, tmp_path: Path) -> None:
    require_service("curl", shutil.which("curl") is not None, "apt-get install curl")
    file = tmp_path / "ca.pem"
    file.write_bytes(platform.get_bytes("/ca.pem"))
    for host in ("localhost", "127.0.0.1"):
        url = f"https://{host}:{port_of(platform)}/api/v1/health"
        trusting = ["curl", "-sS", "--cacert", str(file), "-D", "-", url]
        done = subprocess.run(trusting, capture_output=True, text=True, timeout=30, check=True)
        assert '{"status":"ok"}' in done.stdout and "strict-transport-security" in done.stdout
        assert subprocess.run(["curl", "-sS", url], capture_output=True, timeout=30, check=False).returncode == 60


@pytest.mark.clause("62443-3-3 SR 1.8", "62443-3-3 SR 3.1")
@pytest.mark.clause("GB/T 22239-2019 8.2.4.1")
def test_a_command_from_elsewhere_says_what_it_saw_and_how_to_trust_it(platform: Client, tmp_path: Path) -> None:
    pem = platform.get_bytes("/ca.pem")
    sha256 = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).hexdigest()
    pairs = ":".join(re.findall("..", sha256)).upper()
    said = headrace("points", "list", "--server", platform.url)
    assert said.returncode == 1 and pairs in said.stderr and "headrace ca export" in said.stderr
    file = tmp_path / "ca.pem"
    wrong = headrace("ca", "export", "--server", platform.url, "--fingerprint", "ab" * 32, "-o", str(file))
    assert wrong.returncode == 1 and "another authority" in wrong.stderr and not file.exists()
    assert headrace("ca", "export", "--server", platform.url).returncode == 1
    done = headrace("ca", "export", "--server", platform.url, "--fingerprint", pairs, "-o", str(file))
    assert done.returncode == 0 and file.read_bytes() == pem
    os.environ["HEADRACE_TOKEN"] = platform.token or ""
    try:
        assert headrace("--ca", str(file), "ca", "show", "--server", platform.url).returncode == 0
    finally:
        del os.environ["HEADRACE_TOKEN"]


@pytest.mark.clause("62443-3-3 SR 1.5", "62443-3-3 SR 4.3")
def test_a_renewal_drops_neither_a_kept_connection_nor_a_websocket(platform: Client, home: Path) -> None:
    before = shown(platform)
    health = f"{platform.url}/api/v1/health"
    with platform.http.stream("GET", health) as first:  # the pool keeps this connection
        first.read()
        stream = first.extensions["network_stream"]
    address = platform.url.replace("https", "wss") + "/api/v1/live"
    headers = {"Authorization": f"Bearer {platform.token}"}
    with open_socket(address, additional_headers=headers, ssl=platform.verify, proxy=None) as feed:
        feed.send('{"subscribe": []}')
        feed.recv(timeout=10)
        assert headrace("ca", "renew", "--home", str(home)).returncode == 0
        assert shown(platform) != before
        with platform.http.stream("GET", health) as second:
            assert second.read() and second.extensions["network_stream"] is stream
        feed.send('{"subscribe": []}')
        assert feed.recv(timeout=10)


def shown(platform: Client) -> bytes:
    """The certificate that a new connection sees."""
    plain = socket.create_connection(("127.0.0.1", port_of(platform)), 10)
    with platform.verify.wrap_socket(plain, server_hostname="localhost") as tls:
        return tls.getpeercert(True) or b""


@pytest.mark.clause("62443-3-3 SR 4.1", "62443-3-3 SR 1.5", "GB/T 22239-2019 8.1.4.8")
def test_everything_below_the_home_is_its_owners_alone(platform: Client, home: Path) -> None:
    loose = {
        str(path.relative_to(home)): oct(stat.S_IMODE(path.lstat().st_mode))
        for path in (home, *home.rglob("*"))
        if path.lstat().st_mode & 0o077
    }
    assert loose == {}
    for path in home.rglob("*.key"):
        if path.parent != home / "keys":  # the keys that seal and sign are themselves kept there
            assert b"PRIVATE KEY" not in path.read_bytes()


@pytest.mark.clause("62443-3-3 SR 4.3")
def test_a_new_key_for_secrets_while_it_runs(platform: Client, home: Path) -> None:
    before = (home / "tls" / "ca.key").read_bytes()
    done = headrace("keys", "rotate", "--home", str(home), "--json")
    assert json.loads(done.stdout)["files"] >= 2 and (home / "tls" / "ca.key").read_bytes() != before
    assert "keys.rotate" in json.dumps(platform.get("/audit"))
    assert headrace("ca", "renew", "--home", str(home)).returncode == 0


@pytest.mark.browser
def test_chromium_trusts_the_authority_and_opens_the_console(platform: Client, home: Path, tmp_path: Path) -> None:
    require_service("Chromium", CHROMIUM is not None, "apt-get install chromium")
    store, authority = str(tmp_path / ".pki" / "nssdb"), str(home / "tls" / "ca.pem")
    subprocess.run([sys.executable, str(Path(__file__).with_name("nss_store.py")), store, authority], check=True)
    from playwright.sync_api import Error, sync_playwright

    def visit(folder: Path, name: str) -> Any:
        with sync_playwright() as playwright:
            environment: Any = {**os.environ, "HOME": str(folder)}
            rules = f"--host-resolver-rules=MAP {name} 127.0.0.1"
            chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=[*ARGUMENTS, rules], env=environment)
            try:
                page = chromium.new_page()
                answer = page.goto(f"https://{name}:{port_of(platform)}/api/v1/health")
                return answer.status if answer is not None else None, page.evaluate("isSecureContext")
            finally:
                chromium.close()

    assert visit(tmp_path, "localhost") == (200, True)
    assert visit(tmp_path, "plant.example") == (200, True)
    (tmp_path / "other").mkdir()
    with pytest.raises(Error, match="ERR_CERT"):
        visit(tmp_path / "other", "localhost")
    with pytest.raises(Error, match="ERR_CERT"):
        visit(tmp_path, "bank.example")


@pytest.mark.clause("62443-3-3 SR 1.8", "62443-3-3 SR 1.9", "62443-4-2 CR 1.9")
def test_a_device_enrols_with_curl_and_renews_with_openssl(platform: Client, home: Path, tmp_path: Path) -> None:
    require_service("curl", shutil.which("curl") is not None, "apt-get install curl")
    secret = platform.post("/devices", {"name": "press-7"})["secret"]
    base, trust = f"https://localhost:{port_of(platform)}", ["--cacert", str(home / "tls" / "ca.pem")]

    def made(name: str) -> Path:
        key, asked = tmp_path / f"{name}.key", tmp_path / f"{name}.csr"
        openssl("req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                "-keyout", str(key), "-out", str(asked), "-outform", "DER", "-subj", "/CN=anything")  # fmt: skip
        return asked

    def enrol(login: str) -> subprocess.CompletedProcess[bytes]:
        encoded = base64.encodebytes(made("one").read_bytes())
        command = ["curl", "-sS", "-w", "%{http_code}", *trust, "--user", login, "--data-binary", "@-",
                   "-H", "Content-Type: application/pkcs10", f"{base}/.well-known/est/simpleenroll"]  # fmt: skip
        return subprocess.run(command, input=encoded, capture_output=True, timeout=30, check=True)

    assert enrol("press-7:wrong").stdout.endswith(b"401")
    answer = enrol(f"press-7:{secret}").stdout
    assert answer.endswith(b"200")
    (tmp_path / "one.p7").write_bytes(b"-----BEGIN PKCS7-----\n" + answer[:-3] + b"-----END PKCS7-----\n")
    pem = openssl("pkcs7", "-in", str(tmp_path / "one.p7"), "-print_certs")
    assert "CN = press-7" in pem
    (tmp_path / "one.pem").write_text(pem[pem.index("-----BEGIN") :])
    (tmp_path / "devices.pem").write_bytes(platform.get_bytes("/ca/devices.pem"))
    checked = openssl(
        "verify", "-purpose", "sslclient", "-CAfile", str(tmp_path / "devices.pem"), str(tmp_path / "one.pem")
    )
    assert "OK" in checked

    following = made("two")
    openssl("dgst", "-sha256", "-sign", str(tmp_path / "one.key"), "-out", str(tmp_path / "signature"), str(following))
    body = {
        "certificate": (tmp_path / "one.pem").read_text(),
        "request": openssl("req", "-inform", "DER", "-in", str(following)),
        "signature": base64.b64encode((tmp_path / "signature").read_bytes()).decode(),
    }
    anybody = Client(platform.url, None, platform.verify)
    renewed = anybody.post("/device-certificate/renew", body)
    assert renewed["device"] == "press-7"
    with pytest.raises(AccessError):
        anybody.post("/device-certificate/renew", {**body, "signature": base64.b64encode(b"no").decode()})
    (tmp_path / "list.crl").write_bytes(anybody.get_bytes("/ca/devices.crl"))
    listed = openssl("crl", "-inform", "DER", "-in", str(tmp_path / "list.crl"), "-noout", "-text")
    assert "Superseded" in listed  # the first was never shown, and is replaced by the second


@pytest.mark.clause("62443-3-3 SR 1.8", "62443-4-2 CR 1.8")
def test_certificates_from_the_command_line(platform: Client, home: Path, tmp_path: Path) -> None:
    platform.post("/devices", {"name": "press-9"})
    out = tmp_path / "keys"
    at_home = ["--home", str(home)]
    assert headrace("device", "certificate", "press-9", "-o", str(out), "--days", "10", *at_home).returncode == 0
    assert stat.S_IMODE((out / "press-9.key").stat().st_mode) == 0o600
    assert "CN = press-9" in openssl("x509", "-in", str(out / "press-9.pem"), "-noout", "-subject")
    assert "waiting" in headrace("device", "certificates", "press-9", *at_home).stdout
    assert headrace("device", "revoke", "press-9", "--reason", "keyCompromise", *at_home).returncode == 0
    assert "keyCompromise" in headrace("device", "certificates", "press-9", *at_home).stdout
    assert headrace("device", "revoke", "press-9", *at_home).returncode == 1
    said = headrace("doctor", "--json", *at_home)
    assert "device certificates" in said.stdout and "console certificate" in said.stdout


def test_given_certificates_are_trusted_by_commands_on_this_machine(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
        "-keyout", str(key), "-out", str(certificate), "-subj", "/CN=hub.example",
        "-addext", "subjectAltName=DNS:hub.example",
    )  # fmt: skip
    running = PlatformProcess(tmp_path / "home", "--tls-cert", str(certificate), "--tls-key", str(key))
    try:
        client = running.start()
        (only,) = client.get("/certificates")
        assert only["own"] is False and only["names"] == ["hub.example"]
        assert not (tmp_path / "home" / "tls").exists()
        with pytest.raises(Exception, match="not made here"):
            client.get("/ca.pem")
    finally:
        running.kill()
