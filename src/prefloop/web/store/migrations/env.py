"""Alembic's environment: migrates over the connection that `Database.migrate` hands it, in its transaction."""

from alembic import context

from prefloop.web.store.lead_tables import metadata  # all of it: importing this adds the leads' tables

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, transactional_ddl=False)
context.run_migrations()
