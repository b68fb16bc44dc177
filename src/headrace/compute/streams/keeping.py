"""What of a stream function survives a restart: a document and columns (`sdk/columns_wire.py`) in one file, whole or
not at all.

A new file is written beside the old one, synced, renamed over it, and the folder is synced: after `kill -9` there is
the one or the other.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from headrace.sdk import columns_wire
from headrace.sdk.columns_wire import Columns


def decode(data: bytes) -> tuple[dict[str, Any], Columns]:
    """Raises: DataError that says what to do."""
    return columns_wire.decode(data, "the state of a stream function; remove it to begin anew: it")


def write(path: Path, data: bytes) -> None:
    """Durable on return."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_suffix(".new")
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read(path: Path) -> tuple[dict[str, Any], Columns] | None:
    """None where nothing was written yet. Raises: DataError."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    return decode(data)
