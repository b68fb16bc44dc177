"""What a request shows of who sends it: the peer, the browser, and the name in the address bar."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import HTTPConnection

from headrace.api.settings import ApiSettings
from headrace.sdk.entry import Seen


def seen_of(connection: HTTPConnection, settings: ApiSettings) -> Seen:
    """The Host header has passed the guard (host_is_ours), so its name is one of ours."""
    host = connection.headers.get("host", "localhost")
    scheme = "https" if settings.secure else "http"
    name = urlsplit(f"//{host}").hostname or "localhost"
    peer = connection.client.host if connection.client else "unknown"
    origins = (f"{scheme}://{host.lower()}", *settings.origins)
    return Seen(peer, connection.headers.get("user-agent", ""), name, origins)
