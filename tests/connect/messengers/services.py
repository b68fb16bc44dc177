"""What the robots of WeCom, DingTalk and Feishu check, and how they answer: written from their documents.

Each judge takes a request as the service does: content type, key, signature and its age, required fields, lengths.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.connect.messengers.http_side import Asked, HttpSide, Said

KEY = "s3cret-key-0123456789"


def said(document: Mapping[str, Any], status: int = 200) -> Said:
    return Said(status, json.dumps(document, ensure_ascii=False).encode(), "content-type: application/json\r\n")


def document(asked: Asked) -> dict[str, Any]:
    found = json.loads(asked.body)
    assert isinstance(found, dict)
    return found


def sign(key: str, text: str) -> str:
    return base64.b64encode(hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()).decode()


def is_json(asked: Asked) -> bool:
    return asked.headers.get("content-type", "").partition(";")[0] == "application/json"


def only(query: str, name: str) -> str:
    values = parse_qs(query).get(name, [""])
    return values[0] if len(values) == 1 else ""


# --- WeCom ----------------------------------------------------------------------------------------------------------


def wecom(side: HttpSide, asked: Asked) -> Said:
    parts = urlsplit(asked.path)
    if parts.path != "/cgi-bin/webhook/send" or only(parts.query, "key") != KEY:
        return said({"errcode": 93000, "errmsg": "invalid webhook url, hint: [1795736960], from ip: 203.0.113.9"})
    if not is_json(asked):
        return said({"errcode": 44004, "errmsg": "empty content"})
    body = document(asked)
    kind = body.get("msgtype")
    if kind not in ("text", "markdown"):
        return said({"errcode": 40008, "errmsg": "invalid message type"})
    content = body.get(kind, {}).get("content", "")
    longest = 2_048 if kind == "text" else 4_096
    if not content:
        return said({"errcode": 44004, "errmsg": "empty content"})
    if len(content.encode()) > longest:
        return said(
            {"errcode": 40058, "errmsg": f"{kind}.content exceed max length {longest}. invalid Request Parameter"}
        )
    side.taken.append(content)
    return said({"errcode": 0, "errmsg": "ok"})


def wecom_busy() -> Said:
    return said({"errcode": 45009, "errmsg": "api freq out of limit, hint: [1795736960], from ip: 203.0.113.9"})


def wecom_no(asked: Asked) -> Said:
    told = f"invalid webhook url {asked.path} {asked.body.decode()}"
    return said({"errcode": 93000, "errmsg": told})


# --- DingTalk -------------------------------------------------------------------------------------------------------


def dingtalk(side: HttpSide, asked: Asked) -> Said:
    parts = urlsplit(asked.path)
    if parts.path != "/robot/send" or only(parts.query, "access_token") != KEY:
        return said({"errcode": 300005, "errmsg": "token is not exist"})
    if not is_json(asked):
        return said({"errcode": 43004, "errmsg": "无效的HTTP HEADER Content-Type"})
    time_ms = only(parts.query, "timestamp")
    if not time_ms.isdigit() or abs(int(time_ms) / 1_000 - time.time()) > 3_600:
        return said(
            {
                "errcode": 310000,
                "errmsg": "description:机器人发送签名过期",
            }
        )
    if only(parts.query, "sign") != sign(KEY, f"{time_ms}\n{KEY}"):
        return said(
            {
                "errcode": 310000,
                "errmsg": "description:机器人发送签名不匹配",
            }
        )
    if len(asked.body) > 20_000:
        return said({"errcode": 460101, "errmsg": "message too long, exceed 20000 bytes"})
    body = document(asked)
    markdown = body.get("markdown", {})
    if body.get("msgtype") != "markdown" or not markdown.get("title") or not markdown.get("text"):
        return said({"errcode": 40035, "errmsg": "缺少参数 markdown"})
    for mobile in body["at"]["atMobiles"]:
        assert f"@{mobile}" in markdown["text"], "else nobody sees that they are meant"
    side.taken.append(markdown["text"])
    return said({"errcode": 0, "errmsg": "ok"})


def dingtalk_busy() -> Said:
    return said({"errcode": 130101, "errmsg": "send too fast, exceed 20 times per minute"})


def dingtalk_no(asked: Asked) -> Said:
    return said({"errcode": 310000, "errmsg": f"sign not match, {asked.path} {asked.body.decode()}"})


# --- Feishu ---------------------------------------------------------------------------------------------------------


def feishu(side: HttpSide, asked: Asked) -> Said:
    if asked.path != f"/open-apis/bot/v2/hook/{KEY}":
        return said({"code": 19001, "msg": "param invalid: incoming webhook access token invalid", "data": {}})
    if not is_json(asked) or len(asked.body) > 20 * 1_024:
        return said({"code": 9499, "msg": "Bad Request", "data": {}}, 400)
    body = document(asked)
    time_s = body.get("timestamp", "")
    if not isinstance(time_s, str) or not time_s.isdigit() or abs(int(time_s) - time.time()) > 3_600:
        return said({"code": 19021, "msg": "sign match fail or timestamp is not within one hour from current time"})
    if body.get("sign") != sign(f"{time_s}\n{KEY}", ""):
        return said({"code": 19021, "msg": "sign match fail or timestamp is not within one hour from current time"})
    card = body.get("card", {})
    if body.get("msg_type") != "interactive" or not card.get("elements") or not card["header"]["title"]["content"]:
        return said({"code": 19002, "msg": "params error, msg_type need", "data": {}}, 400)
    side.taken.append(json.dumps(card, ensure_ascii=False))
    return said({"StatusCode": 0, "StatusMessage": "success", "code": 0, "data": {}, "msg": "success"})


def feishu_busy() -> Said:
    return said({"code": 11232, "msg": "frequency limited psm[lark.oapi.app_platform_runtime]appID[1500]"}, 400)


def feishu_no(asked: Asked) -> Said:
    return said({"code": 19021, "msg": f"sign match fail {asked.path} {asked.body.decode()}"})


MARKUP = re.compile(r"[\[\]<>*`#@\\&]|://")
"""What the Markdown of all of them might act on."""
