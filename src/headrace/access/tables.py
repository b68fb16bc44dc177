"""Tenants, people, their sessions, tokens of programs, and the audit trail.

No secret is stored: only what recognises it.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData()

tenants = Table(
    "access_tenants",
    metadata,
    Column("name", String(32), primary_key=True),  # the platform's own stands here once its policy was changed
    Column("title", Text, nullable=False),
    Column("roots", Text, nullable=False),  # JSON: first segments of paths
    Column("policy", Text, nullable=False),  # JSON
    Column("disabled", Boolean, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
)

roles = Table(
    "access_roles",
    metadata,
    Column("tenant", String(32), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("title", Text, nullable=False),
    Column("actions", Text, nullable=False),  # JSON
)

users = Table(
    "access_users",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("tenant", String(32), nullable=False, server_default="default"),
    Column("role", String(64), nullable=False),  # on the whole tenant
    Column("password_hash", Text, nullable=False),  # Argon2id, PHC string format
    Column("disabled", Boolean, nullable=False),
    Column("must_change_password", Boolean, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
)

parts = Table(
    "access_parts",
    metadata,
    Column("user", String(64), primary_key=True),
    Column("role", String(64), primary_key=True),
    Column("path", String(512), primary_key=True),  # an asset; the role counts there and below
    Column("expires_ns", BigInteger),
)

sessions = Table(
    "access_sessions",
    metadata,
    Column("secret_hash", String(64), primary_key=True),  # SHA-256, hex
    Column("user", String(64), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("last_used_ns", BigInteger, nullable=False),  # a few minutes behind
    Column("id", String(32), nullable=False),  # names it in lists; opens nothing
    Column("peer", String(64), nullable=False, server_default="unknown"),
    Column("agent", String(200), nullable=False, server_default=""),
    Column("proved", String(80), nullable=False, server_default="password"),
    Column("proved_ns", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("id", name="access_sessions_id"),
    Index("access_sessions_user", "user"),
)

tokens = Table(
    "access_tokens",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("secret_hash", String(64), nullable=False, unique=True),  # SHA-256, hex
    Column("name", String(64), nullable=False),
    Column("tenant", String(32), nullable=False, server_default="default"),
    Column("role", String(64), nullable=False),
    Column("paths", Text, nullable=False, server_default="[]"),  # JSON: assets; none is the whole tenant
    Column("actions", Text, nullable=False, server_default="[]"),  # JSON: no more than these; none is all of the role
    Column("created_by", String(200), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger),
    Column("last_used_ns", BigInteger),  # a few minutes behind
)

grants = Table(
    "access_grants",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("owner", String(32), nullable=False),
    Column("partner", String(32), nullable=False),
    Column("subtree", String(512), nullable=False),
    Column("patterns", Text, nullable=False),  # JSON: globs of what follows the subtree
    Column("start_ns", BigInteger),
    Column("end_ns", BigInteger),
    Column("expires_ns", BigInteger),
    Column("purpose", Text, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("revoked_ns", BigInteger),
    Column("revoked_by", String(200)),
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
    Column("form", SmallInteger, nullable=False, server_default="1"),  # how the hash is made: audit/chain.py
    Column("tenant", String(32), nullable=False, server_default="default"),
    Index("access_audit_tenant", "tenant", "sequence"),
)
