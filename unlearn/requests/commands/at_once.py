"""Serving a request without waiting for a worker."""

from __future__ import annotations

import time

from unlearn.requests.service import Service
from unlearn.requests.states import RequestState
from unlearn.requests.status import status


class NotCompleted(RuntimeError):
    """The request was taken in, and could not be completed at once."""


def served(service: Service, caller: str, id: str) -> str:
    """Serve batches until the request is complete; returns its batch's id.

    Raises:
        NotCompleted: a hold forbids it, a person must decide, or a step raised and is to be tried again later.
    """
    worker = service.worker(at_once=True)
    while True:
        worked = worker.run_once()
        found = status(service.ledger, caller, id)
        if found.state == RequestState.COMPLETED and found.batch is not None:
            return found.batch
        if found.state == RequestState.ON_HOLD:
            raise NotCompleted(f"request {id} waits: a legal hold forbids deletion")
        if found.state == RequestState.CANCELLED:
            raise NotCompleted(f"request {id} was cancelled before it was served")
        if found.failing:
            raise NotCompleted(f"request {id}: a step failed; `unlearn worker` tries it again, and its log says more")
        if found.needs_attention:
            raise NotCompleted(f"request {id} needs attention: a retrain failed its verification, nothing is published")
        if not worked:
            time.sleep(0.5)  # another worker has it
