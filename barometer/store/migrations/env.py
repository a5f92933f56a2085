"""Alembic's entry: migrations run on the connection handed over by ``barometer.store.migrate``."""

from alembic import context

from barometer.store.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=False,
    compare_type=True,
)
context.run_migrations()
