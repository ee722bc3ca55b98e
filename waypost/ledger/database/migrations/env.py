"""Run by Alembic; the connection and its transaction come from `waypost.ledger.database.migrate`."""

from alembic import context

from waypost.ledger.database.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
)
context.run_migrations()
