"""What every door for edges must do. Inherit `EdgeDoorContract` and give it a door and an engineer's hand.

class TestMyDoor(EdgeDoorContract):
    def door(self) -> EdgeDoor: ...
    def hand(self) -> EdgesHand: ...        invites and revokes behind the door
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Protocol

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from headrace.model.errors import AccessError, DataError, LimitReached
from headrace.sdk.edges import Edge, EdgeDoor, EdgeToken

PEER = "192.0.2.7"
EDGE, PREFIX = "suzhou", "acme/suzhou"


class EdgesHand(Protocol):
    async def invite(self, name: str, prefix: str) -> str:
        """A token, as text."""
        ...

    async def revoke(self, name: str) -> None: ...


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def request_for(name: str, key: Any | None = None, *, names: int = 1) -> bytes:
    """A certificate request, PEM."""
    key = key or new_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] * names)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    made = x509.CertificateSigningRequestBuilder(subject).sign(key, algorithm)
    return made.public_bytes(serialization.Encoding.PEM)


def first_of(chain: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificates(chain)[0]


def fingerprint(chain: bytes) -> str:
    return first_of(chain).fingerprint(hashes.SHA256()).hex()


async def refused(door: EdgeDoor, token: str, request: bytes, peer: str = PEER) -> str:
    with pytest.raises(AccessError) as caught:
        await door.enrol(token, request, peer)
    return str(caught.value)


class EdgeDoorContract:
    async def test_a_token_brings_a_certificate_that_is_admitted(self, door: EdgeDoor, hand: EdgesHand) -> None:
        edge, chain = await door.enrol(await hand.invite(EDGE, PREFIX), request_for(EDGE), PEER)
        assert edge == Edge(EDGE, PREFIX, fingerprint(chain))
        assert await door.admit(edge.certificate) == edge

    async def test_the_certificate_is_signed_by_whom_the_token_names(self, door: EdgeDoor, hand: EdgesHand) -> None:
        token = await hand.invite(EDGE, PREFIX)
        _, chain = await door.enrol(token, request_for(EDGE), PEER)
        certificate, authority = x509.load_pem_x509_certificates(chain)
        assert authority.fingerprint(hashes.SHA256()) == EdgeToken.parse(token).authority
        certificate.verify_directly_issued_by(authority)
        assert x509.load_pem_x509_certificate((await door.identity()).authority) == authority

    async def test_a_spent_token_is_good_for_nobody_else(self, door: EdgeDoor, hand: EdgesHand) -> None:
        token, mine = await hand.invite(EDGE, PREFIX), request_for(EDGE)
        edge, _ = await door.enrol(token, mine, PEER)
        unknown = await refused(door, replace(EdgeToken.parse(token), secret=b"x" * 32).text, mine)
        assert await refused(door, token, request_for(EDGE), "thief") == unknown
        assert await door.admit(edge.certificate) == edge

    async def test_whoever_lost_the_answer_may_ask_again_until_it_connects(
        self, door: EdgeDoor, hand: EdgesHand
    ) -> None:
        token, mine = await hand.invite(EDGE, PREFIX), request_for(EDGE)
        first = await door.enrol(token, mine, PEER)
        assert await door.enrol(token, mine, PEER) == first
        await door.admit(first[0].certificate)
        await refused(door, token, mine)

    async def test_of_many_who_spend_a_token_at_once_one_gets_in(self, door: EdgeDoor, hand: EdgesHand) -> None:
        token = await hand.invite(EDGE, PREFIX)
        answers = await asyncio.gather(
            *(door.enrol(token, request_for(EDGE), f"peer {n}") for n in range(6)), return_exceptions=True
        )
        assert sum(isinstance(answer, tuple) for answer in answers) == 1
        assert sum(isinstance(answer, AccessError) for answer in answers) == 5

    async def test_a_newer_token_ends_the_older(self, door: EdgeDoor, hand: EdgesHand) -> None:
        older, newer = await hand.invite(EDGE, PREFIX), await hand.invite(EDGE, PREFIX)
        await refused(door, older, request_for(EDGE))
        await door.enrol(newer, request_for(EDGE), PEER)

    async def test_a_token_is_for_one_name(self, door: EdgeDoor, hand: EdgesHand) -> None:
        token = EdgeToken.parse(await hand.invite(EDGE, PREFIX))
        await refused(door, replace(token, edge="wuxi").text, request_for("wuxi"))
        with pytest.raises(DataError, match="must be for 'suzhou'"):
            await door.enrol(token.text, request_for("wuxi"), PEER)
        await door.enrol(token.text, request_for(EDGE), PEER)

    @pytest.mark.parametrize("text", ["", "hre_", "hre_AAAA", "nonsense", "hre_" + "A" * 2_000, "\0", "hre_é"])
    async def test_what_is_no_token_is_told_as_one_that_is_unknown(
        self, door: EdgeDoor, hand: EdgesHand, text: str
    ) -> None:
        spent = replace(EdgeToken.parse(await hand.invite(EDGE, PREFIX)), secret=b"x" * 32)
        assert await refused(door, text, b"") == await refused(door, spent.text, b"")

    async def test_weak_keys_and_broken_requests_are_refused_and_the_token_stays(
        self, door: EdgeDoor, hand: EdgesHand
    ) -> None:
        token = await hand.invite(EDGE, PREFIX)
        weak = rsa.generate_private_key(65537, 1024)
        whole = request_for(EDGE)
        for wrong in (b"", b"x", whole[:100], request_for(EDGE, weak), request_for(EDGE, names=2), b"y" * 20_000):
            with pytest.raises(DataError):
                await door.enrol(token, wrong, "peer of " + repr(wrong[:4]))
        await door.enrol(token, request_for(EDGE, ed25519.Ed25519PrivateKey.generate()), PEER)

    async def test_a_peer_that_guesses_is_slowed(self, door: EdgeDoor) -> None:
        with pytest.raises(LimitReached):
            for _ in range(50):
                await refused(door, "hre_guess", b"")

    async def test_a_revoked_edge_is_out_until_it_enrols_anew(self, door: EdgeDoor, hand: EdgesHand) -> None:
        edge, _ = await door.enrol(await hand.invite(EDGE, PREFIX), request_for(EDGE), PEER)
        await hand.revoke(EDGE)
        with pytest.raises(AccessError, match="revoked"):
            await door.admit(edge.certificate)
        with pytest.raises(AccessError, match="revoked"):
            await door.renew(edge, request_for(EDGE))
        again, _ = await door.enrol(await hand.invite(EDGE, PREFIX), request_for(EDGE), PEER)
        assert await door.admit(again.certificate) == again
        with pytest.raises(AccessError):
            await door.admit(edge.certificate)

    async def test_a_machine_that_takes_the_place_of_another_ends_its_certificate(
        self, door: EdgeDoor, hand: EdgesHand
    ) -> None:
        old, _ = await door.enrol(await hand.invite(EDGE, PREFIX), request_for(EDGE), PEER)
        new, _ = await door.enrol(await hand.invite(EDGE, "acme/wuxi"), request_for(EDGE), PEER)
        assert (await door.admit(new.certificate)).prefix == "acme/wuxi"
        with pytest.raises(AccessError, match="not known"):
            await door.admit(old.certificate)

    async def test_a_renewal_overlaps_until_it_is_used(self, door: EdgeDoor, hand: EdgesHand) -> None:
        old, _ = await door.enrol(await hand.invite(EDGE, PREFIX), request_for(EDGE), PEER)
        await door.renew(old, request_for(EDGE))  # the answer was lost
        renewed = fingerprint(await door.renew(old, request_for(EDGE)))
        assert await door.admit(old.certificate) == old
        assert (await door.admit(renewed)).certificate == renewed
        with pytest.raises(AccessError, match="not known"):
            await door.admit(old.certificate)
        with pytest.raises(AccessError, match="may not renew"):
            await door.renew(old, request_for(EDGE))

    async def test_strangers_are_not_admitted(self, door: EdgeDoor) -> None:
        for stranger in ("", "ab" * 32):
            with pytest.raises(AccessError):
                await door.admit(stranger)
