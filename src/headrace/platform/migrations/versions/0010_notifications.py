"""Who was told of alarms, and who is still to be told."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "compute_notify_cases",
        sa.Column("key", sa.String(length=900), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "compute_notices",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("telling", sa.String(length=64), nullable=False),
        sa.Column("tenant", sa.String(length=64), nullable=False),
        sa.Column("notification", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("cases", sa.Text(), nullable=False),
        sa.Column("contacts", sa.Text(), nullable=False),
        sa.Column("channel", sa.String(length=200), nullable=False),
        sa.Column("rest", sa.Text(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("made_ns", sa.BigInteger(), nullable=False),
        sa.Column("due_ns", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("done_ns", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
        sa.UniqueConstraint("key"),
    )
    with op.batch_alter_table("compute_notices", schema=None) as batch_op:
        batch_op.create_index("compute_notices_state", ["state"], unique=False)
        batch_op.create_index("compute_notices_tenant", ["tenant", "sequence"], unique=False)
    op.create_table(
        "compute_notice_alarms",
        sa.Column("notice", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.String(length=700), nullable=False),
        sa.Column("point", sa.String(length=512), nullable=False),
        sa.PrimaryKeyConstraint("notice", "rule"),
    )
    with op.batch_alter_table("compute_notice_alarms", schema=None) as batch_op:
        batch_op.create_index("compute_notice_alarms_rule", ["rule"], unique=False)
    op.create_table(
        "compute_notify_marks",
        sa.Column("name", sa.String(length=220), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )


def downgrade() -> None:
    for name in ("compute_notify_marks", "compute_notice_alarms", "compute_notices", "compute_notify_cases"):
        op.drop_table(name)
