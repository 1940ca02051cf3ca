"""What `graph_influence` contributes to the command `unlearn`: `unlearn influence`, a file for each of its commands.

A command is an application: it may use all of `unlearn`. Heavy imports happen inside the commands, so that
`unlearn --help` answers at once.
"""

from __future__ import annotations

import typer

from graph_influence.commands.estimate import estimate
from graph_influence.commands.minimize import minimize


def register(app: typer.Typer) -> None:
    """Entry point of the group `unlearn.commands`."""
    influence = typer.Typer(help="Influence over a social graph: how far it spreads, and what contains it.")
    for function in (estimate, minimize):
        influence.command()(function)
    app.add_typer(influence, name="influence", no_args_is_help=True)
