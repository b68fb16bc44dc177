"""E-mail, against a real mail server with TLS and AUTH, and against servers that misbehave."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.connect.messengers.smtp_side import parsed, scripted, smtp_side
from tests.security.certificates import Authority

from headrace.connect.messengers.email import MESSENGER, REMEMBERED_MAX, EmailMessenger
from headrace.connect.messengers.mail import Mailbox, written
from headrace.connect.messengers.smtp import Replies
from headrace.model.errors import Garbled, LimitReached, Refused, Unreachable
from headrace.sdk.messenger import Message, Recipient
from headrace.sdk.reach import Reaches, SocketAddress
from headrace.sdk.testing.messenger import MESSAGE, SECRET, MessengerContract, Side

LI, HAN, ZHAO = (Recipient(name, f"{user}@acme.example") for name, user in (("Li", "li"), ("韩", "han"), ("Z", "zhao")))
PLAIN = {"tls": "none"}
SIGNED_IN = {"user": "headrace", "password": "file:secret"}


class TestEmail(MessengerContract):
    kind = MESSENGER
    to = (LI, HAN)
    http = False
    other_logs = ("mail.log", "mail.debug")

    @asynccontextmanager
    async def other_side(self, folder: Path) -> AsyncIterator[Side]:
        async with smtp_side({**PLAIN, **SIGNED_IN}, password=SECRET) as side:
            yield side

    # --- how it gets there ----------------------------------------------------------------------------------------

    @pytest.mark.parametrize("way", ["starttls", "tls"])
    async def test_it_is_encrypted_and_signed_in(self, way: str, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        settings = {"tls": way, "host": "mail.example", "ca": str(authority.file), **SIGNED_IN}
        tls = authority.server_for("mail.example")
        async with smtp_side(settings, tls=tls, implicit=way == "tls", password=SECRET) as side:
            names = _Names()
            reach = Reaches(resolve=names).of("default")
            async with self.opened(side.settings, tmp_path, reach=reach) as messenger:
                assert list(await messenger.send(MESSAGE, self.to)) == []
            assert [to for _, to, _ in side.mails] == [(LI.address,), (HAN.address,)]
            assert (side.sessions, names.asked) == (1, 1)  # the name is looked up once

    @pytest.mark.parametrize("way", ["starttls", "tls"])
    async def test_a_certificate_for_another_name_is_refused(self, way: str, tmp_path: Path) -> None:
        authority = Authority(tmp_path)
        settings = {"tls": way, "host": "mail.example", "ca": str(authority.file), **SIGNED_IN}
        tls = authority.server_for("127.0.0.1", "other.example")
        async with smtp_side(settings, tls=tls, implicit=way == "tls", password=SECRET) as side:
            reach = Reaches(resolve=_Names()).of("default")
            async with self.opened(side.settings, tmp_path, reach=reach) as messenger:
                assert "certificate" in (await self.fails(messenger, Refused)).message
            assert side.heard == []

    async def test_a_server_without_starttls_is_told_nothing(self, tmp_path: Path) -> None:
        async with smtp_side({"tls": "starttls", **SIGNED_IN}, password=SECRET) as side:
            async with self.opened(side.settings, tmp_path) as messenger:
                assert "STARTTLS" in (await self.fails(messenger, Refused)).message
            assert side.heard == []

    async def test_what_was_said_in_the_clear_is_no_answer_under_tls(self, tmp_path: Path) -> None:
        def answer(line: str) -> bytes:
            return b"220 go\r\n250 injected\r\n" if line == "STARTTLS" else b"250-x\r\n250 STARTTLS\r\n"

        async with scripted(answer) as port:
            settings = {"host": "127.0.0.1", "port": port, "from": "a@b.example"}
            async with self.opened(settings, tmp_path) as messenger:
                assert "in between" in (await self.fails(messenger, Garbled)).message

    async def test_tls_where_none_is_spoken(self, tmp_path: Path) -> None:
        async with smtp_side({"tls": "tls"}) as side, self.opened(side.settings, tmp_path) as messenger:
            assert "check 'port' and 'tls'" in (await self.fails(messenger, Garbled)).message

    async def test_a_wrong_password(self, tmp_path: Path) -> None:
        async with smtp_side({**PLAIN, **SIGNED_IN}, password="another") as side:
            async with self.opened(side.settings, tmp_path) as messenger:
                assert "'headrace'" in (await self.fails(messenger, Refused)).message
            assert side.taken == []

    # --- who gets it ----------------------------------------------------------------------------------------------

    async def test_a_refused_recipient_is_returned_and_the_others_have_it(self, tmp_path: Path) -> None:
        async with smtp_side(PLAIN) as side, self.opened(side.settings, tmp_path) as messenger:
            side.says[HAN.address] = "550 5.1.1 no such mailbox"
            nobody = Recipient("Nobody", "no address")
            assert list(await messenger.send(MESSAGE, [LI, HAN, nobody, ZHAO])) == [nobody, HAN]
            assert [to for _, to, _ in side.mails] == [(LI.address,), (ZHAO.address,)]

    @pytest.mark.parametrize(("said", "error"), [("450 4.2.0 grey", Unreachable), ("452 4.2.2 full", LimitReached)])
    async def test_who_waits_gets_it_later_and_the_others_once(
        self, said: str, error: type[Exception], tmp_path: Path
    ) -> None:
        async with smtp_side(PLAIN) as side, self.opened(side.settings, tmp_path) as messenger:
            side.says[LI.address] = said
            with pytest.raises(error):
                await messenger.send(MESSAGE, [LI, HAN])
            assert [to for _, to, _ in side.mails] == [(HAN.address,)]
            side.says.clear()
            assert list(await messenger.send(MESSAGE, [LI, HAN])) == []
            assert [to for _, to, _ in side.mails] == [(HAN.address,), (LI.address,)]

    async def test_a_message_that_is_refused_as_such(self, tmp_path: Path) -> None:
        async with smtp_side(PLAIN) as side, self.opened(side.settings, tmp_path) as messenger:
            side.to_data = ["554 5.7.1 this looks like spam"] * 2
            assert "spam" in (await self.fails(messenger, Refused)).message
            side.to_data = ["554 5.7.1 this looks like spam"]
            assert list(await messenger.send(MESSAGE, [LI, HAN])) == [LI]

    @pytest.mark.parametrize("dies_at", ["EHLO", "MAIL", "RCPT", "DATA", "."])
    async def test_a_server_that_dies_midway(self, dies_at: str, tmp_path: Path) -> None:
        def answer(line: str) -> bytes | None:
            if line.startswith(dies_at) and (dies_at != "." or line == "."):
                return None
            in_data = line not in ("DATA", ".") and line[:4] not in ("EHLO", "MAIL", "RCPT", "RSET", "QUIT")
            return b"" if in_data else b"354 go\r\n" if line == "DATA" else b"250 ok\r\n"

        async with scripted(answer) as port:
            settings = {"host": "127.0.0.1", "port": port, "from": "a@b.example", **PLAIN}
            async with self.opened(settings, tmp_path) as messenger:
                await self.fails(messenger, Unreachable)

    async def test_a_server_that_closes_and_says_so(self, tmp_path: Path) -> None:
        async with scripted(lambda line: b"421 4.3.2 going down\r\n") as port:
            settings = {"host": "127.0.0.1", "port": port, "from": "a@b.example", **PLAIN}
            async with self.opened(settings, tmp_path) as messenger:
                assert "421" in (await self.fails(messenger, Unreachable)).message

    async def test_a_server_that_never_ends_an_answer(self, tmp_path: Path) -> None:
        async with scripted(lambda line: b"250-more\r\n" * 10_000) as port:
            settings = {"host": "127.0.0.1", "port": port, "from": "a@b.example", **PLAIN}
            async with self.opened(settings, tmp_path) as messenger:
                await self.fails(messenger, Garbled)

    async def test_auth_login_where_there_is_no_plain(self, tmp_path: Path) -> None:
        heard: list[str] = []

        def answer(line: str) -> bytes:
            heard.append(line)
            if line.startswith("EHLO"):
                return b"250-x\r\n250 AUTH=LOGIN\r\n"
            return {0: b"334 VXNlcg==\r\n", 1: b"334 UGFzcw==\r\n"}.get(len(heard) - 2, b"535 no\r\n")

        async with scripted(answer) as port:
            settings = {"host": "127.0.0.1", "port": port, "from": "a@b.example", **PLAIN, **SIGNED_IN}
            async with self.opened(settings, tmp_path) as messenger:
                await self.fails(messenger, Refused)
        assert heard[1] == "AUTH LOGIN"
        assert heard[2] == "aGVhZHJhY2U="

    async def test_lines_that_begin_with_a_dot(self, tmp_path: Path) -> None:
        message = Message("k", "t", (".", ".QUIT", "..x"))
        async with smtp_side(PLAIN) as side, self.opened(side.settings, tmp_path) as messenger:
            await messenger.send(message, [LI])
            await messenger.send(message, [LI])
        assert all("\n.\n.QUIT\n..x\n" in one.replace("\r\n", "\n") for one in side.taken)
        assert len(side.taken) == 2

    async def test_names_beyond_ascii(self, tmp_path: Path) -> None:
        to = [Recipient("李雷", "李雷@例子.example"), Recipient("Han", "han@例子.example")]
        async with smtp_side(PLAIN) as side, self.opened(side.settings, tmp_path) as messenger:
            assert list(await messenger.send(MESSAGE, to)) == []
            assert [one for _, one, _ in side.mails] == [("李雷@xn--fsqu00a.example",), ("han@xn--fsqu00a.example",)]
        async with smtp_side(PLAIN, utf8=False) as side, self.opened(side.settings, tmp_path) as messenger:
            assert list(await messenger.send(MESSAGE, to)) == [to[0]]
            assert len(side.mails) == 1

    async def test_what_is_remembered_is_bounded(self, tmp_path: Path) -> None:
        async with self.opened({"host": "127.0.0.1", "from": "a@b.example", **PLAIN}, tmp_path) as messenger:
            assert isinstance(messenger, EmailMessenger)
            for number in range(REMEMBERED_MAX + 5):
                messenger._remember(str(number), LI.address)
            assert len(messenger._had) == REMEMBERED_MAX
            assert "0" not in messenger._had


class _Names:
    """A resolver that knows one name, and answers it once."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, host: str, port: int) -> Sequence[tuple[int, SocketAddress]]:
        self.asked += 1
        return [(socket.AF_INET, ("127.0.0.1" if self.asked == 1 else "169.254.169.254", port))]


