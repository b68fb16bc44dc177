"""Every command, with its state as it stands; the audit trail keeps each step."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

commands = Table(
    "control_commands",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("point", String(512), nullable=False),
    Column("value", Text, nullable=False),  # JSON, NaN and Infinity as Python writes them
    Column("actor", String(200), nullable=False),
    Column("reason", Text, nullable=False),
    Column("requested_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Column("state", String(20), nullable=False),
    Column("detail", Text, nullable=False),
    Column("read_back", Text),  # JSON
    Column("finished_ns", BigInteger),
    Index("control_commands_point", "point", "sequence"),
    Index("control_commands_state", "state"),
)
