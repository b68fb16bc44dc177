"""What every door for devices must do. Inherit `DeviceDoorContract` and give it a door and an engineer's hand.

class TestMyDoor(DeviceDoorContract):
    def door(self) -> DeviceDoor: ...
    def hand(self) -> EngineersHand: ...        adds, approves and blocks behind the door
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import pytest

from headrace.model.errors import AccessError, ConfigError, LimitReached
from headrace.sdk.devices import Admission, Claim, DeviceDoor, DeviceState, Enrolment, Preview

KEY = b"0f9b2c4d-enrolment-key"
CERTIFICATE = "ab" * 32
PEER = "192.0.2.7"


class EngineersHand(Protocol):
    async def add(self, name: str, *, certificate: str | None = None) -> str:
        """An approved device that publishes to `devices/{device}/#`; its secret ('' with a certificate)."""
        ...

    async def approve(self, name: str) -> None: ...

    async def block(self, name: str) -> None: ...


def claim(
    login: str, password: str | bytes | None = None, *, peer: str = PEER, certificate: str | None = None,
    enrolment: Enrolment | None = None,
) -> Claim:  # fmt: skip
    shown = password.encode() if isinstance(password, str) else password
    return Claim("gate", f"client-of-{login}", peer, login, shown, certificate, enrolment)


def enrolling(
    login: str, own: str = ":my own words", *, waiting_max: int = 10, certificate: str | None = None
) -> Claim:
    return claim(login, KEY + own.encode(), certificate=certificate, enrolment=Enrolment(KEY, waiting_max))


async def turned_away(door: DeviceDoor, shown: Claim) -> str:
    """What the device is told."""
    with pytest.raises((AccessError, LimitReached)) as caught:
        await door.admit(shown)
    return str(caught.value)


class DeviceDoorContract:
    async def test_a_device_gets_in_by_its_secret_with_its_topics(self, door: DeviceDoor, hand: EngineersHand) -> None:
        secret = await hand.add("press-7")
        assert await door.admit(claim("press-7", secret)) == Admission(
            "press-7", DeviceState.APPROVED, ("devices/press-7/#",), ("devices/press-7/#",)
        )

    async def test_without_a_user_name_the_client_identifier_is_the_login(
        self, door: DeviceDoor, hand: EngineersHand
    ) -> None:
        secret = await hand.add("press-7")
        assert (await door.admit(Claim("gate", "press-7", PEER, None, secret.encode()))).device == "press-7"

    async def test_a_device_gets_in_by_its_certificate_whatever_else_it_says(
        self, door: DeviceDoor, hand: EngineersHand
    ) -> None:
        await hand.add("press-8", certificate=CERTIFICATE)
        assert (await door.admit(claim("anything", certificate=CERTIFICATE))).device == "press-8"
        await turned_away(door, claim("press-8", ""))
        await turned_away(door, claim("press-8", None))

    async def test_nobody_gets_in_without_a_credential(self, door: DeviceDoor, hand: EngineersHand) -> None:
        secret = await hand.add("press-7")
        for password in (None, b"", b"wrong", secret[:-1].encode(), secret.encode() + b"\0", secret.upper().encode()):
            await turned_away(door, Claim("gate", "press-7", f"peer of {password!r}", "press-7", password))

    async def test_unknown_and_wrong_are_told_the_same(self, door: DeviceDoor, hand: EngineersHand) -> None:
        await hand.add("press-7")
        assert await turned_away(door, claim("press-7", "wrong")) == await turned_away(door, claim("press-9", "wrong"))

    async def test_a_blocked_device_hears_so_only_with_its_secret(self, door: DeviceDoor, hand: EngineersHand) -> None:
        secret = await hand.add("press-7")
        await hand.block("press-7")
        assert "blocked" in await turned_away(door, claim("press-7", secret))
        assert "blocked" not in await turned_away(door, claim("press-7", "wrong"))

    async def test_who_guesses_at_one_device_is_slowed_and_others_are_not(
        self, door: DeviceDoor, hand: EngineersHand
    ) -> None:
        secret, other = await hand.add("press-7"), await hand.add("press-8")
        for _ in range(30):
            await turned_away(door, claim("press-7", "wrong"))
        with pytest.raises(LimitReached):
            await door.admit(claim("press-7", secret))
        assert (await door.admit(claim("press-8", other))).device == "press-8"
        assert (await door.admit(claim("press-7", secret, peer="192.0.2.8"))).device == "press-7"

    async def test_unknown_devices_are_refused_unless_the_gateway_lets_them_wait(self, door: DeviceDoor) -> None:
        await turned_away(door, claim("new-1", KEY + b":my own words"))

    async def test_a_device_that_shows_the_key_waits_and_may_send_but_hears_nothing(self, door: DeviceDoor) -> None:
        waiting = await door.admit(enrolling("new-1"))
        assert (waiting.state, waiting.publish, waiting.subscribe) == (DeviceState.QUARANTINED, ("#",), ())

    async def test_what_it_showed_is_its_credential_from_then_on(self, door: DeviceDoor, hand: EngineersHand) -> None:
        await door.admit(enrolling("new-1"))
        assert (await door.admit(enrolling("new-1"))).device == "new-1"
        await turned_away(door, enrolling("new-1", ":other words"))
        await hand.approve("new-1")
        assert (await door.admit(claim("new-1", KEY + b":my own words"))).state is DeviceState.APPROVED

    async def test_a_certificate_is_pinned_too(self, door: DeviceDoor, hand: EngineersHand) -> None:
        await door.admit(enrolling("new-1", "", certificate=CERTIFICATE))
        await hand.approve("new-1")
        assert (await door.admit(claim("new-1", certificate=CERTIFICATE))).state is DeviceState.APPROVED
        await turned_away(door, claim("new-1", KEY))

    @pytest.mark.parametrize("own", ["", ":", ":short", "no colon here"])
    async def test_the_key_alone_is_no_credential(self, door: DeviceDoor, own: str) -> None:
        await turned_away(door, enrolling("new-1", own))

    async def test_the_quarantine_is_bounded(self, door: DeviceDoor) -> None:
        for number in range(3):
            await door.admit(enrolling(f"new-{number}", waiting_max=3))
        with pytest.raises(LimitReached, match="3 devices wait"):
            await door.admit(enrolling("new-3", waiting_max=3))
        assert (await door.admit(enrolling("new-2", waiting_max=3))).device == "new-2"

    async def test_of_many_who_enrol_by_one_name_at_once_one_is_it(self, door: DeviceDoor) -> None:
        answers = await asyncio.gather(
            *(door.admit(enrolling("new-1", f":own words {n}")) for n in range(8)), return_exceptions=True
        )
        assert sum(isinstance(answer, Admission) for answer in answers) == 1

    @pytest.mark.parametrize("login", ["", "a/b", "a+b", "#", "$SYS", "x" * 200, "new\0line", "ünicode ok?", "-"])
    async def test_a_login_that_could_be_no_topic_level_is_refused(self, door: DeviceDoor, login: str) -> None:
        await turned_away(door, Claim("gate", login, PEER, login, KEY + b":my own words", None, Enrolment(KEY)))

    async def test_whoever_watches_hears_of_changes(self, door: DeviceDoor, hand: EngineersHand) -> None:
        changes = door.changes()
        await door.admit(enrolling("new-1"))
        await hand.approve("new-1")
        assert await anext(changes) == "new-1"
        await hand.block("new-1")
        assert await anext(changes) == "new-1"

    async def test_being_told_of_strangers_is_no_error(self, door: DeviceDoor) -> None:
        door.preview("nobody", Preview("a/b", b"1", 1, 1))
        door.seen("nobody", 1, True, messages=3)

    def test_an_enrolment_key_that_could_be_guessed_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="at least 16"):
            Enrolment(b"password")
