"""Tables of the registry: what is declared now, each revision, and what it changed, so that one can be undone."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

metadata: Final = MetaData()

objects: Final = Table(
    "registry_objects",
    metadata,
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
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("time_ns", BigInteger, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("summary", Text, nullable=False),
)

changes: Final = Table(
    "registry_changes",
    metadata,
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("kind", String(16), primary_key=True),
    Column("key", String(768), primary_key=True),
    Column("old_spec", Text),  # JSON; null where it was created
    Column("new_spec", Text),  # JSON; null where it was removed
    Index("registry_changes_by_object", "kind", "key"),
)
