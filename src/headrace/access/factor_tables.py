"""Second factors of people, and the accounts elsewhere that open one here.

The secret of a code generator is sealed; recovery codes are kept as what recognises them; passkeys are public keys.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Executable,
    Index,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    delete,
)

metadata = MetaData()

totp = Table(
    "access_totp",
    metadata,
    Column("user", String(64), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("last_step", BigInteger, nullable=False),  # of the newest good code: nothing up to it is good again
    Column("created_ns", BigInteger, nullable=False),
)

recovery = Table(
    "access_recovery",
    metadata,
    Column("user", String(64), primary_key=True),
    Column("code_hash", String(64), primary_key=True),  # SHA-256, hex
)

passkeys = Table(
    "access_passkeys",
    metadata,
    Column("id", String(1400), primary_key=True),  # base64url of at most 1023 bytes
    Column("user", String(64), nullable=False),
    Column("name", String(64), nullable=False),
    Column("handle", LargeBinary, nullable=False),
    Column("public_key", LargeBinary, nullable=False),  # COSE
    Column("count", BigInteger, nullable=False),
    Column("host", String(255), nullable=False),
    Column("transports", Text, nullable=False),  # JSON
    Column("backed_up", Boolean, nullable=False),
    Column("created_ns", BigInteger, nullable=False),
    Column("last_used_ns", BigInteger),
    Column("blocked_ns", BigInteger),
    Index("access_passkeys_user", "user"),
)

identities = Table(
    "access_identities",
    metadata,
    Column("issuer", String(512), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("provider", String(32), nullable=False),
    Column("user", String(64), nullable=False),
    Column("email", String(320), nullable=False),
    Column("managed", Boolean, nullable=False),  # the account was made by this provider, which tells its role
    Column("created_ns", BigInteger, nullable=False),
    Index("access_identities_user", "user"),
)


def forget_user(user: str) -> Sequence[Executable]:
    """All that a user proves themselves with, beside the password: run where the account goes."""
    return [delete(table).where(table.c.user == user) for table in (totp, recovery, passkeys, identities)]
