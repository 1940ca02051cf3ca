"""Requests by their ids alone, and steps by target: without, either was looked for in the whole table."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make the change."""
    op.create_index("ix_steps_target_step_batch_id", "steps", ["target", "step", "batch_id"], unique=False)
    op.create_index("uq_requests_subject_request_id_caller", "requests", ["subject_request_id", "caller"], unique=True)
    op.drop_index("uq_requests_caller_subject_request_id", "requests")


def downgrade() -> None:
    """Take it back."""
    op.create_index("uq_requests_caller_subject_request_id", "requests", ["caller", "subject_request_id"], unique=True)
    op.drop_index("uq_requests_subject_request_id_caller", "requests")
    op.drop_index("ix_steps_target_step_batch_id", "steps")
