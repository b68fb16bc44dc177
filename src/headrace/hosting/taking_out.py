"""What an app keeps for a tenant, as one zip: for a move, for the shelf, before it is deleted.

    app.json               name, version, what was accepted, settings (no secrets)
    tables.db              SQLite, a consistent copy
    documents/…            as they were put
    before/1.0.0.db        tables as older versions left them, where there are any

Source: PKWARE APPNOTE 6.3.10 by way of `zipfile`. Blocks.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from dataclasses import asdict
from pathlib import Path

from headrace.hosting import documents
from headrace.hosting.register import Register, TenantRecord
from headrace.hosting.table_copies import copy
from headrace.hosting.tables import FILE as TABLES
from headrace.model.errors import Unavailable
from headrace.sdk.apps import Document


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


def _content(folder: Path, made: Document) -> bytes:
    """Raises: Unavailable where it is damaged."""
    name = hashlib.sha256(made.name.encode()).hexdigest()
    whole = (folder / name).read_bytes()
    data = whole[len(whole) - made.size :]
    if hashlib.sha256(data).hexdigest() != made.sha256:
        raise Unavailable(f"document '{made.name}' changed while it was read, or is damaged; try again")
    return data


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
    for made in documents.stored(folder / documents.FOLDER):
        archive.writestr(f"{documents.FOLDER}/{made.name}", _content(folder / documents.FOLDER, made))
    for path in sorted(register.before(one.app, one.tenant).glob("*.db")):
        archive.write(path, f"before/{path.name}")
