"""Who decides on critical writes, what was sent within the last minute of each point, and which locks stand."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, Index, MetaData, String, Table, Text

metadata: Final = MetaData()

approvals: Final = Table(
    "control_approvals",
    metadata,
    Column("command", String(36), primary_key=True),
    Column("requester", Text, nullable=False),  # JSON: the principal, whose right is asked again before sending
    Column("person", String(200), nullable=False),  # behind it, '' where that is nobody in particular
    Column("approver", String(200), nullable=False),
    Column("decided_ns", BigInteger),
    Column("decision", Text, nullable=False),
)

sends: Final = Table(
    "control_sends",
    metadata,
    Column("command", String(36), primary_key=True),
    Column("point", String(512), nullable=False),
    Column("person", String(200), nullable=False),
    Column("moved", Double, nullable=False),  # the step, in the point's unit
    Column("sent_ns", BigInteger, nullable=False),
    Index("control_sends_point", "point", "sent_ns"),
)

locks: Final = Table(
    "control_locks",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("path", String(512), nullable=False),  # '' is all that the tenant has
    Column("tenant", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("locked_by", String(200), nullable=False),
    Column("locked_ns", BigInteger, nullable=False),
    Column("released_by", String(200), nullable=False),
    Column("released_ns", BigInteger),
    Column("release_reason", Text, nullable=False),
    Index("control_locks_open", "released_ns"),
)
