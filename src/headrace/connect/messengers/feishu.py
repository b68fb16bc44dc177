"""Feishu (飞书) and Lark: the custom robot of a group chat, a card whose texts are plain, signed where it has a secret.

Limits: 100 messages a minute, 5 a second; 20 KB a request, of which we use less. Only what mentions people is Markdown,
and only checked addresses are in it.
Source: open.feishu.cn, 自定义机器人使用指南 (custom bot usage guide: signature, limits, error codes);
卡片 JSON 1.0 结构; 通用错误码.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import orjson
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
from headrace.connect.messengers.words import LINE_BYTES_MAX, TITLE_BYTES_MAX, cut, good_link, one_line, words
from headrace.connect.settings import KeylessAddress, SecretReference
from headrace.model.errors import LimitReached, Refused
from headrace.model.time import SECOND_NS
from headrace.sdk.messenger import Message, MessengerType

PARTS_BYTES_MAX: Final = 14_000
SHORT: Final = 24
_OPEN_ID: Final = re.compile(r"ou_[A-Za-z0-9_-]{1,64}")
_COLOUR: Final = {"critical": "red", "high": "orange", "medium": "yellow", "low": "blue"}


class Settings(RobotSettings):
    """One robot in one group."""

    secret: SecretReference | None = Field(
        None,
        description="where the secret is that signs (签名校验), if it has one: env:NAME or file:/path",
    )
    url: KeylessAddress = Field(
        "https://open.feishu.cn/open-apis/bot/v2/hook",
        description="address of the robot without its last part; of Lark https://open.larksuite.com/open-apis/bot/v2/hook",
    )

    @property
    def address(self) -> str:
        return self.url

    @property
    def signing(self) -> str | None:
        return self.secret


def check_address(address: str) -> str:
    return "" if _OPEN_ID.fullmatch(address) else "a person at Feishu is their open_id, which begins with 'ou_'"


def request(settings: Settings, secrets: Secrets, message: Message, mentioned: Sequence[str], now_ns: int) -> Request:
    body: dict[str, Any] = {"msg_type": "interactive", "card": card(message, mentioned)}
    if secrets.signing:  # the text is the key here, and nothing is what it signs
        time_s = now_ns // SECOND_NS
        body |= {"timestamp": str(time_s), "sign": signature(f"{time_s}\n{secrets.signing}", "")}
    return Request(f"{settings.url.rstrip('/')}/{in_query(secrets.key)}", body)


def card(message: Message, mentioned: Sequence[str]) -> dict[str, Any]:
    said, link = words(message.language), good_link(message.link)
    lines = [_div(cut(one_line(line), LINE_BYTES_MAX)) for line in message.lines if one_line(line)]
    facts = [_field(cut(one_line(f"{label}{said.colon}{value}"), LINE_BYTES_MAX)) for label, value in message.facts]
    kept_lines, left = _kept(lines, PARTS_BYTES_MAX)
    kept_facts, _ = _kept(facts, left)
    elements = list(kept_lines)
    if kept_facts:
        elements.append({"tag": "div", "fields": kept_facts})
    if len(kept_lines) < len(lines) or len(kept_facts) < len(facts):
        elements.append(_div(said.cut))
    if mentioned:
        people = " ".join(f"<at id={one}></at>" for one in mentioned)
        elements.append({"tag": "div", "text": {"tag": "lark_md", "content": people}})
    if link:
        button = {"tag": "button", "text": _plain(said.open), "type": "primary", "url": link}
        elements.append({"tag": "action", "actions": [button]})
    title = cut(one_line(message.title), TITLE_BYTES_MAX) or "Headrace"
    return {
        "config": {"wide_screen_mode": True},
        "header": {"title": _plain(title), "template": _COLOUR.get(message.priority, "grey")},
        "elements": elements or [_div(title)],
    }


def _plain(content: str) -> dict[str, str]:
    return {"tag": "plain_text", "content": content}


def _div(content: str) -> dict[str, Any]:
    return {"tag": "div", "text": _plain(content)}


def _field(content: str) -> dict[str, Any]:
    return {"is_short": len(content) <= SHORT, "text": _plain(content)}


def _kept(parts: Sequence[dict[str, Any]], bytes_max: int) -> tuple[list[dict[str, Any]], int]:
    """Those that fit, in order, and the bytes that are left."""
    kept, left = list[dict[str, Any]](), bytes_max
    for part in parts:
        needed = len(orjson.dumps(part)) + 1
        if needed > left:
            return kept, 0
        kept.append(part)
        left -= needed
    return kept, left


SERVICE: Final = Service(
    "Feishu",
    "code",
    "msg",
    request,
    check_address,
    {
        11232: (LimitReached, "a robot takes 100 messages a minute, 5 a second"),
        99991400: (LimitReached, "a robot takes 100 messages a minute, 5 a second"),
        9499: (Refused, "it does not take the message as it is"),  # "too many request" has the same code: robot.py
        19001: (Refused, "check 'key': is the robot still in the group?"),
        19002: (Refused, "it does not take the message as it is"),
        19021: (Refused, "check 'secret', and this machine's clock"),
        19022: (Refused, "add this machine's address to those that the robot allows"),
        19024: (Refused, "the robot asks for a keyword; let it check signatures instead, and declare 'secret'"),
    },
)

MESSENGER: Final = MessengerType(
    "feishu",
    "Feishu or Lark group robot (飞书群机器人)",
    Settings,
    partial(RobotMessenger, SERVICE),
    address="feishu",
    group=True,
    check_address=check_address,
)
