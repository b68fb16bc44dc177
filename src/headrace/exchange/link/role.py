"""What the rest of an edge does for its hub. `platform/` brings it."""

from __future__ import annotations

from typing import Protocol

from headrace.model.batch import Batch, Value
from headrace.sdk.edges import Actual, Desired


class EdgeRole(Protocol):
    def actual(self) -> Actual:
        """What it runs now."""
        ...

    async def become(self, desired: Desired) -> Actual:
        """Run what is desired, and keep it for the next start. Never raises: what is wrong is in the answer."""
        ...

    async def write(self, path: str, value: Value) -> None:
        """As `sdk.field.DeviceWriter`."""
        ...

    async def read_back(self, path: str) -> Batch: ...
