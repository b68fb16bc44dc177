"""Robots of group chats against what the real services check, and the answers that they give."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from tests.connect.messengers import services
from tests.connect.messengers.http_side import HttpSide, Said, http_side
from tests.connect.messengers.services import MARKUP, said

from headrace.connect.messengers import all_messengers, dingtalk, feishu, messenger, wecom, words
from headrace.connect.messengers.robot import Secrets
from headrace.model.errors import ConfigError, Garbled, LimitReached, Refused, Unreachable
from headrace.model.time import SECOND_NS
from headrace.sdk.messenger import Message, Recipient
from headrace.sdk.testing.messenger import MESSAGE, MessengerContract, Side

NOW_NS = 1_780_000_000 * SECOND_NS
ANY = st.text(max_size=200) | st.text("[]()<>@*`#\\&!_~|-> \n\r:/.ahtps长é\u202e\0", max_size=200) | st.sampled_from(
    ["[x](http://evil.example)", "<@all>", "@all", "<at id=all></at>", "![](http://e.x/y.png)",
     '<font color="info">x</font>', "\n# big", "a\r\n> b", "@13800001111", "\ud800", "长" * 4_000, '"\\' * 3_000]
)  # fmt: skip


class RobotContract(MessengerContract):
    """What they have in common; each names its judge and its answers."""

    path = ""
    signed = False
    judge = busy = no = None

    @asynccontextmanager
    async def robot(self) -> AsyncIterator[HttpSide]:
        assert self.judge is not None
        assert self.busy is not None
        settings = {"key": "file:secret", **({"secret": "file:secret"} if self.signed else {})}
        async with http_side(settings, self.judge) as side:
            side.path, side.busy, side.no = self.path, self.busy(), self.no
            yield side

    @asynccontextmanager
    async def other_side(self, folder: Path) -> AsyncIterator[Side]:
        async with self.robot() as side:
            yield side

    async def test_whom_it_cannot_mention_is_returned_and_the_group_has_it(self, tmp_path: Path) -> None:
        wrong, without = Recipient("A", "<@all>"), Recipient("B")
        async with self.robot() as side, self.opened(side.settings, tmp_path) as channel:
            assert list(await channel.send(MESSAGE, [wrong, *self.to, without])) == [wrong]
            assert len(side.taken) == 1
            assert "all" not in side.asked[0].body.decode().replace("isAtAll", "")

    async def test_more_than_it_mentions(self, tmp_path: Path) -> None:
        many = [Recipient("A", self.to[0].address + str(number)) for number in range(100)]
        async with self.robot() as side, self.opened(side.settings, tmp_path) as channel:
            assert list(await channel.send(MESSAGE, many)) == []
            assert len(side.taken) == 1

    @pytest.mark.parametrize(
        ("answer", "error"),
        [
            (Said(200, b"<html>"), Garbled),
            (Said(200, b"[]"), Garbled),
            (said({"errcode": "0", "code": "0"}), Garbled),
            (said({"errcode": True, "code": True}), Garbled),
            (said({"errcode": 0, "code": 0}, 502), Unreachable),
            (Said(200, b" " * 100_000), Garbled),
            (Said(429), LimitReached),
            (Said(503, b"<html>"), Unreachable),
            (Said(404, b"<html>"), Refused),
            (said({"errcode": 9, "code": 9499, "errmsg": "too many request", "msg": "too many request"}), LimitReached),
            (said({"errcode": 12, "code": 12, "errmsg": 5, "msg": None}), Refused),
        ],
    )  # fmt: skip
    async def test_each_answer_has_its_meaning(self, answer: Said, error: type[Exception], tmp_path: Path) -> None:
        async with self.robot() as side, self.opened(side.settings, tmp_path) as channel:
            side.answer(answer)
            with pytest.raises(error):
                await channel.send(MESSAGE, self.to)

    async def test_a_whole_address_instead_of_a_key(self, tmp_path: Path) -> None:
        async with self.robot() as side, self.opened(side.settings, tmp_path) as channel:
            (tmp_path / "secret").write_text("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=abc-hidden")
            with pytest.raises(Refused, match="only the last part") as caught:
                await channel.send(MESSAGE, self.to)
            assert "abc-hidden" not in str(caught.value)
            assert side.asked == []

    async def test_a_robot_that_is_gone(self, tmp_path: Path) -> None:
        async with self.robot() as side, self.opened(side.settings, tmp_path) as channel:
            (tmp_path / "secret").write_text("another-key")
            with pytest.raises(Refused, match="check 'key'"):
                await channel.send(MESSAGE, self.to)

    def test_a_key_in_the_address_is_not_taken(self) -> None:
        with pytest.raises(ValidationError, match="referred to by 'key'"):
            self.kind.settings.model_validate({"key": "env:X", "url": "https://x.example/send?key=1"})


class TestWeCom(RobotContract):
    kind = wecom.MESSENGER
    to = (Recipient("Li", "lilei"), Recipient("Han", "han_meimei@acme"))
    path = "/cgi-bin/webhook/send"
    judge, busy, no = staticmethod(services.wecom), staticmethod(services.wecom_busy), staticmethod(services.wecom_no)

    async def test_a_mobile_number_makes_it_a_text(self, tmp_path: Path) -> None:
        to = [*self.to, Recipient("Z", "13800001111")]
        async with self.robot() as side, self.opened(side.settings, tmp_path) as channel:
            assert list(await channel.send(MESSAGE, to)) == []
            body = services.document(side.asked[0])
        assert body["msgtype"] == "text"
        assert body["text"]["mentioned_list"] == ["lilei", "han_meimei@acme"]
        assert body["text"]["mentioned_mobile_list"] == ["13800001111"]
        assert MESSAGE.link.replace("(1)", "%281%29") in body["text"]["content"]


class TestDingTalk(RobotContract):
    kind = dingtalk.MESSENGER
    to = (Recipient("Li", "13800001111"), Recipient("Han", "+852-61234567"))
    path = "/robot/send"
    signed = True
    judge = staticmethod(services.dingtalk)
    busy, no = staticmethod(services.dingtalk_busy), staticmethod(services.dingtalk_no)


class TestFeishu(RobotContract):
    kind = feishu.MESSENGER
    to = (Recipient("Li", "ou_7d8a6e6df7621556ce0d21922b676706"),)
    path = "/open-apis/bot/v2/hook"
    signed = True
    judge, busy, no = (
        staticmethod(services.feishu),
        staticmethod(services.feishu_busy),
        staticmethod(services.feishu_no),
    )


# --- what is said ---------------------------------------------------------------------------------------------------

LINKED = 'x"\n)](http://evil.example'


def odd(title: str, said_: str, many: int, language: str) -> Message:
    return Message(
        "k", title, (said_,) * many, ((said_, title),) * many, title, f"https://p.example/{said_}{LINKED}", language
    )


@given(ANY, ANY, st.integers(0, 30), st.sampled_from(["en", "zh"]))
def test_wecom_says_no_markup_of_others_and_holds_its_limits(title: str, said_: str, many: int, language: str) -> None:
    message = odd(title, said_, many, language)
    markdown, text = wecom.markdown(message, ["lilei"]), wecom.text(message)
    assert len(markdown.encode()) <= 4_096
    assert len(text.encode()) <= 2_048
    link = words.good_link(message.link)
    opened = f"[{words.words(language).open}]({link})"
    assert markdown.endswith(f"{opened}\n<@lilei>" if link else "<@lilei>")
    lines = markdown.removesuffix("<@lilei>").removesuffix("\n").removesuffix(opened if link else "").split("\n")
    assert not any(MARKUP.search(line.removeprefix("### ").removeprefix("> ")) for line in lines)
    assert len(lines) <= 2 * many + 4
    assert not MARKUP.search(text.removesuffix(link) if link else text)


@given(ANY, ANY, st.integers(0, 30), st.sampled_from(["en", "zh"]))
def test_dingtalk_says_no_markup_of_others_and_holds_its_limits(
    title: str, said_: str, many: int, language: str
) -> None:
    message = odd(title, said_, many, language)
    settings = dingtalk.Settings.model_validate({"key": "env:X"})
    made = dingtalk.request(settings, Secrets("k", "s"), message, ["13800001111"], NOW_NS)
    assert len(json.dumps(made.body, ensure_ascii=False).encode()) <= 20_000
    link, text = words.good_link(message.link), str(made.body["markdown"]["text"])
    opened = f"[{words.words(language).open}]({link})"
    assert text.endswith("\n\n@13800001111")
    lines = text.removesuffix("\n\n@13800001111").removesuffix(opened if link else "").split("\n")
    assert not any(MARKUP.search(line.removeprefix("### ").removeprefix("> ")) for line in lines)
    assert made.body["at"] == {"atMobiles": ["13800001111"], "isAtAll": False}


@given(ANY, ANY, st.integers(0, 200), st.sampled_from(["en", "zh"]))
def test_feishu_says_plain_texts_and_holds_its_limits(title: str, said_: str, many: int, language: str) -> None:
    message = odd(title, said_, many, language)
    settings = feishu.Settings.model_validate({"key": "env:X"})
    made = feishu.request(settings, Secrets("k", "s"), message, ["ou_1"], NOW_NS)
    data = json.dumps(made.body, ensure_ascii=False).encode()
    assert len(data) <= 20 * 1_024
    assert [one["content"] for one in _texts(made.body) if one["tag"] != "plain_text"] == ["<at id=ou_1></at>"]


def _texts(part: Any) -> Sequence[Mapping[str, Any]]:
    """Every text of a card."""
    if isinstance(part, list):
        return [one for inner in part for one in _texts(inner)]
    if not isinstance(part, dict):
        return []
    inner = [one for value in part.values() for one in _texts(value)]
    return [part, *inner] if "content" in part else inner


def test_what_is_cut_is_said() -> None:
    long = Message("k", "长" * 300, tuple("长" * 600 for _ in range(50)), language="zh", link="https://p.example/")
    for text in (wecom.markdown(long, []), wecom.text(long), dingtalk.text(long, "t", [])):
        assert "已截断" in text
        assert "https://p.example/" in text
    assert "已截断" in json.dumps(feishu.card(long, []), ensure_ascii=False)


def test_signatures_are_those_of_the_documents() -> None:
    ding = dingtalk.Settings.model_validate({"key": "env:X"})
    url = dingtalk.request(ding, Secrets("tok", "SECx"), MESSAGE, [], NOW_NS).url
    expected = services.sign("SECx", "1780000000000\nSECx")
    assert url == (
        "https://oapi.dingtalk.com/robot/send?access_token=tok&timestamp=1780000000000&sign="
        + expected.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
    )
    unsigned = dingtalk.request(ding, Secrets("tok"), MESSAGE, [], NOW_NS)
    assert unsigned.url == "https://oapi.dingtalk.com/robot/send?access_token=tok"
    fei = feishu.Settings.model_validate({"key": "env:X"})
    body = feishu.request(fei, Secrets("tok", "s"), MESSAGE, [], NOW_NS).body
    assert body["timestamp"] == "1780000000"
    assert body["sign"] == services.sign("1780000000\ns", "")
    assert "sign" not in feishu.request(fei, Secrets("tok"), MESSAGE, [], NOW_NS).body


@given(st.text(max_size=100), st.integers(3, 120))
def test_cut_is_between_characters(text: str, bytes_max: int) -> None:
    short = words.cut(text, bytes_max)
    assert len(short.encode()) <= bytes_max
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))


@given(st.text(max_size=200))
def test_a_link_ends_nothing_early(text: str) -> None:
    for link in (text, f"https://p.example/{text}", f"javascript:{text}"):
        good = words.good_link(link)
        assert good == "" or good.startswith(("https://", "http://"))
        assert not set(good) & set(" \t\r\n\"'<>()[]{}\\`|^")


def test_they_are_found_by_name() -> None:
    assert list(all_messengers()) == ["email", "webhook", "wecom", "dingtalk", "feishu"]
    assert messenger("wecom") is wecom.MESSENGER
    with pytest.raises(ConfigError, match="there are dingtalk, email, feishu, webhook, wecom"):
        messenger("pigeon")
