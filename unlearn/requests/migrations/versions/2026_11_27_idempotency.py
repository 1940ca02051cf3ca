"""Keyed digests of idempotency keys, in the place of the keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context, op

revision = "0003"
down_revision = "0002"

_REQUESTS = sa.table("requests", sa.column("id"), sa.column("caller"), sa.column("idempotency_key"))


def upgrade() -> None:
    """Make the change."""
    digest, connection = context.config.attributes["keyring"].idempotency, op.get_bind()
    digests = [
        {"number": row.id, "digest": digest(row.caller, row.idempotency_key)}
        for row in connection.execute(sa.select(*_REQUESTS.c))
    ]
    if digests:
        number, value = sa.bindparam("number"), sa.bindparam("digest")
        connection.execute(_REQUESTS.update().where(_REQUESTS.c.id == number).values(idempotency_key=value), digests)


def downgrade() -> None:
    """Take back nothing: no key can be read from its digest."""
