"""What each single user's data still tells: one log-likelihood ratio a user, not one pooled threshold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def records(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """Placeholder until the audit's signals are wired."""
    return None