# --- what is sent ---------------------------------------------------------------------------------------------------

FIELDS = {
    "From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "X-Priority",
    "Importance", "Content-Language", "MIME-Version", "Content-Type",
}  # fmt: skip
WORDS = (
    st.text(max_size=300)
    | st.text("a\r\n\0:=?<>@,;\"' \u2028\x85é长", max_size=300)
    | st.sampled_from(
        [
            "a\r\nBcc: x@y.z",
            "=?utf-8?q?a=0D=0ABcc:_x@y.z?=",
            "=?utf-8?b?DQpCY2M6IHhAeS56?=" * 5,
            "\ud800",
            "\n.\r\n.\r\nQUIT",
        ]
    )
)


def mail_of(message: Message, name: str = "Li", sender: str = "Headrace") -> bytes:
    box = Mailbox.of("a@b.example")
    return written(message, box.named(sender), None, box.named(name), 1_780_000_000_000_000_000)


def test_a_mail_says_all_of_it_twice() -> None:
    mail = parsed(mail_of(MESSAGE))
    assert mail["subject"] == MESSAGE.title
    assert str(mail["date"]) == "Thu, 28 May 2026 20:26:40 +0000"
    assert mail["auto-submitted"] == "auto-generated"
    assert mail["x-priority"] == "1 (Highest)"
    assert mail["message-id"] == parsed(mail_of(MESSAGE, "Han"))["message-id"]
    assert mail["message-id"].endswith("@b.example>")
    assert mail.get_content_type() == "multipart/alternative"
    text, page = (part.get_content() for part in mail.iter_parts())
    for said in (
        "It is above 80 °C for 5 min.",
        "Value: 83.4 °C",
        "按下急停 <b>& wait",
        MESSAGE.link.replace("(1)", "%281%29"),
    ):
        assert said in text
    assert "按下急停 &lt;b&gt;&amp; wait" in page
    assert 'href="https://plant.example/alarms/1?tenant=acme&amp;x=%281%29"' in page


