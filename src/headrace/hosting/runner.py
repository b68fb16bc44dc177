"""One app of one tenant at work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from headrace.hosting.abilities import Abilities, AppHealth, Declared
from headrace.sdk.apps import AppManifest, Permissions, Reply, Request
from headrace.sdk.clock import Clock


class AppRunner:
    """Make one, `run` it in a task, `stop` it; it is not run twice."""

    def __init__(
        self, manifest: AppManifest, sources: Mapping[str, bytes], *, grants: Permissions, tenant: str,
        settings: Mapping[str, Any], abilities: Abilities, folder: Path, clock: Clock, trusted: bool = False,
        package: str = "",
    ) -> None:  # fmt: skip
        """`sources`: all files of the app by their path within its folder (`app.py`, `migrations/0001-a.sql`).
        `folder`: where what it keeps lies, of this app and tenant alone. `settings` are checked ones, secrets opened.
        `trusted`: no fences. `package`: the name under which its modules import each other, for one that is part of
        this platform (`headrace.apps.energy`)."""
        raise NotImplementedError

    async def run(self) -> None:
        """Until stopped. Raises nothing for what the app does: `health` says how it fares."""
        raise NotImplementedError

    async def request(self, request: Request) -> Reply:
        """Raises: NotFound for no route; Unavailable while it does not run, or was stopped amidst; LimitReached where
        it takes too long or too many wait; whatever HeadraceError the route raised; DataError for another exception."""
        raise NotImplementedError

    @property
    def declared(self) -> Declared:
        """Empty until it was loaded for the first time."""
        raise NotImplementedError

    def health(self) -> AppHealth:
        raise NotImplementedError

    async def wait_until_running(self) -> None:
        """Raises: Unavailable with the reason where it halts."""
        raise NotImplementedError

    def restart(self) -> None:
        """Also one that is halted."""
        raise NotImplementedError

    async def stop(self) -> None:
        """In good order: `on_stop` is called; what it was given is kept. Returns once its process is gone."""
        raise NotImplementedError
