"""The console's certificate: made for this machine alone, renewed while connections go on, given ones watched."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.fleet.fakes import Audit

from headrace.access.seal import Keyring
from headrace.access.web_authority import Names
from headrace.access.web_identity import Given, WebIdentity
from headrace.model.errors import ConfigError, Conflict, NotFound
from headrace.model.time import DAY_NS
from headrace.sdk import issuing
from headrace.sdk.secret_files import SecretFiles, is_sealed
from headrace.sdk.testing.clock import FakeClock

NAMES = ["hub", "localhost", "127.0.0.1", "::1", "192.168.7.9"]
DAY_S = 86_400.0
REFUSED = (ssl.SSLError, ConnectionError)


class Machine:
    """A home, its clock, and the names that it has now."""

    def __init__(self, home: Path, clock: FakeClock) -> None:
        self.home, self.clock, self.names = home, clock, list(NAMES)
        self.files = SecretFiles(Keyring([b"k" * 32]), home)

    async def started(self, given: Given | None = None) -> WebIdentity:
        web = WebIdentity(
            self.home / "tls", self.files, lambda: Names.of(self.names), self.clock, Audit(), given
        )  # fmt: skip
        await web.start()
        return web


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    clock = FakeClock()
    clock.jump_wall(_now_s() - clock.now_ns() / 1e9)  # TLS looks at the real clock
    return Machine(tmp_path, clock)


def _now_s() -> float:
    import time

    return time.time()


def certificate(web: WebIdentity) -> x509.Certificate:
    return x509.load_pem_x509_certificate(web.server().chain)


@asynccontextmanager
async def echoing(context: ssl.SSLContext) -> AsyncIterator[int]:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


class Peer:
    """A client that trusts one authority."""

    def __init__(self, authority: bytes, port: int) -> None:
        self.context = ssl.create_default_context(cadata=authority.decode())
        self.port = port

    async def open(self, name: str = "localhost") -> Callable[[bytes], object]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.context, server_hostname=name)
        self.shown = x509.load_der_x509_certificate(writer.get_extra_info("ssl_object").getpeercert(True))

        async def say(data: bytes) -> bytes:
            writer.write(data)
            return await reader.readexactly(len(data))

        return say


@pytest.mark.clause("62443-3-3 SR 1.8", "62443-4-2 CR 1.8", "GB/T 22239-2019 8.1.2.2")
async def test_an_authority_for_this_machine_alone(machine: Machine) -> None:
    web = await machine.started()
    authority = x509.load_pem_x509_certificate(web.authority())
    permitted = authority.extensions.get_extension_for_class(x509.NameConstraints)
    assert permitted.critical
    subtrees = permitted.value.permitted_subtrees or []
    assert {one.value for one in subtrees if isinstance(one, x509.DNSName)} == {"hub", "localhost"}
    assert all(one.value.is_private for one in subtrees if isinstance(one, x509.IPAddress))
    own = certificate(web)
    own.verify_directly_issued_by(authority)
    shown = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert set(shown.get_values_for_type(x509.DNSName)) == {"hub", "localhost"}
    assert ipaddress.ip_address("192.168.7.9") in shown.get_values_for_type(x509.IPAddress)
    assert (own.not_valid_after_utc - own.not_valid_before_utc).days <= 398
    folder = machine.home / "tls"
    assert all(is_sealed((folder / name).read_bytes()) for name in ("ca.key", "server.key"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}


async def test_it_is_the_same_after_a_restart(machine: Machine) -> None:
    assert (await machine.started()).server() == (await machine.started()).server()


@pytest.mark.clause("62443-3-3 SR 3.1 RE 1", "62443-3-3 SR 1.2")
async def test_names_that_are_not_its_own_and_strangers_are_refused(machine: Machine) -> None:
    web = await machine.started()
    async with echoing(web.live.context) as port:
        assert await (await Peer(web.authority(), port).open())(b"hello") == b"hello"
        assert await (await Peer(web.authority(), port).open("192.168.7.9"))(b"hello") == b"hello"
        with pytest.raises(ssl.SSLCertVerificationError, match="ostname"):
            await Peer(web.authority(), port).open("bank.example")
        stranger = issuing.make_authority(
            issuing.new_key(), "x", machine.clock.now_ns(), machine.clock.now_ns() + DAY_NS
        )
        with pytest.raises(ssl.SSLCertVerificationError):
            await Peer(issuing.pem(stranger.certificate), port).open()


async def test_a_stolen_authority_opens_no_other_name(machine: Machine) -> None:
    web = await machine.started()
    key = issuing.new_key()
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    stolen = load_pem_private_key(machine.files.read(machine.home / "tls" / "ca.key"), None)
    authority = issuing.Authority(stolen, x509.load_pem_x509_certificate(web.authority()))  # type: ignore[arg-type]
    now_ns = machine.clock.now_ns()
    forged = issuing.issue(
        authority, key.public_key(), "bank.example", [x509.DNSName("bank.example")],
        [ExtendedKeyUsageOID.SERVER_AUTH], now_ns - DAY_NS, now_ns + DAY_NS,
    )  # fmt: skip
    web.live.become(issuing.pem(forged), issuing.private_pem(key), "a forgery")
    async with echoing(web.live.context) as port:
        with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
            await Peer(web.authority(), port).open("bank.example")


@pytest.mark.clause("62443-3-3 SR 4.3", "62443-3-3 SR 1.5", "GB/T 22239-2019 8.1.2.2")
async def test_it_is_renewed_under_a_connection_that_stands(machine: Machine) -> None:
    web = await machine.started()
    first = certificate(web)
    async with echoing(web.live.context) as port:
        stands = await Peer(web.authority(), port).open()
        machine.clock.jump_wall(61 * DAY_S)
        await web.check()
        later = Peer(web.authority(), port)
        later.context.verify_flags |= 0x200000  # X509_V_FLAG_NO_CHECK_TIME: the clock of the test is ahead
        await later.open()
        assert later.shown == certificate(web) != first
        assert await stands(b"still here") == b"still here"
    assert issuing.days_left(certificate(web), machine.clock.now_ns()) > 80


async def test_a_new_address_gets_a_certificate_and_a_new_name_an_authority(machine: Machine) -> None:
    web = await machine.started()
    authority, first = web.authority(), certificate(web)
    machine.names.append("10.1.2.3")
    await web.check()
    assert certificate(web) != first and web.authority() == authority
    machine.names.append("plant.example")
    await web.check()
    assert web.authority() != authority
    assert "plant.example" in web.status()[0].names


async def test_a_new_authority_is_made_when_somebody_asks(machine: Machine) -> None:
    web = await machine.started()
    authority, first = web.authority(), certificate(web)
    await web.renew("anna")
    assert web.authority() == authority and certificate(web) != first
    await web.renew("anna", authority=True)
    assert web.authority() != authority


@pytest.mark.parametrize("damage", ["ca.key", "ca.pem", "server.pem"])
async def test_a_damaged_part_is_named(machine: Machine, damage: str) -> None:
    await machine.started()
    (machine.home / "tls" / damage).write_bytes(b"-----BEGIN nonsense")
    with pytest.raises(ConfigError, match="restore"):
        await machine.started()


@pytest.mark.clause("62443-3-3 SR 4.3", "62443-3-3 SR 5.4", "GB/T 22239-2019 8.1.2.2")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_old_versions_are_refused(machine: Machine, version: ssl.TLSVersion) -> None:
    web = await machine.started()
    async with echoing(web.live.context) as port:
        peer = Peer(web.authority(), port)
        peer.context.minimum_version = ssl.TLSVersion.TLSv1
        peer.context.set_ciphers("ALL:@SECLEVEL=0")
        await peer.open()
        peer.context.maximum_version = version
        with pytest.raises(REFUSED):
            await peer.open()


@pytest.mark.clause("62443-3-3 SR 4.3")
async def test_tls_1_2_has_suites_with_forward_secrecy_alone(machine: Machine) -> None:
    web = await machine.started()
    async with echoing(web.live.context) as port:
        peer = Peer(web.authority(), port)
        peer.context.maximum_version = ssl.TLSVersion.TLSv1_2
        await peer.open()
        peer.context.set_ciphers("ECDHE-ECDSA-AES128-SHA256:AES128-GCM-SHA256:DHE-RSA-AES128-SHA")
        with pytest.raises(REFUSED):
            await peer.open()


# --- given certificates -----------------------------------------------------------------------------------------------


def given(folder: Path, now_ns: int, name: str = "localhost") -> tuple[Given, bytes]:
    authority = issuing.make_authority(issuing.new_key(), "Let us", now_ns - 2 * DAY_NS, now_ns + 90 * DAY_NS)
    key = issuing.new_key()
    made = issuing.issue(
        authority, key.public_key(), name, [x509.DNSName(name)], [ExtendedKeyUsageOID.SERVER_AUTH],
        now_ns - DAY_NS, now_ns + 30 * DAY_NS,
    )  # fmt: skip
    (folder / "fullchain.pem").write_bytes(issuing.pem(made))
    (folder / "privkey.pem").write_bytes(issuing.private_pem(key))
    return Given(folder / "fullchain.pem", folder / "privkey.pem"), issuing.pem(authority.certificate)


@pytest.mark.clause("62443-3-3 SR 1.8")
async def test_given_files_win_and_are_taken_anew_when_they_change(machine: Machine) -> None:
    files, authority = given(machine.home, machine.clock.now_ns())
    web = await machine.started(files)
    assert not (machine.home / "tls").exists() and web.fingerprint is None
    with pytest.raises(NotFound):
        web.authority()
    with pytest.raises(Conflict):
        await web.renew("anna")
    async with echoing(web.live.context) as port:
        stands = await Peer(authority, port).open()
        _, newer = given(machine.home, machine.clock.now_ns())
        with pytest.raises(ssl.SSLCertVerificationError):
            await Peer(newer, port).open()
        await web.check()
        await Peer(newer, port).open()
        assert await stands(b"still here") == b"still here"


async def test_given_files_that_do_not_fit_are_told_once_and_the_good_ones_go_on(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    files, authority = given(machine.home, machine.clock.now_ns())
    web = await machine.started(files)
    files.key.write_bytes(issuing.private_pem(issuing.new_key()))  # half of a renewal
    async with echoing(web.live.context) as port:
        await web.check()
        await web.check()
        await Peer(authority, port).open()
    assert len([one for one in caplog.records if "goes on" in one.message]) == 1
    with pytest.raises(ConfigError, match="cannot be used"):
        await machine.started(files)
    files.certificate.unlink()
    with pytest.raises(ConfigError, match="cannot read"):
        await machine.started(files)


@pytest.mark.clause("62443-3-3 SR 1.8", "62443-4-2 CR 1.9")
async def test_a_certificate_that_has_ended_is_told_once_and_clients_refuse_it(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    lately_ns = machine.clock.now_ns() - 31 * DAY_NS  # these are good for 30
    files, authority = given(machine.home, lately_ns)
    machine.clock.jump_wall(-2 * DAY_S)
    web = await machine.started(files)
    assert not caplog.records
    machine.clock.jump_wall(2 * DAY_S)
    await web.check()
    await web.check()
    assert ["has ended" in one.message for one in caplog.records] == [True]
    assert web.status()[0].ends_ns < machine.clock.now_ns()
    async with echoing(web.live.context) as port:
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            await Peer(authority, port).open()
        _, newer = given(machine.home, machine.clock.now_ns())
        await web.check()
        await Peer(newer, port).open()
