"""unlearn worker"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from unlearn.command import command
from unlearn.requests.commands.options import Config, Json, log_to_stderr, opened


@command
def worker(
    config: Config = None,
    once: Annotated[bool, typer.Option(help="Serve what is to be served now, and end.")] = False,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Serve deletion requests through every target, until it is stopped; the batch at hand is finished first."""
    import signal
    import threading

    from unlearn.requests.callbacks import Callbacks

    log_to_stderr()
    with opened(config) as service:
        serving = service.worker()
        callbacks = Callbacks(service.ledger, service.settings.domain)
        served = 0
        if once:
            service.cancelling.finish()
            while serving.run_once():
                served += 1
            callbacks.deliver()
        else:
            stop = threading.Event()
            signal.signal(signal.SIGTERM, lambda *_: stop.set())
            serving.run(stop, [service.cancelling.finish, callbacks.deliver])
    if once and not json_:
        typer.echo(f"{served} batches")
    return {"batches": served}
