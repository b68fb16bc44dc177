"""The outermost layer, plain ASGI: what holds for every request before any route is chosen.

Host header ─► how often ─► body counted and timed ─► application ─► security headers, a deadline on every send
"""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headrace.api.errors import error_response, headrace_response
from headrace.api.rates import Rates, TooOften, peer_of
from headrace.api.security import host_is_ours
from headrace.api.settings import ApiSettings
from headrace.sdk.app_desk import PACKAGE_BYTES_MAX
from headrace.sdk.apps.request import BODY_BYTES_MAX

API_PREFIX: Final = "/api/"
APPS_PATH: Final = f"{API_PREFIX}v1/apps"
_LARGE: Final = (f"{API_PREFIX}v1/declarations/", f"{API_PREFIX}v1/devices/import")
INGEST_PATHS: Final = frozenset((f"{API_PREFIX}v1/ingest/json", f"{API_PREFIX}v2/write", "/write"))

#: The console needs inline styles (its component library writes them), never inline scripts.
CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "manifest-src 'self'",
        "frame-src 'self'",  # pages of apps, each in a sandbox
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_HEADERS: Final = (
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
_STRICT_TRANSPORT: Final = (b"strict-transport-security", b"max-age=31536000")


class _ClientTooSlow(Exception):
    """The client took nothing of its answer for the send timeout."""


class Guard:
    def __init__(self, app: ASGIApp, settings: ApiSettings, rates: Rates) -> None:
        self._app, self._settings, self._rates = app, settings, rates
        self._headers = [*_HEADERS, *([_STRICT_TRANSPORT] if settings.secure else [])]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        hosts = [value for name, value in scope["headers"] if name == b"host"]  # two are one too many: RFC 9112 §3.2
        ours = len(hosts) == 1 and host_is_ours(hosts[0].decode("latin-1").lower(), self._settings.hosts)
        too_often = self._too_often(scope)
        if scope["type"] == "websocket":
            if ours and too_often is None:
                await self._app(scope, receive, send)
            else:
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            return
        guarded_send = self._sender(scope, send)
        if not ours:
            message = "this server is not called by that name; add it to the 'hosts' setting if it should be"
            await error_response(421, "wrong-host", message)(scope, receive, guarded_send)
            return
        if too_often is not None:
            await headrace_response(too_often)(scope, receive, guarded_send)
            return
        limit = self._body_limit(scope)
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > limit:
            await error_response(413, "too-large", _too_large(limit))(scope, receive, guarded_send)
            return
        try:
            await self._app(scope, self._counted(receive, limit), guarded_send)
        except _ClientTooSlow:
            return  # the response stays incomplete, so the server drops the connection

    def _too_often(self, scope: Scope) -> TooOften | None:
        try:
            self._rates.peer(peer_of(scope, self._settings))
        except TooOften as error:
            return error
        return None

    def _counted(self, receive: Receive, limit: int) -> Receive:
        """Refuse a body that grows beyond its limit, and one that drips: what counts is the time that we waited."""
        settings, time_s = self._settings, asyncio.get_running_loop().time
        taken, waited_s, whole = 0, 0.0, False

        async def counted() -> Message:
            nonlocal taken, waited_s, whole
            if whole:
                return await receive()  # waits for the peer to leave
            began_s = time_s()
            left_s = settings.body_silence_s + taken / settings.body_bytes_per_s - waited_s
            try:
                async with asyncio.timeout(max(left_s, 0.0)):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408, "the body comes too slowly; send it faster, or in parts") from None
            waited_s += time_s() - began_s
            taken += len(message.get("body", b""))
            if taken > limit:
                raise HTTPException(413, _too_large(limit))
            whole = not message.get("more_body", False)
            return message

        return counted

    def _body_limit(self, scope: Scope) -> int:
        if scope["path"] == f"{API_PREFIX}v1/history/import":
            return self._settings.import_bytes_max
        if scope["path"] in INGEST_PATHS:
            return self._settings.ingest_bytes_max
        if scope["path"].startswith(APPS_PATH):
            return self._app_limit(scope["path"].removeprefix(APPS_PATH).split("/"))
        large = scope["path"].startswith(_LARGE) or scope["path"] == f"{API_PREFIX}v1/streams"  # with a model
        return self._settings.declarations_bytes_max if large else self._settings.body_bytes_max

    def _app_limit(self, parts: list[str]) -> int:
        """Of `/apps`, `/apps/{name}/update` and `/apps/{name}/call/…`, split after `/apps`."""
        if parts == [""] or (len(parts) == 3 and parts[2] == "update"):
            return PACKAGE_BYTES_MAX
        return BODY_BYTES_MAX if parts[2:3] == ["call"] else self._settings.body_bytes_max

    def _sender(self, scope: Scope, send: Send) -> Send:
        timeout_s, no_store = self._settings.send_timeout_s, scope["path"].startswith(API_PREFIX)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                _add_headers(message, self._headers, no_store)
            try:
                async with asyncio.timeout(timeout_s):
                    await send(message)
            except TimeoutError:
                raise _ClientTooSlow from None

        return guarded


def _add_headers(message: MutableMapping[str, Any], ours: list[tuple[bytes, bytes]], no_store: bool) -> None:
    headers = list(message.get("headers", ()))
    present = {name for name, _ in headers}
    headers += [pair for pair in ours if pair[0] not in present]
    if no_store and b"cache-control" not in present:
        headers.append((b"cache-control", b"no-store"))
    message["headers"] = headers


def _too_large(limit: int) -> str:
    return f"the body is larger than {limit} bytes; send less at a time"
