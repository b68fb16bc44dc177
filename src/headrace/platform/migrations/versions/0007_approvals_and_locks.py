"""Approvals, sends and locks of writes."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "control_approvals",
        sa.Column("command", sa.String(length=36), nullable=False),
        sa.Column("requester", sa.Text(), nullable=False),
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("approver", sa.String(length=200), nullable=False),
        sa.Column("decided_ns", sa.BigInteger(), nullable=True),
        sa.Column("decision", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("command"),
    )
    op.create_table(
        "control_sends",
        sa.Column("command", sa.String(length=36), nullable=False),
        sa.Column("point", sa.String(length=512), nullable=False),
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("moved", sa.Double(), nullable=False),
        sa.Column("sent_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("command"),
    )
    with op.batch_alter_table("control_sends", schema=None) as batch_op:
        batch_op.create_index("control_sends_point", ["point", "sent_ns"], unique=False)

    op.create_table(
        "control_locks",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("path", sa.String(length=512), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("locked_by", sa.String(length=200), nullable=False),
        sa.Column("locked_ns", sa.BigInteger(), nullable=False),
        sa.Column("released_by", sa.String(length=200), nullable=False),
        sa.Column("released_ns", sa.BigInteger(), nullable=True),
        sa.Column("release_reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    with op.batch_alter_table("control_locks", schema=None) as batch_op:
        batch_op.create_index("control_locks_open", ["released_ns"], unique=False)


def downgrade() -> None:
    with op.batch_alter_table("control_locks", schema=None) as batch_op:
        batch_op.drop_index("control_locks_open")

    op.drop_table("control_locks")
    with op.batch_alter_table("control_sends", schema=None) as batch_op:
        batch_op.drop_index("control_sends_point")

    op.drop_table("control_sends")
    op.drop_table("control_approvals")
