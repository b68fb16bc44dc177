"""A new key for what is sealed: everything is opened and sealed anew, and nothing is ever without a key that opens it.

    new key ─► durable beside the old ones ─► files, then columns of the database, one by one ─► probe
            ─► old keys forgotten, if that was asked for: then what was copied away before (a backup) opens no more

A stop in between leaves things sealed with several keys, all of which are here; rotating again goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import ColumnElement, Engine, Table, select, update

from headrace.access.factor_tables import totp
from headrace.access.seal import Keyring, key_file, new_key, prove, save_keys
from headrace.model.errors import ConfigError, DataError
from headrace.sdk.certificates import Rekeyed
from headrace.sdk.secret_files import SecretFiles

FOLDERS: Final = ("tls", "fleet", "connections", "outlets")
#: Beside those folders, where not everything that looks like a secret is one of ours: the signing key of apps, and the
#: secret settings of apps.
FILES: Final = ("keys/apps.key", "apps/*/tenants/*.secrets")
FILE_BYTES_MAX: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of sealed bytes. `context` says of a row in which context it was sealed."""

    table: Table
    column: str
    context: Callable[[Any], str]


#: Tables with sealed columns, one entry a column.
SEALED_COLUMNS: Final = (SealedColumn(totp, "sealed", lambda row: f"totp:{row.user}"),)


def rotate(
    ring: Keyring,
    home: Path,
    engine: Engine | None,
    *,
    reference: str = "",
    forget_old: bool = False,
    columns: Sequence[SealedColumn] = SEALED_COLUMNS,
) -> Rekeyed:
    """Blocks. With `reference` the keys are elsewhere, so its newest is taken and none is made.

    Raises: ConfigError where the key cannot be kept, or something does not open: then nothing is forgotten.
    """
    file = key_file(home)
    if not reference:
        fresh = [*ring.keys, new_key()]
        save_keys(file, fresh)
        ring.become(fresh)
    elif forget_old:
        raise ConfigError(f"the keys are in {reference}: take the old ones out there, once this has been done")
    try:
        files = _files(ring, home)
        rows = sum(_rows(ring, engine, one) for one in columns) if engine is not None else 0
        prove(ring, home)
    except DataError as error:
        raise ConfigError(f"not everything could be sealed anew, and no key was forgotten: {error}") from None
    if forget_old:
        save_keys(file, ring.keys[-1:])
        ring.become(ring.keys[-1:])
    return Rekeyed(ring.ids[-1], len(ring.keys), files, rows)


def _files(ring: Keyring, home: Path) -> int:
    secrets, done = SecretFiles(ring, home), 0
    for every in (*((home / name).rglob("*") for name in FOLDERS), *(home.glob(name) for name in FILES)):
        for path in sorted(every):
            if path.is_file() and not path.is_symlink() and path.stat().st_size <= FILE_BYTES_MAX:
                done += _secret(path) and secrets.reseal(path)
    return done


def _secret(path: Path) -> bool:
    """Sealed, or a private key in PEM; a certificate alone is no secret."""
    data = path.read_bytes()
    return data.startswith(b"HRS1") or b"PRIVATE KEY-----" in data


def _rows(ring: Keyring, engine: Engine, one: SealedColumn) -> int:
    """Each row by itself, and only where nobody has changed it meanwhile."""
    column = one.table.c[one.column]
    done = 0
    with engine.connect() as connection:
        rows = connection.execute(select(one.table).where(column.is_not(None))).all()
    for row in rows:
        held = bytes(getattr(row, one.column))
        if ring.is_newest(held):
            continue
        context = one.context(row)
        anew = ring.seal(ring.open(held, context), context)
        same: list[ColumnElement[bool]] = [key == getattr(row, key.name) for key in one.table.primary_key]
        with engine.begin() as connection:
            changed = connection.execute(update(one.table).where(*same, column == held).values({one.column: anew}))
            done += changed.rowcount
    return done
