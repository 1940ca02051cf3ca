"""What Alembic runs: migrations happen in the transaction that it was given."""

from __future__ import annotations

from alembic import context

from unlearn.requests.tables import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
context.run_migrations()