def test_chinese_is_chinese() -> None:
    mail = parsed(
        mail_of(Message("k", "压机3油温过高", facts=(("数值", "83.4 °C"),), language="zh", link="https://x/"))
    )
    assert mail["subject"] == "压机3油温过高"
    text, page = (part.get_content() for part in mail.iter_parts())
    assert "数值：83.4 °C" in text
    assert "在 Headrace 中打开" in page


@given(WORDS, WORDS, WORDS, WORDS)
def test_no_words_become_fields_or_markup(title: str, name: str, said: str, link: str) -> None:
    message = Message(said, title, (said, title), ((said, title),), said, link, said)
    data = mail_of(message, name, said)
    mail = parsed(data)
    assert set(mail.keys()) == FIELDS
    assert mail["to"].addresses[0].addr_spec == "a@b.example"
    assert len(mail["to"].addresses) == len(mail["from"].addresses) == 1
    assert data.isascii()
    assert all(len(line) <= 998 for line in data.split(b"\r\n"))
    assert b"\n" not in data.replace(b"\r\n", b"") and b"\r" not in data.replace(b"\r\n", b"")
    _, page = (part.get_content() for part in mail.iter_parts())
    plain = parsed(mail_of(Message("", "x", ("x", "x"), (("x", "x"),))))
    _, bare = (part.get_content() for part in plain.iter_parts())
    assert page.count("<") - bare.count("<") in (0, 4)  # a link is four more


