"""WeCom (企业微信): the robot of a group chat, in Markdown, or as text where somebody is mentioned by a mobile number.

Limits: Markdown 4096 bytes, text 2048 bytes, 20 messages a minute. In Markdown `<@userid>` mentions; a mobile number
works in a text alone.
Source: developer.work.weixin.qq.com, 消息推送配置说明 (群机器人配置说明), path/91770 and 99110; 全局错误码, path/90313.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Final

from pydantic import Field

from headrace.connect.messengers.robot import Request, RobotMessenger, RobotSettings, Secrets, Service, in_query
from headrace.connect.messengers.words import LINE_BYTES_MAX, TITLE_BYTES_MAX, cut, fitted, good_link, unmarked, words
from headrace.connect.settings import KeylessAddress
from headrace.model.errors import LimitReached, Refused, Unreachable
from headrace.sdk.messenger import Message, MessengerType

MARKDOWN_BYTES_MAX: Final = 4_096
TEXT_BYTES_MAX: Final = 2_048
_MOBILE: Final = re.compile(r"1[3-9][0-9]{9}|\+[0-9]{6,15}")
_USER: Final = re.compile(r"(?!(?i:all)\Z)[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}")


class Settings(RobotSettings):
    """One robot in one group."""

    url: KeylessAddress = Field(
        "https://qyapi.weixin.qq.com/cgi-bin/webhook/send",
        description="address of the robot without '?key=…'; another where WeCom runs in your own house",
    )

    @property
    def address(self) -> str:
        return self.url


def check_address(address: str) -> str:
    if _MOBILE.fullmatch(address) or _USER.fullmatch(address):
        return ""
    return "a person at WeCom is their userid (letters, digits, '_-.@'), or a mobile number such as 13800001111"


def request(settings: Settings, secrets: Secrets, message: Message, mentioned: Sequence[str], now_ns: int) -> Request:
    del now_ns
    url = f"{settings.url}?key={in_query(secrets.key)}"
    mobiles = [one for one in mentioned if _MOBILE.fullmatch(one)]
    if not mobiles:
        return Request(url, {"msgtype": "markdown", "markdown": {"content": markdown(message, mentioned)}})
    users = [one for one in mentioned if one not in mobiles]
    said = {"content": text(message), "mentioned_list": users, "mentioned_mobile_list": mobiles}
    return Request(url, {"msgtype": "text", "text": said})


def markdown(message: Message, mentioned: Sequence[str]) -> str:
    said, link = words(message.language), good_link(message.link)
    tail = [f"[{said.open}]({link})"] if link else []
    if mentioned:
        tail.append(" ".join(f"<@{one}>" for one in mentioned))
    return _whole(message, "### ", "> ", tail, MARKDOWN_BYTES_MAX)


def text(message: Message) -> str:
    said, link = words(message.language), good_link(message.link)
    return _whole(message, "", "", [f"{said.open}{said.colon}{link}"] if link else [], TEXT_BYTES_MAX)


def _whole(message: Message, head: str, fact: str, tail: Sequence[str], bytes_max: int) -> str:
    """Title and tail in full, as much of the rest as fits between them."""
    said = words(message.language)
    title = head + (cut(unmarked(message.title), TITLE_BYTES_MAX) or "Headrace")
    body = [cut(unmarked(line), LINE_BYTES_MAX) for line in message.lines]
    body += [fact + cut(unmarked(f"{label}{said.colon}{value}"), LINE_BYTES_MAX) for label, value in message.facts]
    room = bytes_max - len("\n".join([title, "", *tail]).encode())
    return "\n".join(part for part in (title, fitted(body, room, "\n", said.cut), *tail) if part)


SERVICE: Final = Service(
    "WeCom",
    "errcode",
    "errmsg",
    request,
    check_address,
    {
        -1: (Unreachable, "it is busy"),
        45009: (LimitReached, "a robot takes 20 messages a minute"),
        45033: (LimitReached, "too many at once"),
        40008: (Refused, "it does not know the kind of message"),
        40058: (Refused, "it does not take the message as it is"),
        93000: (Refused, "check 'key': is the robot still in the group?"),
        93004: (Refused, "the robot is switched off; switch it on in the group"),
        93008: (Refused, "the robot is not in the group any more"),
    },
)

MESSENGER: Final = MessengerType(
    "wecom",
    "WeCom group robot (企业微信群机器人)",
    Settings,
    partial(RobotMessenger, SERVICE),
    address="wecom",
    group=True,
    check_address=check_address,
)
