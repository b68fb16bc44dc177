"""Devices and edges."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fleet_devices",
        sa.Column("name", sa.String(length=96), nullable=False),
        sa.Column("login", sa.String(length=96), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("secret_hash", sa.String(length=97), nullable=True),
        sa.Column("next_secret_hash", sa.String(length=97), nullable=True),
        sa.Column("certificate", sa.String(length=64), nullable=True),
        sa.Column("publish", sa.Text(), nullable=False),
        sa.Column("subscribe", sa.Text(), nullable=False),
        sa.Column("messages_per_s", sa.Double(), nullable=True),
        sa.Column("asset", sa.String(length=512), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("gateway", sa.String(length=96), nullable=False),
        sa.Column("peer", sa.String(length=64), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("first_seen_ns", sa.BigInteger(), nullable=True),
        sa.Column("last_seen_ns", sa.BigInteger(), nullable=True),
        sa.Column("messages", sa.BigInteger(), nullable=False),
        sa.Column("refused", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
        sa.UniqueConstraint("certificate"),
        sa.UniqueConstraint("login"),
    )
    op.create_table(
        "fleet_edge_tokens",
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("edge", sa.String(length=60), nullable=False),
        sa.Column("prefix", sa.String(length=512), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("expires_ns", sa.BigInteger(), nullable=False),
        sa.Column("spent_ns", sa.BigInteger(), nullable=True),
        sa.Column("key_digest", sa.String(length=64), nullable=True),
        sa.Column("chain", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("secret_hash"),
    )
    with op.batch_alter_table("fleet_edge_tokens", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fleet_edge_tokens_edge"), ["edge"], unique=False)

    op.create_table(
        "fleet_edges",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("prefix", sa.String(length=512), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("enrolled_ns", sa.BigInteger(), nullable=True),
        sa.Column("certificate", sa.String(length=64), nullable=True),
        sa.Column("certificate_ends_ns", sa.BigInteger(), nullable=True),
        sa.Column("next_certificate", sa.String(length=64), nullable=True),
        sa.Column("next_certificate_ends_ns", sa.BigInteger(), nullable=True),
        sa.Column("last_contact_ns", sa.BigInteger(), nullable=True),
        sa.Column("desired_revision", sa.Integer(), nullable=False),
        sa.Column("desired_digest", sa.String(length=64), nullable=False),
        sa.Column("actual", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name"),
    )


def downgrade() -> None:
    op.drop_table("fleet_edges")
    with op.batch_alter_table("fleet_edge_tokens", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_fleet_edge_tokens_edge"))

    op.drop_table("fleet_edge_tokens")
    op.drop_table("fleet_devices")
