"""What happened, as CloudEvents in JSON, and the headers that sign one: for whoever sends them.

Sources: CloudEvents 1.0.2 §3, JSON Event Format 1.0.2 §3 (structured mode); Standard Webhooks 1.0 (signature).
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from typing import Any, Final

import orjson

from headrace.model.events import Event
from headrace.model.time import format_time

CONTENT_TYPE: Final = "application/cloudevents+json"
EXACT_INTEGER_MAX: Final = 2**53 - 1
TYPE_PREFIX: Final = "org.headrace."


def of_event(event: Event) -> bytes:
    """One event; its `id` is the same however often it is sent."""
    return envelope(event.id, f"/headrace/{event.source}", event.type, event.subject, event.time_ns, dict(event.data))


def envelope(ident: str, source: str, kind: str, subject: str, time_ns: int, data: Any) -> bytes:
    said = {
        "specversion": "1.0",
        "id": ident,
        "source": source,
        "type": f"{TYPE_PREFIX}{kind}",
        "time": format_time(time_ns),
        "datacontenttype": "application/json",
        "data": _plain(data),
    }
    if subject:
        said["subject"] = subject
    return orjson.dumps(said)


def headers(ident: str, body: bytes, time_s: int, secret: bytes | None) -> dict[str, str]:
    """`webhook-signature` is `v1,` and the base64 of HMAC-SHA-256 over `<id>.<seconds>.<body>`."""
    said = {"content-type": CONTENT_TYPE, "webhook-id": ident, "webhook-timestamp": str(time_s)}
    if secret is not None:
        signed = f"{ident}.{time_s}.".encode() + body
        said["webhook-signature"] = "v1," + base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    return said


def _plain(said: Any) -> Any:
    """As JSON holds it: no NaN, no half characters, and integers that JavaScript would round as text."""
    if isinstance(said, str):
        return said if said.isascii() else said.encode("utf-8", "replace").decode()
    if isinstance(said, Mapping):
        return {_plain(str(name)): _plain(part) for name, part in said.items()}
    if isinstance(said, list | tuple):
        return [_plain(part) for part in said]
    if isinstance(said, float):
        return said if said - said == 0.0 else None
    if isinstance(said, int) and not isinstance(said, bool) and abs(said) > EXACT_INTEGER_MAX:
        return str(said)
    return said
