"""DingTalk (钉钉): the custom robot of a group chat, in Markdown, signed where it has a secret.

Limits: 20 messages a minute, then silence for ten; a message of 20 000 bytes, of which we use less. A person is
mentioned where `at.atMobiles` names the number and the text has it after '@'.
Source: open.dingtalk.com, 自定义机器人接入 (custom-robot-access), 自定义机器人安全设置 (加签),
自定义机器人发送消息的消息类型, 服务端全局错误码.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Final

from pydantic import Field

from headrace.connect.messengers.robot import (
    Request,
    RobotMessenger,
    RobotSettings,
    Secrets,
    Service,
    in_query,
    signature,
)
from headrace.connect.messengers.words import LINE_BYTES_MAX, TITLE_BYTES_MAX, cut, fitted, good_link, unmarked, words
from headrace.connect.settings import KeylessAddress, SecretReference
from headrace.model.errors import LimitReached, Refused, Unreachable
from headrace.model.time import MILLISECOND_NS
from headrace.sdk.messenger import Message, MessengerType

TEXT_BYTES_MAX: Final = 8_000
"""JSON may double it where it writes out quotation marks."""
_MOBILE: Final = re.compile(r"\+?[0-9]{1,4}-?[0-9]{5,15}")


class Settings(RobotSettings):
    """One robot in one group."""

    secret: SecretReference | None = Field(
        None,
        description="where the secret is that signs (加签, SEC…), if it has one: env:NAME or file:/path",
    )
    url: KeylessAddress = Field(
        "https://oapi.dingtalk.com/robot/send", description="address of the robot without '?access_token=…'"
    )

    @property
    def address(self) -> str:
        return self.url

    @property
    def signing(self) -> str | None:
        return self.secret


def check_address(address: str) -> str:
    return "" if _MOBILE.fullmatch(address) else "a person at DingTalk is a mobile number, such as 13800001111"


def request(settings: Settings, secrets: Secrets, message: Message, mentioned: Sequence[str], now_ns: int) -> Request:
    url = f"{settings.url}?access_token={in_query(secrets.key)}"
    if secrets.signing:
        time_ms = now_ns // MILLISECOND_NS
        sign = signature(secrets.signing, f"{time_ms}\n{secrets.signing}")
        url += f"&timestamp={time_ms}&sign={in_query(sign)}"
    title = cut(unmarked(message.title), TITLE_BYTES_MAX) or "Headrace"
    return Request(
        url,
        {
            "msgtype": "markdown",
            "markdown": {"title": title, "text": text(message, title, mentioned)},
            "at": {"atMobiles": list(mentioned), "isAtAll": False},
        },
    )


def text(message: Message, title: str, mentioned: Sequence[str]) -> str:
    said, link = words(message.language), good_link(message.link)
    body = [cut(unmarked(line), LINE_BYTES_MAX) for line in message.lines]
    body += ["> " + cut(unmarked(f"{label}{said.colon}{value}"), LINE_BYTES_MAX) for label, value in message.facts]
    tail = [f"[{said.open}]({link})"] if link else []
    if mentioned:
        tail.append(" ".join(f"@{one}" for one in mentioned))
    head = f"### {title}"
    room = TEXT_BYTES_MAX - len("\n\n".join([head, "", *tail]).encode())
    return "\n\n".join(part for part in (head, fitted(body, room, "\n\n", said.cut), *tail) if part)


SERVICE: Final = Service(
    "DingTalk",
    "errcode",
    "errmsg",
    request,
    check_address,
    {
        -1: (Unreachable, "it is busy"),
        130101: (LimitReached, "a robot takes 20 messages a minute"),
        410100: (LimitReached, "a robot takes 20 messages a minute"),
        300001: (Refused, "check 'key'"),
        300005: (Refused, "check 'key': is the robot still in the group?"),
        310000: (Refused, "check 'secret', this machine's clock, and the robot's keywords and allowed addresses"),
        400101: (Refused, "check 'key'"),
        400102: (Refused, "the robot is switched off; switch it on in the group"),
    },
)

MESSENGER: Final = MessengerType(
    "dingtalk",
    "DingTalk group robot (钉钉群机器人)",
    Settings,
    partial(RobotMessenger, SERVICE),
    address="mobile",
    group=True,
    check_address=check_address,
)
