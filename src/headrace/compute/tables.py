"""Alarms as they stand, every transition that led there, and who was told."""

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

#: Alarms that somebody is to be told of, and how far that has come; JSON of `notify.cases.Case`.
cases = Table(
    "compute_notify_cases",
    metadata,
    Column("key", String(900), primary_key=True),
    Column("body", Text, nullable=False),
)

#: What was told to whom. `contacts`, `rest`, `cases` and `message` are JSON.
notices = Table(
    "compute_notices",
    metadata,
    Column("sequence", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("key", String(64), nullable=False, unique=True),
    Column("telling", String(64), nullable=False),
    Column("tenant", String(64), nullable=False),
    Column("notification", String(200), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("step", Integer, nullable=False),
    Column("cases", Text, nullable=False),
    Column("contacts", Text, nullable=False),
    Column("channel", String(200), nullable=False),
    Column("rest", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("made_ns", BigInteger, nullable=False),
    Column("due_ns", BigInteger, nullable=False),
    Column("state", String(20), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("done_ns", BigInteger),
    Column("error", Text, nullable=False),
    Column("actor", String(200), nullable=False),
    Index("compute_notices_state", "state"),
    Index("compute_notices_tenant", "tenant", "sequence"),
)

notice_alarms = Table(
    "compute_notice_alarms",
    metadata,
    Column("notice", String(64), primary_key=True),
    Column("rule", String(700), primary_key=True),
    Column("point", String(512), nullable=False),
    Index("compute_notice_alarms_rule", "rule"),
)

#: How far the journal of alarms was followed, and when a flood was last told.
notify_marks = Table(
    "compute_notify_marks",
    metadata,
    Column("name", String(220), primary_key=True),
    Column("position", BigInteger, nullable=False),
)
