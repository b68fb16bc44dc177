"""A register of devices in memory, for tests of gateways and for benches; nothing of it is durable."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import replace

from headrace.model.errors import AccessError
from headrace.sdk.devices import Admission, Claim, DeviceState, Preview

EVERYTHING = ("#",)


class MemoryDoor:
    """Lets in whom `add` has named: by certificate, else by user name, else by client identifier.

    `open_to_all` takes everybody as the device of that name, with rights to everything: for conformance suites.
    """

    def __init__(self, *, open_to_all: bool = False) -> None:
        self.open_to_all = open_to_all
        self.claims: list[Claim] = []
        self.previews: dict[str, list[Preview]] = defaultdict(list)
        self.online: dict[str, bool] = {}
        self.messages: dict[str, int] = defaultdict(int)
        self.refused: dict[str, int] = defaultdict(int)
        self.fault: Exception | None = None
        self._known: dict[str, tuple[bytes | None, Admission]] = {}
        self._changes: asyncio.Queue[str | None] = asyncio.Queue()

    def add(
        self,
        device: str,
        password: bytes | None = None,
        *,
        state: DeviceState = DeviceState.APPROVED,
        publish: tuple[str, ...] = EVERYTHING,
        subscribe: tuple[str, ...] = EVERYTHING,
        messages_per_s: float | None = None,
        login: str | None = None,
    ) -> None:
        """A device that shows `login` (its name unless given) and, where there is one, the password."""
        self._known[login or device] = (password, Admission(device, state, publish, subscribe, messages_per_s))

    def set_state(self, login: str, state: DeviceState) -> None:
        """As an engineer who approves or blocks."""
        password, admission = self._known[login]
        self._known[login] = (password, replace(admission, state=state))
        self._changes.put_nowait(admission.device)

    def stop(self) -> None:
        self._changes.put_nowait(None)

    # --- DeviceDoor -----------------------------------------------------------------------------------------------

    async def admit(self, claim: Claim) -> Admission:
        self.claims.append(claim)
        if self.fault is not None:
            raise self.fault
        login = claim.certificate or claim.user or claim.client_id
        found = self._known.get(login)
        if found is None and self.open_to_all:
            return Admission(login or "nameless", DeviceState.APPROVED, EVERYTHING, EVERYTHING)
        if found is None or (found[0] is not None and found[0] != claim.password):
            raise AccessError("unknown device or wrong password", authenticated=False)
        if found[1].state is DeviceState.BLOCKED:
            raise AccessError("this device is blocked")
        return found[1]

    def preview(self, device: str, preview: Preview) -> None:
        self.previews[device].append(preview)

    def seen(self, device: str, now_ns: int, online: bool, *, messages: int = 0, refused: int = 0) -> None:
        del now_ns
        self.online[device] = online
        self.messages[device] += messages
        self.refused[device] += refused

    async def changes(self) -> AsyncIterator[str]:
        while (device := await self._changes.get()) is not None:
            yield device
