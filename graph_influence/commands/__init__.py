"""What `graph_influence` contributes to the command `unlearn`: a file each, below `unlearn influence`.

A command is an application: it may use all of `unlearn`. Heavy imports happen inside the commands, so that
`unlearn --help` answers at once.
"""

from __future__ import annotations

import typer

from graph_influence.commands.maximize import maximize
from graph_influence.commands.simulate import simulate


def register(app: typer.Typer) -> None:
    """Entry point of the group `unlearn.commands`."""
    influence = typer.Typer(
        no_args_is_help=True, help="Social influence: how far activity spreads over a graph, and from whom."
    )
    for function in (simulate, maximize):
        influence.command()(function)
    app.add_typer(influence, name="influence")
