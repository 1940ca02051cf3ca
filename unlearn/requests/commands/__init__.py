"""The service's commands. Heavy imports happen inside them, so that `unlearn --help` answers at once."""

from __future__ import annotations

import typer

from unlearn.requests.commands import hold, keys, request
from unlearn.requests.commands.init import init
from unlearn.requests.commands.serve import serve
from unlearn.requests.commands.verify_certificate import verify_certificate
from unlearn.requests.commands.worker import worker


def register(app: typer.Typer) -> None:
    """Add them to the command `unlearn`."""
    app.command()(init)
    app.command()(serve)
    app.command()(worker)
    app.command()(verify_certificate)
    app.add_typer(request.app, name="request", help="Requests to be forgotten: make, follow and cancel them.")
    app.add_typer(hold.app, name="hold", help="Legal holds: people of whom nothing may be deleted.")
    app.add_typer(keys.app, name="keys", help="The service's own keys, and keys to its API.")
