"""Alembic's environment: migrates over the connection that `Database.migrate` hands it, in its transaction."""

from alembic import context

from prefloop.web.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
