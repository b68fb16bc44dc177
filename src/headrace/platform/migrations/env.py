"""Alembic's door: runs on the connection that `platform.database.migrate` hands over."""

from alembic import context

from headrace.platform.database import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=list(METADATA),
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()
