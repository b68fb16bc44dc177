"""Certificates of devices: who gets one, what replaces it, and that what was taken back opens nothing."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from tests.fleet.fakes import Audit, NoDeclarations
from tests.properties import examples

from headrace.access.seal import Keyring
from headrace.fleet.devices import Devices
from headrace.fleet.devices.authority import DeviceAuthority
from headrace.fleet.devices.guests import GuestDoor, read_guests
from headrace.fleet.requests import read_request
from headrace.model.errors import AccessError, Conflict, DataError, LimitReached, NotFound
from headrace.model.events import Event
from headrace.sdk import issuing
from headrace.sdk.devices import Claim, DeviceState, Enrolment
from headrace.sdk.fleet import DeviceChange, IssuedCertificate, NewDevice
from headrace.sdk.secret_files import SecretFiles, is_sealed
from headrace.sdk.testing.clock import FakeClock

DAY_S = 86_400.0
NAME, PEER = "press-7", "192.0.2.7"
KEY = b"0f9b2c4d-enrolment-key"


@pytest.fixture
def told() -> list[Event]:
    return []


def register(engine: Engine, clock: FakeClock, audit: Audit, folder: Path, told: list[Event] | None = None) -> Devices:
    files = SecretFiles(Keyring([b"k" * 32]), folder)

    async def publish(events: object) -> None:
        assert told is not None
        told.extend(events)  # type: ignore[arg-type]

    return Devices(
        engine, clock, audit, NoDeclarations,
        authority=DeviceAuthority(folder / "fleet", files), publish_events=publish,
    )  # fmt: skip


@pytest.fixture
def devices(engine: Engine, clock: FakeClock, audit: Audit, tmp_path: Path, told: list[Event]) -> Devices:
    return register(engine, clock, audit, tmp_path, told)


def request(key: object = None, name: str = "whatever it says") -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer = key or ec.generate_private_key(ec.SECP256R1())
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    made = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(signer, algorithm)  # type: ignore[arg-type]
    return made.public_bytes(serialization.Encoding.PEM)


def shows(issued: IssuedCertificate | str, *, peer: str = PEER, **more: object) -> Claim:
    sha256 = issued if isinstance(issued, str) else issued.sha256
    return Claim("gate", "any-client", peer, certificate=sha256, **more)  # type: ignore[arg-type]


def by_secret(secret: str | None) -> Claim:
    return Claim("gate", NAME, PEER, NAME, (secret or "").encode())


async def given_one(devices: Devices, name: str = NAME, key: object = None) -> IssuedCertificate:
    await devices.add("wang", NewDevice(name))
    return await devices.certificates.issue("wang", name, request(key), at_once=True)


@pytest.mark.clause("62443-3-3 SR 1.8", "62443-4-2 CR 1.8", "62443-3-3 SR 1.2", "GB/T 22239-2019 8.1.4.1")
async def test_the_subject_is_the_registers_and_not_the_requests(devices: Devices) -> None:
    issued = await given_one(devices)
    made = x509.load_pem_x509_certificate(issued.certificate)
    assert made.subject.rfc4514_string() == f"CN={NAME}"
    made.verify_directly_issued_by(x509.load_pem_x509_certificate(issued.authority))
    purposes = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert (await devices.door.admit(shows(issued))).device == NAME


@pytest.mark.clause("62443-3-3 SR 1.9", "62443-4-2 CR 1.9", "62443-4-2 CR 1.5")
async def test_the_authoritys_key_is_sealed(devices: Devices, tmp_path: Path) -> None:
    await given_one(devices)
    assert is_sealed((tmp_path / "fleet" / "devices.key").read_bytes())
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "fleet").iterdir()} == {0o600}


@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate(),
            rsa.generate_private_key(65_537, 2048)], ids=["p256", "ed25519", "rsa"],
)  # fmt: skip
async def test_good_keys_are_taken(devices: Devices, key: object) -> None:
    assert (await devices.door.admit(shows(await given_one(devices, key=key)))).device == NAME


@pytest.mark.clause("62443-3-3 SR 1.9", "62443-3-3 SR 4.3", "62443-4-2 CR 1.9")
async def test_weak_keys_and_requests_without_proof_of_possession_are_refused(devices: Devices) -> None:
    await devices.add("wang", NewDevice(NAME))
    with pytest.raises(DataError, match="weak"):
        await devices.certificates.issue("wang", NAME, request(rsa.generate_private_key(65_537, 1024)))
    whole = bytearray(x509.load_pem_x509_csr(request()).public_bytes(serialization.Encoding.DER))
    whole[-1] ^= 1  # of the signature
    with pytest.raises(DataError):
        await devices.certificates.issue("wang", NAME, bytes(whole))
    with pytest.raises(NotFound):
        await devices.certificates.issue("wang", "nobody", request())
    for days in (0.0, 826.0):
        with pytest.raises(DataError, match="825"):
            await devices.certificates.issue("wang", NAME, request(), days=days)


@pytest.mark.clause("62443-4-2 CR 1.5 RE 1", "62443-3-3 SR 1.9")
async def test_a_key_belongs_to_one_device(devices: Devices) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    await given_one(devices, key=key)
    await devices.add("wang", NewDevice("press-8"))
    with pytest.raises(Conflict, match="another device's"):
        await devices.certificates.issue("wang", "press-8", request(key))


@pytest.mark.clause("62443-3-3 SR 1.5", "62443-4-2 CR 1.5")
async def test_the_secret_is_good_until_the_certificate_is_seen(devices: Devices) -> None:
    _, secret = await devices.add("wang", NewDevice(NAME))
    issued = await devices.certificates.issue("wang", NAME, request())
    assert [one.state for one in devices.certificates.of(NAME)] == ["waiting"]
    await devices.door.admit(by_secret(secret))
    await devices.door.admit(shows(issued))
    assert [one.state for one in devices.certificates.of(NAME)] == ["in use"]
    assert devices.get(NAME).certificate == issued.sha256
    with pytest.raises(AccessError):
        await devices.door.admit(by_secret(secret))


@pytest.mark.clause("62443-3-3 SR 1.5", "62443-4-2 CR 1.5")
async def test_the_old_certificate_is_good_until_the_new_one_is_seen(
    devices: Devices, engine: Engine, clock: FakeClock, tmp_path: Path
) -> None:
    first = await given_one(devices)
    second = await devices.certificates.issue("wang", NAME, request())
    await devices.door.admit(shows(first))
    await devices.door.admit(shows(second))
    with pytest.raises(AccessError):
        await devices.door.admit(shows(first))
    assert "superseded" in devices.refusals()[0].reason
    again = register(engine, clock, Audit(), tmp_path)  # a restart remembers
    await again.start()
    await again.door.admit(shows(second))
    with pytest.raises(AccessError):
        await again.door.admit(shows(first))


async def test_a_certificate_that_nobody_fetched_is_replaced(devices: Devices) -> None:
    await given_one(devices)
    lost = await devices.certificates.issue("wang", NAME, request())
    await devices.certificates.issue("wang", NAME, request())
    with pytest.raises(AccessError):
        await devices.door.admit(shows(lost))


@pytest.mark.clause("62443-3-3 SR 1.8", "62443-4-2 CR 1.8", "62443-4-2 CR 1.9")
async def test_one_that_was_revoked_opens_nothing_and_is_listed_with_the_reason(devices: Devices) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    issued = await given_one(devices, key=key)
    watch = devices.door.changes()
    await devices.certificates.revoke("wang", NAME, "keyCompromise")
    assert await anext(watch) == NAME  # its connections end
    enrolling = {"password": KEY, "enrolment": Enrolment(KEY)}
    for claim in (shows(issued), shows(issued, **enrolling), shows(issued, user="another", **enrolling)):
        with pytest.raises(AccessError):
            await devices.door.admit(claim)
    assert "keyCompromise" in devices.refusals()[0].reason and NAME in devices.refusals()[0].reason
    with pytest.raises(DataError, match="got out"):
        await devices.certificates.issue("wang", NAME, request(key))
    with pytest.raises(Conflict):
        await devices.certificates.revoke("wang", NAME)
    with pytest.raises(DataError, match="no reason"):
        await devices.certificates.revoke("wang", NAME, "because")
    again = await devices.certificates.issue("wang", NAME, request())
    await devices.door.admit(shows(again))


async def test_a_pinned_certificate_is_revoked_by_its_fingerprint(devices: Devices) -> None:
    await devices.add("wang", NewDevice(NAME, certificate="ab" * 32))
    await devices.door.admit(shows("ab" * 32))
    await devices.certificates.revoke("wang", NAME)
    with pytest.raises(AccessError):
        await devices.door.admit(shows("ab" * 32))
    assert "revoked" in devices.refusals()[0].reason


async def test_certificates_of_a_device_that_was_removed_are_told_apart_from_strangers(devices: Devices) -> None:
    issued = await given_one(devices)
    await devices.remove("wang", NAME)
    with pytest.raises(AccessError):
        await devices.door.admit(shows(issued))
    assert "cessationOfOperation" in devices.refusals()[0].reason
    with pytest.raises(AccessError):
        await devices.door.admit(shows("cd" * 32))
    assert "not known" in devices.refusals()[0].reason


@pytest.mark.clause("62443-3-3 SR 1.8", "62443-4-2 CR 1.8")
async def test_the_list_of_revoked_certificates_is_signed_and_says_why(devices: Devices, clock: FakeClock) -> None:
    issued = await given_one(devices)
    other = await given_one(devices, "press-8")
    await devices.certificates.revoke("wang", NAME, "keyCompromise")
    authority = x509.load_pem_x509_certificate(await devices.certificates.authority())
    listed = x509.load_der_x509_crl(await devices.certificates.revocations())
    assert listed.is_signature_valid(authority.public_key())  # type: ignore[arg-type]
    entry = listed.get_revoked_certificate_by_serial_number(serial(issued))
    assert entry is not None
    reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    assert reason is x509.ReasonFlags.key_compromise
    assert listed.get_revoked_certificate_by_serial_number(serial(other)) is None
    number = listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    clock.jump_wall(2 * DAY_S)
    later = x509.load_der_x509_crl(await devices.certificates.revocations())
    assert later.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number > number


def serial(issued: IssuedCertificate) -> int:
    return x509.load_pem_x509_certificate(issued.certificate).serial_number


@pytest.mark.clause("62443-3-3 SR 1.8")
async def test_one_that_ended_opens_nothing_and_its_end_is_told_before(
    devices: Devices, clock: FakeClock, told: list[Event], caplog: pytest.LogCaptureFixture
) -> None:
    issued = await given_one(devices)
    await devices.certificates.watch(devices._publish_events)
    assert told == [] and devices.certificates.ending() == []
    clock.jump_wall(340 * DAY_S)
    for _ in range(2):
        await devices.certificates.watch(devices._publish_events)
    assert [(event.type, event.subject) for event in told] == [("device.certificate.ending", NAME)]
    assert devices.certificates.counts()["ending"] == 1 and "ends on" in caplog.text
    clock.jump_wall(30 * DAY_S)
    with pytest.raises(AccessError):
        await devices.door.admit(shows(issued))
    assert "ended" in devices.refusals()[0].reason
    assert devices.certificates.counts()["ended"] == 1 and devices.certificates.ending()[0].state == "ended"
    clock.jump_wall(100 * DAY_S)
    await devices.certificates.watch(None)
    assert devices.certificates.of(NAME) == []


# --- by the device itself --------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-3-3 SR 1.5", "62443-3-3 SR 1.2")
async def test_a_device_gets_its_first_certificate_by_its_secret(devices: Devices) -> None:
    _, secret = await devices.add("wang", NewDevice(NAME))
    assert secret is not None
    for login, shown in ((NAME, b"wrong"), ("nobody", secret.encode())):
        with pytest.raises(AccessError, match="not known"):
            await devices.certificates.enrol(login, shown, request(), PEER)
    issued = await devices.certificates.enrol(NAME, secret.encode(), request(), PEER)
    await devices.door.admit(shows(issued))
    with pytest.raises(AccessError):  # the secret was good once more, and is no more
        await devices.certificates.enrol(NAME, secret.encode(), request(), PEER)


async def test_who_waits_or_is_blocked_gets_no_certificate(devices: Devices) -> None:
    own = KEY + b":my own words"
    await devices.door.admit(Claim("gate", NAME, PEER, NAME, own, None, Enrolment(KEY)))
    with pytest.raises(AccessError, match="quarantined"):
        await devices.certificates.enrol(NAME, own, request(), PEER)
    await devices.approve("wang", NAME, change=DeviceChange())
    await devices.certificates.enrol(NAME, own, request(), PEER)


async def test_guessing_is_slowed(devices: Devices) -> None:
    await devices.add("wang", NewDevice(NAME))
    with pytest.raises(LimitReached):
        for _ in range(50):
            with pytest.raises(AccessError):
                await devices.certificates.enrol(NAME, b"a guess", request(), PEER)


@pytest.mark.clause("62443-3-3 SR 1.5", "62443-3-3 SR 1.9", "62443-4-2 CR 1.9")
@pytest.mark.parametrize(
    "key", [ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate(),
            rsa.generate_private_key(65_537, 2048)], ids=["p256", "ed25519", "rsa"],
)  # fmt: skip
async def test_a_device_renews_with_the_key_of_its_certificate(devices: Devices, key: object) -> None:
    from cryptography.hazmat.primitives.asymmetric import padding

    issued = await given_one(devices, key=key)
    following = request()
    der = read_request(following).der
    if isinstance(key, ec.EllipticCurvePrivateKey):
        signature = key.sign(der, ec.ECDSA(hashes.SHA256()))
    elif isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(der, padding.PKCS1v15(), hashes.SHA256())
    else:
        assert isinstance(key, ed25519.Ed25519PrivateKey)
        signature = key.sign(der)
    with pytest.raises(AccessError):
        await devices.certificates.renew(issued.certificate, request(), signature, PEER)  # for another request
    renewed = await devices.certificates.renew(issued.certificate, following, signature, PEER)
    await devices.door.admit(shows(issued))
    await devices.door.admit(shows(renewed))
    with pytest.raises(AccessError):  # superseded by now
        await devices.certificates.renew(issued.certificate, following, signature, PEER)


async def test_a_certificate_of_another_authority_renews_nothing(devices: Devices, clock: FakeClock) -> None:
    await given_one(devices)
    now_ns = clock.now_ns()
    other = issuing.make_authority(issuing.new_key(), "x", now_ns, now_ns + 10**17)
    key = issuing.new_key()
    forged = issuing.issue(
        other, key.public_key(), NAME, [x509.DNSName("a")], [ExtendedKeyUsageOID.CLIENT_AUTH], now_ns, now_ns + 10**16
    )  # fmt: skip
    following = request()
    signature = key.sign(read_request(following).der, ec.ECDSA(hashes.SHA256()))
    with pytest.raises(AccessError):
        await devices.certificates.renew(issuing.pem(forged), following, signature, PEER)


async def test_a_device_that_asks_all_day_is_stopped(devices: Devices) -> None:
    await given_one(devices)
    with pytest.raises(LimitReached, match="tomorrow"):
        for _ in range(25):
            await devices.certificates.issue("wang", NAME, request())


# --- copies -----------------------------------------------------------------------------------------------------------


@pytest.mark.clause("62443-4-2 CR 1.5 RE 1", "62443-3-3 SR 1.2")
@pytest.mark.parametrize("quarantine", [False, True])
async def test_one_certificate_in_two_places_is_noticed(
    devices: Devices, audit: Audit, clock: FakeClock, quarantine: bool
) -> None:
    issued = await given_one(devices)
    devices.door.quarantine_doubles = quarantine
    devices.door.seen(NAME, clock.now_ns(), True)
    for peer in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
        await devices.door.admit(shows(issued, peer=peer))
    assert devices.door.doubles.count == 0
    if quarantine:
        with pytest.raises(AccessError, match="two places"):
            await devices.door.admit(shows(issued, peer="192.0.2.2"))
        assert devices.get(NAME).state is DeviceState.QUARANTINED
    else:
        await devices.door.admit(shows(issued, peer="192.0.2.2"))
    assert devices.door.doubles.count == 1
    assert "two places" in devices.refusals()[0].reason
    assert [entry for entry in audit.entries if "device.double" in str(entry)]


async def test_a_device_on_the_move_is_no_copy(devices: Devices, clock: FakeClock) -> None:
    issued = await given_one(devices)
    for peer in ("192.0.2.1", "192.0.2.2") * 10:
        await devices.door.admit(shows(issued, peer=peer))
        devices.door.seen(NAME, clock.now_ns(), True)
        devices.door.seen(NAME, clock.now_ns(), False)
    assert devices.door.doubles.count == 0


# --- edges ------------------------------------------------------------------------------------------------------------


async def test_an_edge_lets_in_both_while_a_certificate_is_renewed(
    devices: Devices, clock: FakeClock, tmp_path: Path
) -> None:
    await devices.add("wang", NewDevice(NAME, asset="acme/line-1/press-7"))
    first = await devices.certificates.issue("wang", NAME, request(), at_once=True)
    version = devices.guests.version
    second = await devices.certificates.issue("wang", NAME, request())
    assert devices.guests.version != version
    door = GuestDoor(tmp_path / "devices.json", clock)
    await door.become(devices.guests.of("acme/line-1"))
    for one in (first, second):
        assert (await door.admit(shows(one))).device == NAME
    await devices.door.admit(shows(second))
    await door.become(devices.guests.of("acme/line-1"))
    with pytest.raises(AccessError):
        await door.admit(shows(first))
    before = devices.guests.of("acme/line-1").replace(',"next_certificate":null', "")
    assert read_guests(before)  # as an older hub tells it


# --- what parses bytes ------------------------------------------------------------------------------------------------

_REQUEST = request()
_DER = read_request(_REQUEST).der


@settings(deadline=None, max_examples=examples(200), suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300), st.integers(0, len(_DER)), st.integers(0, 40), st.booleans())
def test_any_bytes_are_a_request_or_our_error(noise: bytes, at: int, cut: int, encoded: bool) -> None:
    whole = _DER[:at] + noise + _DER[at + cut :]
    for data in (noise, base64.b64encode(whole) if encoded else whole):
        try:
            read_request(data)
        except DataError:
            pass


def test_a_request_is_read_as_est_sends_it() -> None:
    lines = base64.encodebytes(_DER)
    assert read_request(lines) == read_request(_DER) == read_request(_REQUEST)
