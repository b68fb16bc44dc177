"""Which certificate an engineer trusted for each connection: one small JSON file, replaced atomically, durable."""

from __future__ import annotations

import json
import os
from pathlib import Path

from headrace.model.errors import ConfigError


class TrustStore:
    """Fingerprints (SHA-256, hex pairs joined by colons) by connection name. With no path it forgets at exit."""

    def __init__(self, path: Path | None = None) -> None:
        """Raises: ConfigError where the file is damaged."""
        self._path = path
        self._trusted: dict[str, str] = {}
        if path is None or not path.exists():
            return
        try:
            held = json.loads(path.read_text("utf-8"))
            self._trusted = {str(name): str(fingerprint) for name, fingerprint in held["trusted"].items()}
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise ConfigError(
                f"the list of trusted servers cannot be read: restore it from a backup, or remove {path.name} and "
                "trust the servers again",
                detail=f"{path}: {error}",
            ) from None

    def get(self, connection: str) -> str | None:
        return self._trusted.get(connection)

    def remember(self, connection: str, fingerprint: str) -> None:
        """Durable on return; blocks on the disk."""
        self._trusted[connection] = fingerprint
        if self._path is None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as file:
            json.dump({"trusted": self._trusted}, file, indent=2, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
