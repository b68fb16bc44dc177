"""Devices, edges and tokens. No secret is stored: only what recognises it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Double, Integer, MetaData, String, Table, Text

metadata: Final = MetaData()

devices: Final = Table(
    "fleet_devices",
    metadata,
    Column("name", String(96), primary_key=True),
    Column("login", String(96), nullable=False, unique=True),
    Column("state", String(16), nullable=False),
    Column("secret_hash", String(97)),  # salt:HMAC-SHA-256, hex; null where a certificate is shown
    Column("next_secret_hash", String(97)),  # good too, and alone once it was shown
    Column("certificate", String(64), unique=True),  # SHA-256, hex
    Column("publish", Text, nullable=False),  # topic filters, a line each
    Column("subscribe", Text, nullable=False),
    Column("messages_per_s", Double),
    Column("asset", String(512), nullable=False),
    Column("note", Text, nullable=False),
    Column("gateway", String(96), nullable=False),  # where it was last seen; a few seconds behind, as all below
    Column("peer", String(64), nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("first_seen_ns", BigInteger),
    Column("last_seen_ns", BigInteger),
    Column("messages", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("tenant", String(32), nullable=False, server_default="default"),
)

edges: Final = Table(
    "fleet_edges",
    metadata,
    Column("name", String(60), primary_key=True),
    Column("prefix", String(512), nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("enrolled_ns", BigInteger),
    Column("certificate", String(64)),  # SHA-256, hex
    Column("certificate_ends_ns", BigInteger),
    Column("next_certificate", String(64)),  # good too, and alone once it was shown
    Column("next_certificate_ends_ns", BigInteger),
    Column("last_contact_ns", BigInteger),  # a few seconds behind
    Column("desired_revision", Integer, nullable=False),  # 0: nothing was ever declared for it
    Column("desired_digest", String(64), nullable=False),  # SHA-256 of what that revision says
    Column("actual", Text),  # JSON, as it reported last
    Column("tenant", String(32), nullable=False, server_default="default"),
)

tokens: Final = Table(
    "fleet_edge_tokens",
    metadata,
    Column("secret_hash", String(64), primary_key=True),  # SHA-256, hex
    Column("edge", String(60), nullable=False, index=True),
    Column("prefix", String(512), nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("expires_ns", BigInteger, nullable=False),
    Column("spent_ns", BigInteger),
    Column("key_digest", String(64)),  # SHA-256 of the public key that spent it: the same one may ask again
    Column("chain", Text),  # what it was answered, PEM
)
