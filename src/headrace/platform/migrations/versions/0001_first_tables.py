"""First tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "access_audit",
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("time_ns", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.String(length=64), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
    )
    op.create_table(
        "access_sessions",
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=64), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("last_used_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("secret_hash"),
    )
    with op.batch_alter_table("access_sessions", schema=None) as batch_op:
        batch_op.create_index("access_sessions_user", ["user"], unique=False)

    op.create_table(
        "access_tokens",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.Column("expires_ns", sa.BigInteger(), nullable=True),
        sa.Column("last_used_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("secret_hash"),
    )
    op.create_table(
        "access_users",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("must_change_password", sa.Boolean(), nullable=False),
        sa.Column("created_ns", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "compute_alarm_transitions",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("rule", sa.String(length=700), nullable=False),
        sa.Column("point", sa.String(length=512), nullable=False),
        sa.Column("action", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("time_ns", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("sequence"),
    )
    with op.batch_alter_table("compute_alarm_transitions", schema=None) as batch_op:
        batch_op.create_index("compute_alarm_transitions_point", ["point", "time_ns", "sequence"], unique=False)
        batch_op.create_index("compute_alarm_transitions_time", ["time_ns", "sequence"], unique=False)

    op.create_table(
        "compute_alarms",
        sa.Column("rule", sa.String(length=700), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("raised_ns", sa.BigInteger(), nullable=False),
        sa.Column("cleared_ns", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_ns", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_by", sa.String(length=200), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("rule"),
    )
    op.create_table(
        "control_commands",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("point", sa.String(length=512), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("requested_ns", sa.BigInteger(), nullable=False),
        sa.Column("expires_ns", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("read_back", sa.Text(), nullable=True),
        sa.Column("finished_ns", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("sequence"),
        sa.UniqueConstraint("id"),
    )
    with op.batch_alter_table("control_commands", schema=None) as batch_op:
        batch_op.create_index("control_commands_point", ["point", "sequence"], unique=False)
        batch_op.create_index("control_commands_state", ["state"], unique=False)

    op.create_table(
        "registry_changes",
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=768), nullable=False),
        sa.Column("old_spec", sa.Text(), nullable=True),
        sa.Column("new_spec", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("revision", "kind", "key"),
    )
    with op.batch_alter_table("registry_changes", schema=None) as batch_op:
        batch_op.create_index("registry_changes_by_object", ["kind", "key"], unique=False)

    op.create_table(
        "registry_objects",
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("key", sa.String(length=768), nullable=False),
        sa.Column("spec", sa.Text(), nullable=False),
        sa.Column("file", sa.String(length=255), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("column_", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key"),
    )
    op.create_table(
        "registry_revisions",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("time_ns", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number"),
    )


def downgrade() -> None:
    op.drop_table("registry_revisions")
    op.drop_table("registry_objects")
    with op.batch_alter_table("registry_changes", schema=None) as batch_op:
        batch_op.drop_index("registry_changes_by_object")

    op.drop_table("registry_changes")
    with op.batch_alter_table("control_commands", schema=None) as batch_op:
        batch_op.drop_index("control_commands_state")
        batch_op.drop_index("control_commands_point")

    op.drop_table("control_commands")
    op.drop_table("compute_alarms")
    with op.batch_alter_table("compute_alarm_transitions", schema=None) as batch_op:
        batch_op.drop_index("compute_alarm_transitions_time")
        batch_op.drop_index("compute_alarm_transitions_point")

    op.drop_table("compute_alarm_transitions")
    op.drop_table("access_users")
    op.drop_table("access_tokens")
    with op.batch_alter_table("access_sessions", schema=None) as batch_op:
        batch_op.drop_index("access_sessions_user")

    op.drop_table("access_sessions")
    op.drop_table("access_audit")
