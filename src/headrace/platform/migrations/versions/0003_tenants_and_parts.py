"""Tenants, roles on parts of the plant, roles of one's own, scoped tokens, grants to partners.

Administrators of before could do everything: they become owners, and so do their tokens.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "access_tenants",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("roots", sa.Text(), nullable=False),
        sa.Column("policy", sa.Text(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "access_roles",
        sa.Column("tenant", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("actions", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant", "name"),
    )
    op.create_table(
        "access_parts",
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("expires_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("user", "role", "path"),
    )
    op.create_table(
        "access_grants",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("owner", sa.String(length=32), nullable=False),
        sa.Column("partner", sa.String(length=32), nullable=False),
        sa.Column("subtree", sa.String(length=512), nullable=False),
        sa.Column("patterns", sa.Text(), nullable=False),
        sa.Column("start_ns", sa.BigInteger(), nullable=True),
        sa.Column("end_ns", sa.BigInteger(), nullable=True),
        sa.Column("expires_ns", sa.BigInteger(), nullable=True),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("revoked_ns", sa.BigInteger(), nullable=True),
        sa.Column("revoked_by", sa.String(length=200), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("access_users", schema=None) as batch_op:
        batch_op.add_column(sa.Column("tenant", sa.String(length=32), server_default="default", nullable=False))
        batch_op.alter_column("role", existing_type=sa.String(length=20), type_=sa.String(length=64), nullable=False)
    with op.batch_alter_table("access_tokens", schema=None) as batch_op:
        batch_op.add_column(sa.Column("tenant", sa.String(length=32), server_default="default", nullable=False))
        batch_op.add_column(sa.Column("paths", sa.Text(), server_default="[]", nullable=False))
        batch_op.add_column(sa.Column("actions", sa.Text(), server_default="[]", nullable=False))
        batch_op.alter_column("role", existing_type=sa.String(length=20), type_=sa.String(length=64), nullable=False)
    for table in ("access_users", "access_tokens"):
        op.execute(f"UPDATE {table} SET role = 'owner' WHERE role = 'administrator'")


def downgrade() -> None:
    for table in ("access_users", "access_tokens"):
        op.execute(f"UPDATE {table} SET role = 'administrator' WHERE role = 'owner'")
    with op.batch_alter_table("access_tokens", schema=None) as batch_op:
        batch_op.drop_column("actions")
        batch_op.drop_column("paths")
        batch_op.drop_column("tenant")
    with op.batch_alter_table("access_users", schema=None) as batch_op:
        batch_op.drop_column("tenant")
    for name in ("access_grants", "access_parts", "access_roles", "access_tenants"):
        op.drop_table(name)