@given(st.binary(max_size=4_000))
def test_any_answer_is_a_reply_or_garbled(data: bytes) -> None:
    replies = Replies()
    try:
        for at in range(0, len(data), 100):
            replies.feed(data[at : at + 100])
            while replies.take():
                pass
    except Garbled:
        pass


@given(st.integers(200, 599), st.lists(st.text("abc -:", max_size=20), min_size=1, max_size=5), st.integers(1, 9))
def test_a_reply_is_read_however_it_is_cut(code: int, lines: list[str], step: int) -> None:
    data = "".join(f"{code}{' ' if at == len(lines) else '-'}{line}\r\n" for at, line in enumerate(lines, 1)).encode()
    replies, found = Replies(), []
    for at in range(0, len(data), step):
        replies.feed(data[at : at + step])
        while (reply := replies.take()) is not None:
            found.append((reply.code, list(reply.lines)))
    assert found == [(code, lines)]
    assert replies.idle


# --- what is declared -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        {"tls": "none"}, {"user": "a"}, {"password": "env:X"}, {"from": "nobody"}, {"from": "a@b\r\nRCPT TO:<x@y>"},
        {"from": "A <a@b.example>"}, {"reply_to": "x"}, {"timeout": "1h"},
        {"tls": "none", "host": "localhost", "ca": "x"},
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant(other: dict[str, Any]) -> None:
    whole = {"host": "smtp.acme.example", "from": "a@acme.example"}
    MESSENGER.settings.model_validate(whole)
    with pytest.raises(ValidationError):
        MESSENGER.settings.model_validate({**whole, **other})


@pytest.mark.parametrize(
    "address",
    ["a", "@b.example", "a@", "a b@c.example", "a@b..example", "a@-b.example", "<a@b.example>", "a@1.2.3.4",
     "a..b@c.example", "a@b.example\n", "a\0@b.example", "x" * 65 + "@b.example", "a@" + "b" * 300,
     "a@b@c.example", "a,b@c.example"],
)  # fmt: skip
def test_addresses_that_are_none(address: str) -> None:
    assert "write name@example.com" in MESSENGER.check_address(address)


def test_addresses_that_are() -> None:
    for address in ("a@b.example", "li.lei+hr@acme-works.co", "李@例子.example", "o'brien@localhost"):
        assert MESSENGER.check_address(address) == ""
