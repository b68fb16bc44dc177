"""What an edge does for its hub: become what is desired, say what it is, carry out commands.

    Desired ─► devices ─► registry.apply, durable ─► reconcile (alarms, links) ─► desired.json ─► Actual
                     └ wrong: what ran goes on, and Actual says why

The declarations are in the edge's own database, so it starts without its hub. `desired.json` only says which revision
they are; a stop in between makes the hub send them again, which changes nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
import platform
from collections import Counter
from pathlib import Path
from typing import Any

from headrace import __version__
from headrace.connect.supervisor import Supervisor
from headrace.fleet.devices import GuestDoor
from headrace.model.batch import Batch, Value
from headrace.model.errors import HeadraceError
from headrace.platform.reconcile import Reconciler
from headrace.registry import DeclarationRegistry
from headrace.sdk.edges import Actual, Desired
from headrace.sdk.services import SourceFile

log = logging.getLogger(__name__)


class EdgePlant:
    """Implements `exchange.link.EdgeRole`."""

    def __init__(
        self, home: Path, declared: DeclarationRegistry, reconciler: Reconciler, links: Supervisor, door: GuestDoor
    ) -> None:
        self._path, self._door = home / "desired.json", door
        self._declared, self._reconciler, self._links = declared, reconciler, links
        self._revision, self._error = _read_revision(self._path), ""
        self._becoming = asyncio.Lock()

    async def start(self) -> None:
        """Run what was declared last, and let in who was known last, with or without a hub."""
        await self._door.start()
        await self._reconciler.reconcile(await self._declared.model())

    def actual(self) -> Actual:
        model = self._reconciler.directory.model
        states = Counter(status.state.value for status in self._links.status())
        facts: dict[str, Any] = {
            "points": len(model.points),
            "devices": self._door.counts.told(),
            "connections": dict(states),
            "machine": platform.machine(),
            "python": platform.python_version(),
        }
        return Actual(self._revision, self._error, __version__, facts)

    async def become(self, desired: Desired) -> Actual:
        async with self._becoming:
            files = [SourceFile(name, text) for name, text in desired.files.items()]
            try:
                await self._door.become(desired.devices)
                plan, model = await self._declared.apply(files, actor="hub")
                await self._reconciler.reconcile(model)
            except (HeadraceError, OSError) as error:
                self._error = f"revision {desired.revision} cannot be run: {error}"
                log.error("%s; revision %d goes on", self._error, self._revision)
                return self.actual()
            self._revision, self._error = desired.revision, ""
            await asyncio.to_thread(_write_revision, self._path, desired.revision)
            log.info("runs revision %d: %d changes, %d points", desired.revision, len(plan.changes), len(model.points))
            return self.actual()

    async def write(self, path: str, value: Value) -> None:
        await self._links.write(path, value)

    async def read_back(self, path: str) -> Batch:
        return await self._links.read_back(path)


def _read_revision(path: Path) -> int:
    try:
        return int(json.loads(path.read_text())["revision"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0  # the hub sends it again


def _write_revision(path: Path, revision: int) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({"revision": revision}))
    temporary.replace(path)
