"""Nothing that a caller wrote is readable: keyed digests of idempotency keys, and URLs of callbacks encrypted."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import context, op

revision = "0003"
down_revision = "0002"

_REQUESTS = sa.table(
    "requests",
    sa.column("id"),
    sa.column("caller"),
    sa.column("idempotency_key"),
    sa.column("closed_at"),
    sa.column("callbacks", sa.JSON()),
)
_OUTBOX = sa.table("outbox", sa.column("id"), sa.column("url"))


def upgrade() -> None:
    """Make the change."""
    keyring, connection = context.config.attributes["keyring"], op.get_bind()
    for row in connection.execute(sa.select(*_REQUESTS.c)).all():
        changed: dict[str, Any] = {
            "idempotency_key": keyring.idempotency(row.caller, row.idempotency_key),
            # The first version kept them beyond the end.
            "callbacks": list(map(keyring.seal_url, row.callbacks)) if row.closed_at is None else [],
        }
        connection.execute(_REQUESTS.update().where(_REQUESTS.c.id == row.id).values(changed))
    for row in connection.execute(sa.select(*_OUTBOX.c).where(_OUTBOX.c.url != "")).all():
        connection.execute(_OUTBOX.update().where(_OUTBOX.c.id == row.id).values(url=keyring.seal_url(row.url)))


def downgrade() -> None:
    """Take back nothing: no key can be read from its digest, and the first version has no use for one."""
