"""Alarms as they stand, and every transition that led there."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

#: One row for each alarm that is not normal. `active` and `latched` are what is beneath `state`; the three reasons to
#: be quiet may stand together, and each is there while its `…_ns` is.
alarms = Table(
    "compute_alarms",
    metadata,
    Column("rule", String(700), primary_key=True),
    Column("state", String(20), nullable=False),
    Column("value", Double),
    Column("raised_ns", BigInteger),
    Column("cleared_ns", BigInteger),
    Column("acknowledged_ns", BigInteger),
    Column("acknowledged_by", String(200), nullable=False),
    Column("comment", Text, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("latched", Boolean, nullable=False),
    Column("shelved_ns", BigInteger),
    Column("shelved_until_ns", BigInteger),
    Column("shelved_once", Boolean),
    Column("shelved_by", String(200)),
    Column("shelved_reason", Text),
    Column("suppressed_ns", BigInteger),
    Column("out_ns", BigInteger),
    Column("out_by", String(200)),
    Column("out_reason", Text),
)

transitions = Table(
    "compute_alarm_transitions",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("rule", String(700), nullable=False),
    Column("point", String(512), nullable=False),
    Column("action", String(20), nullable=False),
    Column("state", String(20), nullable=False),
    Column("time_ns", BigInteger, nullable=False),
    Column("value", Double),
    Column("actor", String(200), nullable=False),
    Column("comment", Text, nullable=False),
    Index("compute_alarm_transitions_time", "time_ns", "sequence"),
    Index("compute_alarm_transitions_point", "point", "time_ns", "sequence"),
)
