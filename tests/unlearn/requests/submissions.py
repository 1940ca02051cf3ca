"""Requests as tests make them."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from unlearn.requests.intake import Submission
from unlearn.target import Subject

KIND = "controller_customer_id"


def submission(*people: str, **changes: Any) -> Submission:
    """A request about these people, with an id and a key of its own."""
    id = str(uuid.uuid4())
    values: dict[str, Any] = {
        "caller": "shop",
        "idempotency_key": f"key of {id}",
        "subject_request_id": id,
        "fingerprint": f"{hash((people, id)) & (2**256 - 1):064x}"[:64],
        "regulation": "gdpr",
        "subjects": tuple(Subject(KIND, person) for person in people or ("ada",)),
        "submitted_at": datetime(2026, 1, 5, 8, tzinfo=UTC),
    }
    return Submission(**values | changes)


class Suppressions:
    """Who is suppressed, as the targets would know it."""

    def __init__(self) -> None:
        self.people: set[str] = set()

    def suppress(self, subjects: Sequence[Subject]) -> None:
        self.people |= {subject.value for subject in subjects}

    def release(self, subjects: Sequence[Subject]) -> None:
        self.people -= {subject.value for subject in subjects}
