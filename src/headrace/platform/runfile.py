"""How a command on the same machine finds and enters a running platform: two files that live as long as it does."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.model.time import format_time
from headrace.sdk.access import Principal

if TYPE_CHECKING:
    from headrace.platform.platform import Platform

LOCAL = Principal("local", "owner", "local")


@asynccontextmanager
async def announced(platform: Platform, url: str) -> AsyncIterator[None]:
    """Write `run/server.json` and `run/local.token` (mode 600); remove both, and revoke the token, at the end."""
    run = platform.settings.run_dir
    for stale in await platform.access.tokens():
        if stale.name == "local-command":
            await platform.access.delete_token(LOCAL, stale.id)
    token, secret = await platform.access.create_token(LOCAL, "local-command", "owner")
    _write(run / "local.token", secret)
    started = format_time(platform.started_ns)
    _write(
        run / "server.json",
        json.dumps({"url": url, "pid": os.getpid(), "started": started, **_edges(platform), **_trust(platform)}),
    )
    try:
        yield
    finally:
        (run / "server.json").unlink(missing_ok=True)
        (run / "local.token").unlink(missing_ok=True)
        await platform.access.delete_token(LOCAL, token.id)


def _edges(platform: Platform) -> dict[str, str]:
    """Where edges connect, where they may."""
    if platform.hub is None or platform.hub.where is None:
        return {}
    return {"edges": str(platform.hub.where)}


def _trust(platform: Platform) -> dict[str, str]:
    """Whom a command on this machine trusts: the authority made here, or exactly the certificate that was given."""
    if not platform.settings.secure:
        return {}
    if platform.web.fingerprint is not None:
        return {"ca": str((platform.settings.tls_dir / "ca.pem").absolute())}
    assert platform.settings.tls_certificate is not None
    return {"certificate": str(platform.settings.tls_certificate.absolute())}


def _write(path: Path, text: str) -> None:
    """Never readable by others, not even for a moment; replaced as a whole."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    partial.replace(path)
