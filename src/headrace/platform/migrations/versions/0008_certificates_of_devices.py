"""Certificates of devices."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "fleet_device_certificates",
        sa.Column("fingerprint", sa.String(length=64), nullable=False),
        sa.Column("serial", sa.String(length=40), nullable=False),
        sa.Column("login", sa.String(length=96), nullable=False),
        sa.Column("tenant", sa.String(length=32), server_default="default", nullable=False),
        sa.Column("key_digest", sa.String(length=64), nullable=False),
        sa.Column("issued_ns", sa.BigInteger(), nullable=False),
        sa.Column("ends_ns", sa.BigInteger(), nullable=True),
        sa.Column("ours", sa.String(length=1), nullable=False),
        sa.Column("pem", sa.Text(), nullable=True),
        sa.Column("used_ns", sa.BigInteger(), nullable=True),
        sa.Column("revoked_ns", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("fingerprint"),
    )
    with op.batch_alter_table("fleet_device_certificates", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_fleet_device_certificates_login"), ["login"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("fleet_device_certificates", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_fleet_device_certificates_login"))

    op.drop_table("fleet_device_certificates")
