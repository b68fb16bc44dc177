"""What every channel to people must do, whatever it speaks. Inherit `MessengerContract` and give it the other side.

class TestMyChannel(MessengerContract):
    kind = MESSENGER
    @asynccontextmanager
    async def other_side(self, folder): yield MySide(…)   # a real server of somebody else's, where one can be had

The other side is asked what it took; it can be told to refuse, to be busy, to stall and to talk nonsense.
"""

from __future__ import annotations

import json
import random
import traceback
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import pytest
from pydantic import ValidationError

from headrace.model.errors import ConfigError, Garbled, HeadraceError, LimitReached, Refused, Unreachable
from headrace.sdk.clock import SystemClock
from headrace.sdk.messenger import Message, Messenger, MessengerContext, MessengerType, Recipient
from headrace.sdk.reach import Reaches
from headrace.sdk.references import References

#: What the secrets of every channel are here, and what nobody may ever read in an error.
SECRET = "s3cret-key-0123456789"
PROMISED = (Unreachable, LimitReached, Refused, Garbled, ConfigError)
NONSENSE = (
    b"",
    b"\0" * 100,
    b"SSH-2.0-OpenSSH_9.6\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnull",
    b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{",
    b"HTTP/1.1 999 \xff\r\ncontent-length: -5\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    b"220 hello\r\n250-a\r\n251 b\r\n",
    b"220-" + b"x" * 100_000,
    b"220 a\r\n" * 50,
    b"999 what\r\n",
    "２２０ 你好\r\n".encode(),
)
MESSAGE = Message(
    "alarm-1/raise",
    "Oil temperature of press 3 is high",
    ("It is above 80 °C for 5 min.", "按下急停 <b>& wait"),
    (("Value", "83.4 °C"), ("Asset", "acme/p3")),
    "critical",
    "https://plant.example/alarms/1?tenant=acme&x=(1)",
    "en",
    1_780_000_000_000_000_000,
    {"alarm": "acme/p3/oil.high", "value": 83.4},
)


class Side(Protocol):
    """The other side. `taken` is each message that it took, as text in which words of it can be found."""

    settings: Mapping[str, Any]
    taken: list[str]

    async def stop(self) -> None:
        """Be gone: nobody answers there."""
        ...

    def refuse(self) -> None:
        """From now on say no for good, and in doing so repeat all that it was told."""
        ...

    def be_busy(self) -> None:
        """From now on say: later."""
        ...

    def stall(self) -> None:
        """From now on take everything and answer nothing."""
        ...

    def talk(self, nonsense: bytes) -> None:
        """From now on answer that, and hang up."""
        ...


class MessengerContract:
    kind: MessengerType
    to: Sequence[Recipient] = ()
    #: Whether it speaks HTTP, and could be sent elsewhere.
    http = True
    #: Whether the title comes as it is: channels with markup write some characters otherwise.
    says_title = True
    #: Logs of the other side, which knows the secret too.
    other_logs: Sequence[str] = ()

    @asynccontextmanager
    async def other_side(self, folder: Path) -> AsyncIterator[Side]:
        """There until the block ends. Its settings refer to `file:secret` wherever they need one."""
        yield self.needed(folder)

    def needed(self, *_: object) -> Any:
        raise AssertionError("a messenger contract needs other_side()")

    @asynccontextmanager
    async def opened(self, settings: Mapping[str, Any], folder: Path, **other: Any) -> AsyncIterator[Messenger]:
        (folder / "secret").write_text(SECRET)
        context = MessengerContext("shift", SystemClock(), references=References((folder,)), **other)
        messenger = self.kind.open(self.kind.settings.model_validate(dict(settings)), context)
        try:
            yield messenger
        finally:
            await messenger.close()

    async def fails(self, messenger: Messenger, *kinds: type[HeadraceError]) -> HeadraceError:
        with pytest.raises(kinds or PROMISED) as caught:
            await messenger.send(MESSAGE, self.to)
        error = caught.value
        shown = f"{error} {error.detail} {''.join(traceback.format_exception(error, chain=False))}"
        assert SECRET not in shown
        assert error.message
        return error

    # --- the contract ---------------------------------------------------------------------------------------------

    async def test_the_other_side_has_it_when_send_returns(self, tmp_path: Path) -> None:
        async with self.other_side(tmp_path) as side, self.opened(side.settings, tmp_path) as messenger:
            assert list(await messenger.send(MESSAGE, self.to)) == []
            assert side.taken
            before = len(side.taken)
            if self.says_title:
                assert all(MESSAGE.title in one for one in side.taken)
            assert list(await messenger.send(MESSAGE, self.to)) == []  # the same again is sent again
            assert len(side.taken) == 2 * before

    async def test_nothing_is_asked_before_there_is_something_to_say(self, tmp_path: Path) -> None:
        async with self.other_side(tmp_path) as side:
            await side.stop()
            async with self.opened(side.settings, tmp_path):
                pass

    async def test_odd_words_are_said(self, tmp_path: Path) -> None:
        odd = "a\r\nBcc: x@evil.example\n\n\0\x1b[31m\u202e\ud800<@all>[x](http://evil.example)<script>" + "长" * 9_000
        message = Message(
            odd, odd, (odd, "") * 150, ((odd, odd), ("", "")) * 150, odd, odd, odd, 0, {odd: [odd, {"": float("nan")}]}
        )
        async with self.other_side(tmp_path) as side, self.opened(side.settings, tmp_path) as messenger:
            named = [Recipient(odd, one.address) for one in self.to]
            assert list(await messenger.send(message, named)) == []
            await messenger.send(Message("", ""), named)
            assert side.taken

    async def test_no_is_told_from_later(self, tmp_path: Path) -> None:
        async with self.other_side(tmp_path) as side, self.opened(side.settings, tmp_path) as messenger:
            side.be_busy()
            await self.fails(messenger, Unreachable, LimitReached)
            side.refuse()
            await self.fails(messenger, Refused)
            assert side.taken == []

    async def test_it_calls_nothing_that_it_may_not(self, tmp_path: Path) -> None:
        async with self.other_side(tmp_path) as side:
            narrow = Reaches(["10.0.0.0/8"]).of("default")
            async with self.opened(side.settings, tmp_path, reach=narrow) as messenger:
                assert "start the platform with --reach 127.0.0.1" in (await self.fails(messenger, Refused)).message
            assert side.taken == []

    async def test_a_secret_is_in_no_log(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        async with self.other_side(tmp_path) as side, self.opened(side.settings, tmp_path) as messenger:
            await messenger.send(MESSAGE, self.to)
            side.refuse()
            await self.fails(messenger, Refused)
        told = [one.getMessage() for one in caplog.records if one.name not in self.other_logs]
        assert not any(SECRET in one for one in told), told

    async def test_nobody_there_is_unreachable(self, tmp_path: Path) -> None:
        async with self.other_side(tmp_path) as side, self.opened(side.settings, tmp_path) as messenger:
            await side.stop()
            await self.fails(messenger, Unreachable)

    async def test_who_answers_nothing_is_unreachable(self, tmp_path: Path) -> None:
        async with self.other_side(tmp_path) as side:
            side.stall()
            async with self.opened({**side.settings, "timeout": "300ms"}, tmp_path) as messenger:
                await self.fails(messenger, Unreachable)

    @pytest.mark.parametrize("nonsense", NONSENSE, ids=lambda one: repr(one[:20]))
    async def test_nonsense_is_told_as_such(self, nonsense: bytes, tmp_path: Path) -> None:
        async with self.other_side(tmp_path) as side:
            side.talk(nonsense)
            async with self.opened({**side.settings, "timeout": "2s"}, tmp_path) as messenger:
                await self.may_fail(messenger)

    async def test_any_bytes_raise_only_what_is_promised(self, tmp_path: Path) -> None:
        seed = random.randrange(2**32)
        dice = random.Random(seed)
        async with (
            self.other_side(tmp_path) as side,
            self.opened({**side.settings, "timeout": "2s"}, tmp_path) as messenger,
        ):
            for _ in range(60):
                said = bytearray(dice.choice(NONSENSE))
                for _ in range(dice.randrange(1, 8)):
                    said.insert(dice.randrange(len(said) + 1), dice.randrange(256))
                side.talk(bytes(said))
                try:
                    await self.may_fail(messenger)
                except BaseException as error:
                    error.add_note(f"seed {seed}, the other side said {bytes(said)[:200]!r}")
                    raise

    async def may_fail(self, messenger: Messenger) -> None:
        """A server that says only 'yes' is believed where the protocol asks for no more."""
        try:
            await messenger.send(MESSAGE, self.to)
        except PROMISED as error:
            assert SECRET not in f"{error} {error.detail}"

    async def test_a_second_close_changes_nothing(self, tmp_path: Path) -> None:
        async with self.other_side(tmp_path) as side, self.opened(side.settings, tmp_path) as messenger:
            await messenger.send(MESSAGE, self.to)
            await messenger.close()
            await messenger.close()

    async def test_a_secret_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        async with self.other_side(tmp_path) as side, self.opened(side.settings, tmp_path) as messenger:
            (tmp_path / "secret").unlink()
            error = await self.fails(messenger, Refused)
            assert "file:secret" in error.message
            assert side.taken == []

    async def test_only_what_is_described_can_be_set(self, tmp_path: Path) -> None:
        async with self.other_side(tmp_path) as side:
            with pytest.raises(ValidationError):
                self.kind.settings.model_validate({**side.settings, "colour": "red"})
            for name, value in side.settings.items():
                if value == "file:secret":
                    with pytest.raises(ValidationError, match="refer to it"):
                        self.kind.settings.model_validate({**side.settings, name: SECRET})
        schema = json.dumps(self.kind.settings.model_json_schema())
        assert all(field.description for field in self.kind.settings.model_fields.values()), schema

    async def test_addresses_are_checked_in_words(self) -> None:
        if self.kind.address:
            assert all(self.kind.check_address(one.address) == "" for one in self.to if one.address)
            for wrong in ("", " ", "a b", "x\r\ny", "<@all>", "@all", "all", "长" * 300):
                assert self.kind.check_address(wrong), wrong
        else:
            assert self.kind.check_address("anything") == ""

    async def test_it_goes_nowhere_else(self, tmp_path: Path) -> None:
        if not self.http:
            return
        async with (
            self.other_side(tmp_path) as side,
            self.other_side(tmp_path) as elsewhere,
            self.opened(side.settings, tmp_path) as messenger,
        ):
            url = str(elsewhere.settings["url"]).encode()
            for status in (b"301 a", b"302 a", b"307 a", b"308 a"):
                side.talk(b"HTTP/1.1 " + status + b"\r\nlocation: " + url + b"\r\ncontent-length: 0\r\n\r\n")
                await self.fails(messenger, Refused)
            assert elsewhere.taken == []
