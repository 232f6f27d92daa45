"""The entry point of Alembic; `adapters/database/migrate.py` passes connection and transaction."""

from alembic import context

from healthingest_service.adapters.database.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
with context.begin_transaction():
    context.run_migrations()
