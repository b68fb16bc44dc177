"""What channels over HTTP share: settings, and a poster that is made when it is first needed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from headrace.connect.calling import client_tls
from headrace.connect.posting import Poster
from headrace.connect.settings import duration
from headrace.model.time import SECOND_NS
from headrace.sdk.messenger import MessengerContext


class HttpSettings(BaseModel):
    """Durations are text (`5s`) in a declaration and nanoseconds here."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    timeout_ns: Annotated[int, duration("100ms", "25s")] = Field(
        10 * SECOND_NS, alias="timeout", description="how long one answer may take"
    )
    ca: Path | None = Field(None, description="certificates that vouch for the other side; the system's unless given")


class Caller:
    def __init__(self, settings: HttpSettings, context: MessengerContext) -> None:
        self._settings, self._context = settings, context
        self._poster: Poster | None = None

    async def poster(self) -> Poster:
        """Raises: ConfigError for `ca`."""
        if self._poster is None:
            tls = await asyncio.to_thread(client_tls, self._settings.ca)
            self._poster = self._poster or Poster(tls, self._context.reach, self._settings.timeout_ns / SECOND_NS)
        return self._poster

    async def secret(self, reference: str | None) -> str:
        """Read anew each time, so one that was changed holds from the next message on. Raises: Refused."""
        return "" if reference is None else await asyncio.to_thread(self._context.references.read, reference)

    async def close(self) -> None:
        poster, self._poster = self._poster, None
        if poster is not None:
            await poster.close()
