"""Certificates of devices: those that were issued here, and those of others that are pinned or revoked."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, String, Table, Text

from headrace.fleet.tables import metadata

certificates: Final = Table(
    "fleet_device_certificates",
    metadata,
    Column("fingerprint", String(64), primary_key=True),  # SHA-256, hex
    Column("serial", String(40), nullable=False),  # hex; '' where only the fingerprint is known
    Column("login", String(96), nullable=False, index=True),
    Column("tenant", String(32), nullable=False, server_default="default"),
    Column("key_digest", String(64), nullable=False),  # SHA-256 of SubjectPublicKeyInfo; '' as above
    Column("issued_ns", BigInteger, nullable=False),
    Column("ends_ns", BigInteger),  # null where only the fingerprint is known
    Column("ours", String(1), nullable=False),  # 'y': signed by the authority of devices
    Column("pem", Text),  # of a pinned one that no authority vouches for
    Column("used_ns", BigInteger),  # shown for the first time
    Column("revoked_ns", BigInteger),
    Column("reason", String(32), nullable=False),  # of the revocation, as RFC 5280 §5.3.1 calls it
)
