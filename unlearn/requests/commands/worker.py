"""unlearn worker"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unlearn.command import Json, Unfinished, command
from unlearn.requests.commands.options import Config, log_to_stderr, opened

if TYPE_CHECKING:
    from unlearn.requests.callbacks import Callbacks
    from unlearn.requests.ledger import Ledger


@command
def worker(
    config: Config = None,
    once: Annotated[bool, typer.Option(help="Serve what is to be served now, and end.")] = False,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Serve deletion requests through every target, until it is stopped; the batch at hand is finished first.

    With --once it fails where requests are left in a batch in which a step failed, or that waits for a decision.
    """
    import signal
    import threading

    from unlearn.requests.callbacks import Callbacks
    from unlearn.requests.states import RequestState
    from unlearn.requests.status import counts

    log_to_stderr()
    with opened(config) as service:
        serving = service.worker()
        callbacks = Callbacks(service.ledger, service.settings.domain)
        served = 0
        if once:
            service.cancelling.finish()
            while serving.run_once():
                served += 1
            deliver_all(service.ledger, callbacks)
        else:
            stop = threading.Event()
            for asked in (signal.SIGTERM, signal.SIGINT):
                signal.signal(asked, lambda *_: stop.set())
            serving.run(stop, [service.cancelling.finish, callbacks.deliver])
        left = counts(service.ledger)
        stuck = _stuck(service.ledger) if once else 0
    pending, begun = left[RequestState.PENDING], left[RequestState.IN_PROGRESS]
    if once and not json_:
        typer.echo(
            f"{served} batches; {pending} requests wait for theirs to begin, {begun} are in one that is not done"
        )
    result = {"batches": served, "pending": pending, "in_progress": begun}
    if stuck:
        raise Unfinished(
            f"{stuck} requests could not be completed: a step of their batch failed and is tried again, which the log "
            "says more of, or waits for a decision (`unlearn request list --state in_progress`)",
            result,
        )
    return result


def _stuck(ledger: Ledger) -> int:
    """How many requests are in a batch in which a step failed, or that waits for a decision."""
    from unlearn.requests.states import RequestState
    from unlearn.requests.status import counts, listed

    begun = counts(ledger)[RequestState.IN_PROGRESS]
    found = listed(ledger, state=RequestState.IN_PROGRESS, limit=begun)
    return sum(one.failing or one.needs_attention for _, one in found)


def deliver_all(ledger: Ledger, callbacks: Callbacks) -> None:
    """Send every callback that is due by now; what fails is due later, and left to the next worker."""
    from sqlalchemy import exists, select

    from unlearn.requests.callbacks import due
    from unlearn.requests.tables import Callback

    asked = select(exists().where(Callback.ended_at.is_(None), due(ledger.now())))

    def any_due() -> bool:
        with ledger.database.read() as session:
            return session.scalar(asked) is True

    while any_due():
        callbacks.deliver()
