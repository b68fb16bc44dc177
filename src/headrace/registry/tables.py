"""Tables of the registry: what is declared now, each revision, and what it changed, so that one can be undone.

Each tenant has revisions of its own, and its name is part of every key: what one declares cannot meet another's row.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

metadata: Final = MetaData()


def _tenant() -> Column[str]:
    return Column("tenant", String(32), primary_key=True, server_default="default")


objects: Final = Table(
    "registry_objects",
    metadata,
    _tenant(),
    Column("kind", String(16), primary_key=True),
    Column("key", String(768), primary_key=True),
    Column("spec", Text, nullable=False),  # JSON, as declared and normalised
    Column("file", String(255), nullable=False),
    Column("line", Integer, nullable=False),
    Column("column_", Integer, nullable=False),
    Column("ordinal", Integer, nullable=False),  # order within the file, for export
    Column("revision", Integer, nullable=False),  # that changed it last
)

revisions: Final = Table(
    "registry_revisions",
    metadata,
    _tenant(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("time_ns", BigInteger, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("summary", Text, nullable=False),
)

changes: Final = Table(
    "registry_changes",
    metadata,
    _tenant(),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), primary_key=True),
    Column("key", String(768), primary_key=True),
    Column("old_spec", Text),  # JSON; null where it was created
    Column("new_spec", Text),  # JSON; null where it was removed
    Index("registry_changes_by_object", "tenant", "kind", "key"),
)
