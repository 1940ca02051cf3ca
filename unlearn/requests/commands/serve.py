"""unlearn serve"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import Any

from unlearn.command import command
from unlearn.requests.commands.options import Config, log_to_stderr, opened

_PATIENCE = 20  # seconds for answers that are under way at the end: who does not read theirs would keep it for ever


@command
def serve(config: Config = None) -> Mapping[str, Any]:
    """Take deletion requests in over HTTP, until it is stopped; `unlearn worker` serves them."""
    import uvicorn

    from unlearn.requests.api import create_app

    log_to_stderr()
    with opened(config) as service:
        chosen, app = service.settings, create_app(service)
        # What is loaded now stays: to look at all of it in every full collection would halt every request for a while.
        gc.collect()
        gc.freeze()
        try:
            uvicorn.run(
                app,
                host=chosen.host,
                port=chosen.port,
                access_log=False,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=_PATIENCE,
            )
        except SystemExit as ended:  # by an exit code that means something else here
            raise ValueError(
                f"nothing is served at {chosen.host}:{chosen.port}, and the log says why: if others listen there, stop "
                "them or set another `port`"
            ) from ended
    return {}
