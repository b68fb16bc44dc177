"""What an app keeps for a tenant, as one zip: for a move, for the shelf, before it is deleted.

    app.json               name, version, what was accepted, settings (no secrets)
    tables.db              SQLite, a consistent copy
    documents/…            as they were put
    before/1.0.0.db        tables as older versions left them, where there are any

Source: PKWARE APPNOTE 6.3.10 by way of `zipfile`. Blocks.
"""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Final

from headrace.hosting.register import Register, TenantRecord
from headrace.hosting.table_copies import TABLES, copy
from headrace.model.errors import Unavailable

DOCUMENTS: Final = "documents"


def write_zip(register: Register, one: TenantRecord, target: Path) -> None:
    """Whole and durable, or not there. The app may run meanwhile. Raises: Unavailable."""
    partial = target.with_name(f"{target.name}.partial")
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, strict_timestamps=False) as archive:
            _fill(archive, register, one)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        raise Unavailable(f"the data of {one.app} cannot be written out ({error.strerror})") from None
    finally:
        partial.unlink(missing_ok=True)


def _fill(archive: zipfile.ZipFile, register: Register, one: TenantRecord) -> None:
    about = {
        "app": one.app, "tenant": one.tenant, "version": one.version, "accepted": asdict(one.accepted),
        "settings": dict(one.settings), "secrets_left_out": list(one.secrets),
    }  # fmt: skip
    archive.writestr("app.json", json.dumps(about, indent=1, ensure_ascii=False))
    folder = register.data(one.app, one.tenant)
    if (folder / TABLES).exists():
        with tempfile.TemporaryDirectory(prefix="headrace-") as temporary:
            copy(folder / TABLES, Path(temporary) / TABLES)
            archive.write(Path(temporary) / TABLES, TABLES)
    for path in sorted((folder / DOCUMENTS).rglob("*")):
        if path.is_file() and not path.is_symlink() and not path.name.startswith("."):
            archive.write(path, f"{DOCUMENTS}/{path.relative_to(folder / DOCUMENTS).as_posix()}")
    for path in sorted(register.before(one.app, one.tenant).glob("*.db")):
        archive.write(path, f"before/{path.name}")
