"""One POST over HTTP, to an address that was judged: never redirected, no proxy, its answer read to a bound.

https://erp.acme.example/hook ──Reach──► 203.0.113.7 ──► https://203.0.113.7/hook   Host and SNI: erp.acme.example

The name is resolved by us, and the certificate still has to bear the name. No cookies, and no line in the log: the
address of a webhook is a secret.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import httpx

from headrace.model.errors import Garbled, Refused, Unreachable
from headrace.sdk.judged_http import JudgedTransport, is_untrusted
from headrace.sdk.reach import Reach

ANSWER_BYTES_MAX: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is empty unless it was asked for, and no longer than that."""

    status: int
    body: bytes = b""


class Poster:
    """`post` may be called any number of times; one connection at a time. `close` once."""

    def __init__(
        self, tls: ssl.SSLContext, reach: Reach, timeout_s: float, headers: Mapping[str, str] | None = None
    ) -> None:
        self._transport = JudgedTransport(tls, reach)
        self._timeout_s, self._headers = timeout_s, dict(headers or {})

    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, called: str = "", answer_bytes_max: int = 0
    ) -> Answer:
        """Any answer at all; `called` stands for the URL in errors, where that holds a secret.

        Raises: Unreachable, Refused (a certificate, a header, or where it leads), Garbled for what is no HTTP or too
        long.
        """
        shown = called or url
        said = {"user-agent": "Headrace", "accept-encoding": "identity", **self._headers, **headers}
        for name, value in said.items():
            if not (value.isascii() and value.isprintable() and value == value.strip()):
                raise Refused(
                    f"{shown} is not called: what '{name}' should say cannot stand in a header; check its secret"
                )
        try:
            request = httpx.Request(
                "POST",
                url,
                content=body,
                headers=said,
                extensions={"timeout": httpx.Timeout(self._timeout_s).as_dict()},
            )
            # httpx bounds each step; who answers a byte at a time, or with ever more 1xx, is bounded here.
            async with asyncio.timeout(self._timeout_s):
                response = await self._transport.handle_async_request(request)
                try:
                    return Answer(response.status_code, await _body(response, answer_bytes_max, shown))
                finally:
                    await response.aclose()
        except (httpx.TimeoutException, TimeoutError):
            raise Unreachable(f"{shown} does not answer within {self._timeout_s:g} s") from None
        except httpx.ConnectError as error:
            if is_untrusted(error):
                raise Refused(f"the certificate of {shown} is not trusted: {error}") from None
            raise Unreachable(f"{shown} cannot be reached: {error}") from None
        except httpx.RemoteProtocolError as error:
            if "disconnected" in str(error) or "closed" in str(error):
                raise Unreachable(f"{shown} hung up before it had answered") from None
            raise Garbled(f"{shown} answers what is no HTTP; check the address", detail=str(error)) from None
        except httpx.InvalidURL:
            raise Refused(f"{shown} cannot be called: its address is no URL") from None
        except httpx.HTTPError as error:
            raise Unreachable(f"{shown}: {error or type(error).__name__}") from None

    async def close(self) -> None:
        await self._transport.aclose()


async def _body(response: httpx.Response, bytes_max: int, shown: str) -> bytes:
    if not bytes_max:
        return b""
    body = bytearray()
    async for part in response.aiter_raw():
        body += part
        if len(body) > bytes_max:
            raise Garbled(f"{shown} answers more than {bytes_max} bytes; check the address")
    return bytes(body)
