"""What an engineer declares for a webhook.

outlets:
  maintenance:
    protocol: webhook
    waiting: disk
    settings: {url: "https://erp.acme.example/hooks/headrace", secret: "env:ERP_HOOK_SECRET", events: [alarm.*]}
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from headrace.connect.settings import SecretReference, WebAddress, duration
from headrace.model.errors import ConfigError
from headrace.model.events import Event
from headrace.model.outlets import Outlet
from headrace.model.time import SECOND_NS

Pattern = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*(\.\*)?$|^\*$", max_length=64)]


class Settings(BaseModel):
    """One URL that is told. Durations are text (`5s`) in a declaration and nanoseconds here."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    url: WebAddress = Field(description="where to POST; https, or http on this machine")
    secret: SecretReference | None = Field(None, description="what signs each request: env:NAME or file:/path")
    token: SecretReference | None = Field(None, description="sent as Authorization: Bearer, where the other side asks")
    events: list[Pattern] = Field(
        ["*"], max_length=50, description="kinds of events: alarm.*, connection.lost; none: []"
    )
    samples: bool = Field(False, description="send samples too, as events of kind samples")
    batch: int = Field(500, ge=1, le=5_000, description="samples in one request, at most")
    timeout_ns: Annotated[int, duration("100ms", "25s")] = Field(
        10 * SECOND_NS, alias="timeout", description="how long one answer may take"
    )
    ca: Path | None = Field(None, description="certificates that vouch for the other side; the system's unless given")


def samples(settings: Settings) -> bool:
    return settings.samples


def wants(settings: Settings, event: Event) -> bool:
    """`alarm.*` is all kinds below `alarm`."""
    return any(
        one in ("*", event.type) or (one.endswith(".*") and event.type.startswith(one[:-1])) for one in settings.events
    )


def check(settings: Settings, declaration: Outlet) -> None:
    """Raises: ConfigError."""
    if not settings.samples and not settings.events:
        raise ConfigError(f"outlet '{declaration.name}' sends nothing: say 'samples: true', or name some events")
    if declaration.points and not settings.samples:
        raise ConfigError(
            f"outlet '{declaration.name}' sends no samples, so 'points' mean nothing: say 'samples: true'"
        )
