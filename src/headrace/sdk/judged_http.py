"""HTTP to an address that was judged: never redirected, no proxy, and nobody says a name in between.

https://erp.acme.example/hook ──Reach──► 203.0.113.7 ──► https://203.0.113.7/hook   Host and SNI: erp.acme.example

The name is resolved by us, and the certificate still has to bear the name.
"""

from __future__ import annotations

import ssl
from typing import Final

import httpx

from headrace.sdk.reach import Reach

PORTS: Final = {"http": 80, "https": 443}


class JudgedTransport(httpx.AsyncBaseTransport):
    """`connections_max` at a time. Raises: Unreachable, Refused of `Reach`, beside httpx's own."""

    def __init__(self, tls: ssl.SSLContext, reach: Reach, connections_max: int = 1) -> None:
        self._reach = reach
        self._inner = httpx.AsyncHTTPTransport(
            verify=tls, trust_env=False, limits=httpx.Limits(max_connections=connections_max)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        failure: httpx.ConnectError | httpx.ConnectTimeout | None = None
        for target in await self._reach.targets(url.host, url.port or PORTS[url.scheme]):
            # The Host header was made from the URL as declared; the name goes into SNI and is what the certificate
            # is held against.
            judged = httpx.Request(
                request.method,
                url.copy_with(host=target.host.partition("%")[0]),
                headers=request.headers,
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": url.host},
            )
            try:
                return await self._inner.handle_async_request(judged)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                failure = error
        assert failure is not None
        raise failure

    async def aclose(self) -> None:
        await self._inner.aclose()


def is_untrusted(error: BaseException) -> bool:
    """Whether a certificate is what it failed for, however deep the library wrapped that."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, ssl.SSLCertVerificationError):
            return True
        inner = inner.__cause__ or inner.__context__
    return False
