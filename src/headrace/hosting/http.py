"""What an app asks of hosts: those that it was granted, as far as the platform itself may reach them.

url ─► host and port granted ─► Reach: its addresses, judged ─► one request, one answer, both to a bound
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Mapping, Sequence
from typing import Final

import httpx

from headrace.model.errors import DataError, Garbled, LimitReached, Refused, Unreachable
from headrace.sdk.apps import Answer
from headrace.sdk.judged_http import PORTS, JudgedTransport, is_untrusted
from headrace.sdk.reach import Reach, normal_name

ANSWER_BYTES_MAX: Final = 16 * 1024 * 1024
BODY_BYTES_MAX: Final = 16 * 1024 * 1024
TIMEOUT_S_MAX: Final = 300.0
AT_ONCE_MAX: Final = 4
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NAME: Final = re.compile(r"[A-Za-z0-9-]{1,60}")
_OURS: Final = frozenset(
    {"host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer", "proxy-authorization"}
)


class AppHttp:
    """One app's. `close` once."""

    def __init__(self, hosts: Sequence[str], reach: Reach, tls: ssl.SSLContext | None = None) -> None:
        self._hosts = hosts
        self._reach, self._tls = reach, tls
        self._transport: JudgedTransport | None = None
        self._room = asyncio.Semaphore(AT_ONCE_MAX)

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float) -> Answer:
        """Raises: Refused for a host that was not granted or may not be reached; Unreachable; Garbled; DataError for
        what is no request; LimitReached for an answer that is too long."""
        where = self._judged(url)
        request = self._made(method, url, headers, body, timeout_s)
        async with self._room:
            if self._transport is None:
                tls = self._tls
                if tls is None:
                    tls = await asyncio.to_thread(_tls)
                self._transport = JudgedTransport(tls, self._reach, AT_ONCE_MAX)
            try:
                async with asyncio.timeout(timeout_s):
                    response = await self._transport.handle_async_request(request)
                    try:
                        return await _answer(response, where)
                    finally:
                        await response.aclose()
            except (httpx.TimeoutException, TimeoutError):
                raise Unreachable(f"{where} does not answer within {timeout_s:g} s") from None
            except httpx.ConnectError as error:
                if is_untrusted(error):
                    raise Refused(f"the certificate of {where} is not trusted: {error}") from None
                raise Unreachable(f"{where} cannot be reached: {error}") from None
            except httpx.RemoteProtocolError as error:
                raise Garbled(f"{where} answers what is no HTTP", detail=str(error)) from None
            except httpx.HTTPError as error:
                raise Unreachable(f"{where}: {error or type(error).__name__}") from None

    async def close(self) -> None:
        if self._transport is not None:
            await self._transport.aclose()

    def _judged(self, url: str) -> str:
        try:
            parts = httpx.URL(url)
        except (httpx.InvalidURL, TypeError, ValueError):
            raise DataError("the address is no URL; write 'https://api.acme.com/orders'") from None
        if parts.scheme not in PORTS or not parts.host or parts.userinfo:
            raise DataError("an app calls http:// or https:// and a host, with no password in the address")
        where = f"{normal_name(parts.host)}:{parts.port or PORTS[parts.scheme]}"
        if not any(covers(one, where) for one in self._hosts):
            raise Refused(f"the app may not call {where}; its manifest says which hosts it calls")
        return where

    def _made(self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float) -> httpx.Request:
        if method not in _METHODS:
            raise DataError(f"'{method[:20]}' is no method; use one of {', '.join(sorted(_METHODS))}")
        if not 0 < timeout_s <= TIMEOUT_S_MAX:
            raise DataError(f"a request is given up after at most {TIMEOUT_S_MAX:g} s")
        if len(body) > BODY_BYTES_MAX:
            raise LimitReached(f"a request of {len(body):,} bytes; {BODY_BYTES_MAX:,} is the most")
        for name, value in headers.items():
            if not _NAME.fullmatch(name) or name.lower() in _OURS:
                raise DataError(f"'{name[:60]}' is no header that an app sets")
            if not (value.isascii() and value.isprintable() and value == value.strip() and len(value) < 8_192):
                raise DataError(f"what '{name}' should say cannot stand in a header")
        said = {"user-agent": "Headrace", "accept-encoding": "identity"}
        said |= {name.lower(): value for name, value in headers.items()}
        extensions = {"timeout": httpx.Timeout(timeout_s).as_dict()}
        return httpx.Request(method, url, content=body, headers=said, extensions=extensions)


def covers(granted: str, where: str) -> bool:
    """Whether `api.acme.com:443`, or `*.acme.com:443`, means a host and port."""
    if not granted.startswith("*."):
        return granted == where
    name, _, port = where.rpartition(":")
    wanted, _, wanted_port = granted[2:].rpartition(":")
    return port == wanted_port and name.endswith(f".{wanted}")


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


async def _answer(response: httpx.Response, where: str) -> Answer:
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise LimitReached(f"{where} answers more than {ANSWER_BYTES_MAX:,} bytes, the most that an app is given")
    headers = {name: value for name, value in response.headers.items() if len(value) < 8_192}
    return Answer(response.status_code, headers, bytes(body))
