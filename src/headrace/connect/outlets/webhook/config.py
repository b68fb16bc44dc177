"""What an engineer declares for a webhook.

outlets:
  maintenance:
    protocol: webhook
    waiting: disk
    settings: {url: "https://erp.acme.example/hooks/headrace", secret: "env:ERP_HOOK_SECRET", events: [alarm.*]}
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headrace.connect.settings import SecretReference, duration
from headrace.model.errors import ConfigError
from headrace.model.events import Event
from headrace.model.outlets import Outlet
from headrace.model.time import SECOND_NS

Pattern = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)*(\.\*)?$|^\*$", max_length=64)]


class Settings(BaseModel):
    """One URL that is told. Durations are text (`5s`) in a declaration and nanoseconds here."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    url: str = Field(min_length=8, max_length=2_000, description="where to POST; https, or http on this machine")
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

    @model_validator(mode="after")
    def _may_be_called(self) -> Self:
        try:
            parts = urlsplit(self.url)
            host = parts.hostname or ""
            parts.port  # noqa: B018  # raises where it is none
        except ValueError as error:
            raise ValueError(f"'{self.url}' is no URL: {error}") from None
        if parts.scheme not in ("http", "https") or not host:
            raise ValueError(f"'{self.url}' is no URL that begins with https://")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise ValueError("a URL here has neither user, password nor '#': refer to a secret with 'token'")
        if parts.scheme == "http" and not _is_loopback(host):
            raise ValueError("http:// tells everybody on the way: use https://, or http:// to this machine alone")
        return self


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


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
