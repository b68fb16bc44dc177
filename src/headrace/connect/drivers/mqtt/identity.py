"""The client id under which a broker keeps a session for us: the same after a restart, another one elsewhere.

Two clients of one id throw each other out, so two installations with the same declaration must not share it.
"""

from __future__ import annotations

import re
import secrets
from pathlib import Path

from headrace.model.errors import ConfigError

_UNFIT = re.compile(r"[^A-Za-z0-9_-]+")


def client_id_of(connection: str, state_dir: Path) -> str:
    """Made once and remembered in `state_dir`. Blocks. Raises: ConfigError where that cannot be written."""
    path = state_dir / f"{_UNFIT.sub('-', connection)}.client-id"
    try:
        known = path.read_text("utf-8").strip()
        if known:
            return known
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the client id of '{connection}' cannot be read: {error}") from None
    made = f"headrace-{_UNFIT.sub('-', connection)[:40]}-{secrets.token_hex(4)}"
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{made}\n", "utf-8")
    except OSError as error:
        raise ConfigError(
            f"the client id of '{connection}' cannot be kept: {error.strerror}; make the state folder writable, or "
            "give the connection a 'client_id'"
        ) from None
    return made
