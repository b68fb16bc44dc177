"""Certificates of devices at a real gateway: other people's clients show good ones and all kinds of bad ones.

openssl makes the keys and requests, mosquitto_pub and paho connect; the gateway shows the platform's own certificate.
"""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.services import require_service

from headrace.fleet.devices.authority import DeviceAuthority
from headrace.model.time import DAY_NS
from headrace.platform.platform import Platform, running
from headrace.platform.settings import Settings
from headrace.sdk import issuing
from headrace.sdk.fleet import DeviceChange, NewDevice
from headrace.sdk.secret_files import SecretFiles
from headrace.sdk.services import SourceFile

PLANT = """\
connections:
  gate:
    driver: gateway
    settings: {{listen: "127.0.0.1:0", tls: {tls}, payload: {{kind: raw}}, processes: {processes}}}
assets: {{acme: {{level: site}}}}
"""

pytestmark = pytest.mark.service("mosquitto_pub")


@dataclass
class Bench:
    """A platform with a gateway, and a folder of keys."""

    platform: Platform
    folder: Path
    port: int = 0

    def request(self, name: str, *kind: str) -> bytes:
        """A key and a request of openssl's making."""
        key = ["-newkey", *(kind or ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"))]
        target = ["-keyout", str(self.folder / f"{name}.key"), "-out", str(self.folder / f"{name}.csr")]
        command = ["openssl", "req", "-new", "-nodes", *key, *target, "-subj", "/CN=whoever"]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        return (self.folder / f"{name}.csr").read_bytes()

    async def given(self, name: str, file: str = "", *kind: str) -> str:
        """A certificate of the platform, in `file`; its SHA-256."""
        request = self.request(file or name, *kind)
        issued = await self.platform.devices.certificates.issue("wang", name, request)
        (self.folder / f"{file or name}.pem").write_bytes(issued.certificate)
        return issued.sha256

    def forged(self, name: str, authority: issuing.Authority | None, begins_ns: int, ends_ns: int) -> None:
        """A certificate for `name`, of this authority, or of its own key."""
        key = issuing.new_key()
        signer = authority or issuing.make_authority(key, name, begins_ns, ends_ns)
        made = issuing.issue(
            signer, key.public_key(), name, [x509.DNSName(name)], [ExtendedKeyUsageOID.CLIENT_AUTH], begins_ns, ends_ns
        )
        chain = issuing.pem(made) + (issuing.pem(signer.certificate) if authority is None else b"")
        (self.folder / f"{name}.pem").write_bytes(chain)
        (self.folder / f"{name}.key").write_bytes(issuing.private_pem(key))

    async def publishes(self, certificate: str, key: str = "", device: str = "press-7") -> bool:
        """Whether mosquitto_pub gets a message acknowledged that only `device` may send."""
        shown = [
            "--cert",
            str(self.folder / f"{certificate}.pem"),
            "--key",
            str(self.folder / f"{key or certificate}.key"),
        ]
        process = await asyncio.create_subprocess_exec(
            "mosquitto_pub", "-p", str(self.port), "-i", f"client-{certificate}", "-t", f"devices/{device}/x",
            "-m", "1", "-q", "1", "-V", "5", "--cafile", str(self.folder / "ca.pem"), *(shown if certificate else []),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        async with asyncio.timeout(30):
            return await process.wait() == 0

    @property
    def reasons(self) -> list[str]:
        return [one.reason for one in self.platform.devices.refusals()]


@pytest.fixture(params=[1, pytest.param(2, marks=pytest.mark.soak)])
async def bench(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    require_service("mosquitto_pub", shutil.which("mosquitto_pub") is not None, "apt-get install mosquitto-clients")
    others = set(listening())  # of whatever else this process serves
    async with running(Settings(home=tmp_path / "home", commit_interval_s=0.01)) as platform:
        bench = Bench(platform, tmp_path / "keys")
        bench.folder.mkdir()
        text = PLANT.format(tls="{}", processes=request.param)
        await platform.registry.apply([SourceFile("a.yaml", text)], actor="wang")
        await until(lambda: bool({*listening()} - others) and platform.web.started)
        (bench.port,) = {*listening()} - others
        (bench.folder / "ca.pem").write_bytes(platform.web.authority())
        yield bench


def listening() -> list[int]:
    process = psutil.Process()
    found = [one for each in (process, *process.children()) for one in each.net_connections("tcp")]
    return [one.laddr.port for one in found if one.status == psutil.CONN_LISTEN]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():
            await asyncio.sleep(0.02)


@pytest.mark.clause("62443-3-3 SR 1.2", "62443-3-3 SR 1.8", "62443-4-2 CR 1.2", "GB/T 22239-2019 8.1.4.1")
@pytest.mark.parametrize("kind", [(), ("rsa:2048",), ("ed25519",)], ids=["p256", "rsa", "ed25519"])
async def test_a_device_with_a_good_certificate_is_let_in(bench: Bench, kind: tuple[str, ...]) -> None:
    await bench.platform.devices.add("wang", NewDevice("press-7"))
    await bench.given("press-7", "", *kind)
    assert await bench.publishes("press-7")
    await until(lambda: bench.platform.devices.get("press-7").messages == 1)
    assert not await bench.publishes("")  # with nothing to show


@pytest.mark.clause("62443-3-3 SR 1.8", "62443-3-3 SR 1.9", "62443-4-2 CR 1.8", "62443-4-2 CR 1.9", "62443-4-2 CR 1.14")
async def test_bad_certificates_of_all_kinds_are_refused(bench: Bench) -> None:
    """Expired, not yet valid, of a wrong authority, of its own making, with the key of another."""
    platform, now_ns = bench.platform, bench.platform.clock.now_ns()
    await platform.devices.add("wang", NewDevice("press-7"))
    await bench.given("press-7")
    await platform.devices.add("wang", NewDevice("press-8"))
    await bench.given("press-8")
    for name in ("press-7", "press-8"):
        assert await bench.publishes(name, device=name)
    home = platform.settings.home
    stolen = DeviceAuthority(home / "fleet", SecretFiles(platform.sealer, home))._opened(now_ns)
    other = issuing.make_authority(
        issuing.new_key(), stolen.certificate.subject.rfc4514_string()[3:], now_ns, now_ns + 10 * DAY_NS
    )
    bench.forged("expired", stolen, now_ns - 3 * DAY_NS, now_ns - DAY_NS)
    bench.forged("early", stolen, now_ns + DAY_NS, now_ns + 3 * DAY_NS)
    bench.forged("unregistered", stolen, now_ns - DAY_NS, now_ns + DAY_NS)
    bench.forged("elsewhere", other, now_ns - DAY_NS, now_ns + DAY_NS)
    bench.forged("self-made", None, now_ns - DAY_NS, now_ns + DAY_NS)
    for name in ("expired", "early", "unregistered", "elsewhere", "self-made"):
        assert not await bench.publishes(name), name
    assert not await bench.publishes("press-7", key="press-8")
    await bench.publishes("press-8", device="press-7")  # MQTT 5 acknowledges with the reason
    await until(lambda: platform.devices.get("press-8").refused == 1)
    assert any("certificate not known" in reason for reason in bench.reasons)  # signed by ours, in no register


@pytest.mark.clause("62443-3-3 SR 1.8", "62443-4-2 CR 1.8", "GB/T 22239-2019 8.1.4.1")
async def test_paho_is_cut_off_when_its_certificate_is_revoked(bench: Bench) -> None:
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    await bench.platform.devices.add("wang", NewDevice("press-7"))
    await bench.given("press-7")
    loop, gone, here = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    client = mqtt.Client(CallbackAPIVersion.VERSION2, "a-paho", protocol=mqtt.MQTTv5)
    own = str(bench.folder / "press-7")
    client.tls_set(str(bench.folder / "ca.pem"), f"{own}.pem", f"{own}.key", tls_version=ssl.PROTOCOL_TLS_CLIENT)
    client.on_connect = lambda *_: loop.call_soon_threadsafe(here.set)
    client.on_disconnect = lambda *_: loop.call_soon_threadsafe(gone.set)
    await asyncio.to_thread(client.connect, "localhost", bench.port)
    client.loop_start()
    try:
        async with asyncio.timeout(30):
            await here.wait()
            await until(lambda: bench.platform.devices.get("press-7").online)
            await bench.platform.devices.certificates.revoke("wang", "press-7", "keyCompromise")
            await gone.wait()
        await until(lambda: any("keyCompromise" in reason for reason in bench.reasons))  # paho tries again
    finally:
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)
    assert not await bench.publishes("press-7")


@pytest.mark.clause("62443-3-3 SR 1.5", "62443-4-2 CR 1.5")
async def test_a_certificate_is_renewed_with_an_overlap(bench: Bench) -> None:
    await bench.platform.devices.add("wang", NewDevice("press-7"))
    await bench.given("press-7")
    assert await bench.publishes("press-7")
    await bench.given("press-7", "newer")
    assert await bench.publishes("press-7")
    assert await bench.publishes("newer")
    assert not await bench.publishes("press-7")
    assert any("superseded" in reason for reason in bench.reasons)


async def test_a_self_made_certificate_is_pinned_and_nobody_elses_is_taken(bench: Bench) -> None:
    now_ns = bench.platform.clock.now_ns()
    for name in ("pinned", "stranger"):
        bench.forged(name, None, now_ns - DAY_NS, now_ns + DAY_NS)
    assert not await bench.publishes("pinned")
    first = (bench.folder / "pinned.pem").read_text().partition("-----END CERTIFICATE-----\n")
    pem = first[0] + first[1]
    await bench.platform.devices.add("wang", NewDevice("press-7", certificate=pem))
    async with asyncio.timeout(30):
        while not await bench.publishes("pinned"):
            await asyncio.sleep(0.05)
    assert not await bench.publishes("stranger")
    await bench.platform.devices.certificates.revoke("wang", "press-7")
    assert not await bench.publishes("pinned")


async def test_the_gateway_shows_a_renewed_certificate_while_devices_stay(bench: Bench) -> None:
    _, secret = await bench.platform.devices.add("wang", NewDevice("press-7"))
    context = ssl.create_default_context(cafile=str(bench.folder / "ca.pem"))

    async def shown() -> bytes:
        _, writer = await asyncio.open_connection("localhost", bench.port, ssl=context)
        found: bytes = writer.get_extra_info("ssl_object").getpeercert(True)
        writer.close()
        return found

    first = await shown()
    await bench.platform.web.renew("wang")
    async with asyncio.timeout(30):
        while await shown() == first:
            await asyncio.sleep(0.05)
    assert secret


async def test_openssl_reads_the_list_of_revoked_certificates(bench: Bench) -> None:
    await bench.platform.devices.add("wang", NewDevice("press-7"))
    await bench.given("press-7")
    await bench.platform.devices.certificates.revoke("wang", "press-7", "keyCompromise")
    (bench.folder / "list.crl").write_bytes(await bench.platform.devices.certificates.revocations())
    authority = bench.folder / "devices.pem"
    authority.write_bytes(await bench.platform.devices.certificates.authority())
    command = ["openssl", "crl", "-inform", "DER", "-in", str(bench.folder / "list.crl"), "-noout", "-text"]
    command += ["-CAfile", str(authority)]
    said = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True, timeout=30)
    assert "verify OK" in said.stderr and "Key Compromise" in said.stdout


async def test_what_needs_no_key_is_not_asked_for_one(bench: Bench) -> None:
    """Devices with passwords come as before, over TLS."""
    _, secret = await bench.platform.devices.add("wang", NewDevice("press-7"))
    await bench.platform.devices.change("wang", "press-7", DeviceChange(note="old"))
    process = await asyncio.create_subprocess_exec(
        "mosquitto_pub", "-p", str(bench.port), "-u", "press-7", "-P", secret or "", "-t", "devices/press-7/x",
        "-m", "1", "-q", "1", "--cafile", str(bench.folder / "ca.pem"),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    assert await process.wait() == 0
