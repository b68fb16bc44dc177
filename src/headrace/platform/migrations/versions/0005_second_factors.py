"""Second factors, accounts elsewhere, and what a session tells of itself."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "access_totp",
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user"),
    )
    op.create_table(
        "access_recovery",
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("user", "code_hash"),
    )
    op.create_table(
        "access_passkeys",
        sa.Column("id", sa.String(length=1400), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("handle", sa.LargeBinary(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("transports", sa.Text(), nullable=False),
        sa.Column("backed_up", sa.Boolean(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("last_used_ns", sa.BigInteger(), nullable=True),
        sa.Column("blocked_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("access_passkeys_user", "access_passkeys", ["user"])
    op.create_table(
        "access_identities",
        sa.Column("issuer", sa.String(length=512), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("email", sa.String(length=320), nullable=False),
        sa.Column("managed", sa.Boolean(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "subject"),
    )
    op.create_index("access_identities_user", "access_identities", ["user"])
    with op.batch_alter_table("access_sessions") as table:
        table.add_column(sa.Column("id", sa.String(length=32), nullable=True))
        table.add_column(sa.Column("peer", sa.String(length=64), nullable=False, server_default="unknown"))
        table.add_column(sa.Column("agent", sa.String(length=200), nullable=False, server_default=""))
        table.add_column(sa.Column("proved", sa.String(length=80), nullable=False, server_default="password"))
        table.add_column(sa.Column("proved_ns", sa.BigInteger(), nullable=False, server_default="0"))
    _name_sessions()
    with op.batch_alter_table("access_sessions") as table:
        table.alter_column("id", existing_type=sa.String(length=32), nullable=False)
        table.create_unique_constraint("access_sessions_id", ["id"])


def _name_sessions() -> None:
    """Those that are open stay open."""
    connection = op.get_bind()
    sessions = sa.table("access_sessions", sa.column("secret_hash"), sa.column("id"))
    for row in connection.execute(sa.select(sessions.c.secret_hash)).all():
        named = sessions.update().where(sessions.c.secret_hash == row.secret_hash).values(id=uuid4().hex)
        connection.execute(named)


def downgrade() -> None:
    with op.batch_alter_table("access_sessions") as table:
        table.drop_constraint("access_sessions_id", type_="unique")
        for column in ("proved_ns", "proved", "agent", "peer", "id"):
            table.drop_column(column)
    for name in ("access_identities", "access_passkeys", "access_recovery", "access_totp"):
        op.drop_table(name)
