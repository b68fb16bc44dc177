"""Declarations, devices and edges of tenants."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

#: The keys of the registry's tables, without and with the tenant.
_KEYS = {
    "registry_objects": ("kind", "key"),
    "registry_revisions": ("number",),
    "registry_changes": ("revision", "kind", "key"),
}


def upgrade() -> None:
    for table, key in _KEYS.items():
        _rekey(table, ("tenant", *key), add=True)
    for table in ("fleet_devices", "fleet_edges"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.add_column(_tenant())


def downgrade() -> None:
    """Only what is the platform's own stays: a version that knows no tenants would take it all for one plant."""
    for table in ("fleet_devices", "fleet_edges"):
        _drop_others(table)
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_column("tenant")
    for table, key in _KEYS.items():
        _drop_others(table)
        _rekey(table, key, add=False)


def _tenant() -> sa.Column:  # type: ignore[type-arg]
    return sa.Column("tenant", sa.String(length=32), nullable=False, server_default="default")


def _drop_others(table: str) -> None:
    of = sa.table(table, sa.column("tenant"))
    op.execute(of.delete().where(of.c.tenant != "default"))


def _rekey(table: str, new: tuple[str, ...], *, add: bool) -> None:
    """SQLite makes the table anew and copies its rows; PostgreSQL changes the key in place."""
    index = "registry_changes_by_object" if table == "registry_changes" else None
    if index is not None:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_index(index)
    if op.get_bind().dialect.name == "sqlite":
        _rebuild(table, new, add=add)
    else:
        if add:
            op.add_column(table, _tenant())
        op.drop_constraint(f"{table}_pkey", table, type_="primary")
        op.create_primary_key(f"{table}_pkey", table, list(new))
        if not add:
            op.drop_column(table, "tenant")
    if index is not None:
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.create_index(index, [part for part in new if part != "revision"], unique=False)


def _rebuild(table: str, key: tuple[str, ...], *, add: bool) -> None:
    columns = [column for column in sa.inspect(op.get_bind()).get_columns(table) if column["name"] != "tenant"]
    names = [column["name"] for column in columns]
    kept = [sa.Column(column["name"], column["type"], nullable=column["nullable"]) for column in columns]
    fresh = op.create_table(f"{table}_new", *([_tenant()] if add else []), *kept, sa.PrimaryKeyConstraint(*key))
    rows: Any = sa.select(*(sa.column(name) for name in names)).select_from(sa.table(table))
    op.execute(sa.insert(fresh).from_select(names, rows))
    op.drop_table(table)
    op.rename_table(f"{table}_new", table)
