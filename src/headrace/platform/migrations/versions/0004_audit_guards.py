"""An audit trail that the database itself keeps from being changed, and whose old entries go to archives."""

import sqlalchemy as sa
from alembic import op

from headrace.access.audit_tables import guard, unguard

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("access_audit", sa.Column("form", sa.SmallInteger(), server_default="1", nullable=False))
    op.add_column("access_audit", sa.Column("tenant", sa.String(length=32), server_default="default", nullable=False))
    op.create_index("access_audit_tenant", "access_audit", ["tenant", "sequence"], unique=False)
    op.create_table(
        "access_audit_archives",
        sa.Column("last_sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_sequence", sa.BigInteger(), nullable=False),
        sa.Column("first_ns", sa.BigInteger(), nullable=False),
        sa.Column("last_ns", sa.BigInteger(), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("last_hash", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("archived_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("last_sequence"),
    )
    # The guards are made as they are today: a later step that changes them takes them away and makes them again.
    guard(op.get_bind())


def downgrade() -> None:
    unguard(op.get_bind())
    op.drop_table("access_audit_archives")
    op.drop_index("access_audit_tenant", table_name="access_audit")
    op.drop_column("access_audit", "tenant")
    op.drop_column("access_audit", "form")
