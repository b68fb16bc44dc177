"""The full alarm model: what is beneath a quiet alarm, and why it is quiet."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ADDED = (
    ("active", sa.Boolean(), False),
    ("latched", sa.Boolean(), False),
    ("shelved_ns", sa.BigInteger(), None),
    ("shelved_until_ns", sa.BigInteger(), None),
    ("shelved_once", sa.Boolean(), None),
    ("shelved_by", sa.String(length=200), None),
    ("shelved_reason", sa.Text(), None),
    ("suppressed_ns", sa.BigInteger(), None),
    ("out_ns", sa.BigInteger(), None),
    ("out_by", sa.String(length=200), None),
    ("out_reason", sa.Text(), None),
)


def upgrade() -> None:
    with op.batch_alter_table("compute_alarms", schema=None) as batch_op:
        for name, kind, start in _ADDED:
            default = None if start is None else sa.false()
            batch_op.add_column(sa.Column(name, kind, nullable=start is None, server_default=default))
        batch_op.alter_column("raised_ns", existing_type=sa.BigInteger(), nullable=True)
    alarms = sa.table("compute_alarms", sa.column("state", sa.String), sa.column("active", sa.Boolean))
    op.execute(sa.update(alarms).where(alarms.c.state.in_(("unack-active", "ack-active"))).values(active=sa.true()))
    with op.batch_alter_table("compute_alarms", schema=None) as batch_op:
        for name, kind, start in _ADDED:
            if start is not None:
                batch_op.alter_column(name, existing_type=kind, server_default=None)


def downgrade() -> None:
    """What older versions have no word for is dropped: they judge it anew with the next sample."""
    alarms = sa.table("compute_alarms", sa.column("state", sa.String))
    history = sa.table("compute_alarm_transitions", sa.column("state", sa.String), sa.column("action", sa.String))
    known = ("normal", "unack-active", "ack-active", "unack-cleared")
    op.execute(sa.delete(alarms).where(alarms.c.state.not_in(known)))
    op.execute(
        sa.delete(history).where(
            history.c.state.not_in(known) | history.c.action.not_in(("raised", "cleared", "acknowledged"))
        )
    )
    with op.batch_alter_table("compute_alarms", schema=None) as batch_op:
        batch_op.alter_column("raised_ns", existing_type=sa.BigInteger(), nullable=False)
        for name, _, _ in reversed(_ADDED):
            batch_op.drop_column(name)
