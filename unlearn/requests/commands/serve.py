"""unlearn serve"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unlearn.command import command
from unlearn.requests.commands.options import Config, log_to_stderr, opened


@command
def serve(config: Config = None) -> Mapping[str, Any]:
    """Take deletion requests in over HTTP, until it is stopped; `unlearn worker` serves them."""
    import uvicorn

    from unlearn.requests.api import create_app

    log_to_stderr()
    with opened(config) as service:
        chosen = service.settings
        uvicorn.run(
            create_app(service),
            host=chosen.host,
            port=chosen.port,
            access_log=False,
            log_config=None,
            server_header=False,
        )
    return {}
