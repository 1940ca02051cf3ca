"""What `graph_influence` contributes to the command `unlearn`: a file each, below `unlearn influence`.

A command is an application: it may use all of `unlearn`. Heavy imports happen inside the commands, so that
`unlearn --help` answers at once.
"""

from __future__ import annotations

import typer

from graph_influence.commands.estimate import estimate
from graph_influence.commands.maximize import maximize
from graph_influence.commands.minimize import minimize
from graph_influence.commands.prepare import prepare
from graph_influence.commands.remove import remove
from graph_influence.commands.simulate import simulate
from graph_influence.commands.train_surrogate import train_surrogate


def register(app: typer.Typer) -> None:
    """Entry point of the group `unlearn.commands`."""
    influence = typer.Typer(
        no_args_is_help=True, help="Social influence: how far activity spreads, from whom, and what contains it."
    )
    for function in (simulate, estimate, maximize, minimize, prepare, remove, train_surrogate):
        influence.command()(function)
    app.add_typer(influence, name="influence")
