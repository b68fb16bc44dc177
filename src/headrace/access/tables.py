"""People, their sessions, tokens of programs, and the audit trail. No secret is stored: only what recognises it."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, MetaData, String, Table, Text

metadata = MetaData()

users = Table(
    "access_users",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("role", String(20), nullable=False),
    Column("password_hash", Text, nullable=False),  # Argon2id, PHC string format
    Column("disabled", Boolean, nullable=False),
    Column("must_change_password", Boolean, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
)

sessions = Table(
    "access_sessions",
    metadata,
    Column("secret_hash", String(64), primary_key=True),  # SHA-256, hex
    Column("user", String(64), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("last_used_ns", BigInteger, nullable=False),  # a few minutes behind
    Index("access_sessions_user", "user"),
)

tokens = Table(
    "access_tokens",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("secret_hash", String(64), nullable=False, unique=True),  # SHA-256, hex
    Column("name", String(64), nullable=False),
    Column("role", String(20), nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger),
    Column("last_used_ns", BigInteger),  # a few minutes behind
)

audit = Table(
    "access_audit",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("time_ns", BigInteger, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("data", Text, nullable=False),  # JSON, hashed exactly as it stands here
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)
