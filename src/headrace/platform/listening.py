"""Certificates for gateways: the console's own, the authority of devices, and what was pinned.

WebIdentity ──server──► gateway          started at first need, where the console itself does no TLS
DeviceCertificates ──clients──► gateway          changes of either ──► gateway gathers anew
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from headrace.access.web_identity import WebIdentity
from headrace.fleet.devices.certifying import DeviceCertificates
from headrace.sdk.certificates import ServerIdentity
from headrace.sdk.notices import Notices


class GatewayCertificates:
    """Implements `sdk.certificates.ListenerCertificates`."""

    def __init__(self, web: WebIdentity, devices: DeviceCertificates) -> None:
        self._web, self._devices = web, devices
        self._starting = asyncio.Lock()
        self._notices = Notices()

    async def server(self) -> ServerIdentity:
        async with self._starting:
            if not self._web.started:
                await self._web.start()
        return self._web.server()

    async def clients(self) -> bytes:
        return await self._devices.clients()

    def changes(self) -> AsyncIterator[str]:
        return self._notices.watch()

    async def run(self) -> None:
        """Pass on what changes, until it is cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._pass_on(self._web.changes()))
            tasks.create_task(self._pass_on(self._devices.listeners.watch()))

    def close(self) -> None:
        self._notices.close()

    async def _pass_on(self, changes: AsyncIterator[str]) -> None:
        async for one in changes:
            self._notices.tell(one)
