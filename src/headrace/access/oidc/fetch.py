"""Asking a provider, safely: no redirects, bounded size and time, JSON objects only.

Source: RFC 9700 §4.12 (no redirects with secrets); OWASP SSRF prevention. The addresses were checked before.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

import httpx

from headrace.model.errors import Unavailable

BYTES_MAX: Final = 256 * 1024
TIMEOUT_S: Final = 10.0


class Fetcher:
    """`transport` is for tests."""

    def __init__(self, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._transport = transport

    async def get(self, url: str, *, bearer: str | None = None) -> Mapping[str, Any]:
        """Raises: Unavailable."""
        headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
        return await self._ask("GET", url, headers, None, None)

    async def post(
        self, url: str, form: Mapping[str, str], *, basic: tuple[str, str] | None = None
    ) -> Mapping[str, Any]:
        """Raises: Unavailable; its `detail` has what the provider answered."""
        return await self._ask("POST", url, {}, form, basic)

    async def _ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        form: Mapping[str, str] | None,
        basic: tuple[str, str] | None,
    ) -> Mapping[str, Any]:
        auth = None if basic is None else httpx.BasicAuth(*basic)
        try:
            async with (
                asyncio.timeout(TIMEOUT_S),  # of all of it: a peer that drips bytes is given up, too
                httpx.AsyncClient(
                    transport=self._transport, follow_redirects=False, timeout=TIMEOUT_S, trust_env=False
                ) as client,
                client.stream(
                    method, url, headers={"Accept": "application/json", **headers}, data=form, auth=auth
                ) as answer,
            ):
                body = bytearray()
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > BYTES_MAX:
                        raise Unavailable("the provider of identities answers too much")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            raise Unavailable("the provider of identities does not answer; try again", detail=repr(error)) from None
        if answer.status_code != 200:
            raise Unavailable(
                f"the provider of identities refused ({answer.status_code}); try again, or tell your administrator",
                detail=body[:500].decode("utf-8", "replace"),
            )
        try:
            read = json.loads(body)
        except ValueError:
            read = None
        if not isinstance(read, dict):
            raise Unavailable("the provider of identities answers something else than it should")
        return read
