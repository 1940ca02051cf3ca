"""What `recsys` contributes to the command `unlearn`: a file each.

A command is an application: it may use all of `unlearn`. Heavy imports happen inside the commands, so that
`unlearn --help` answers at once.
"""

from __future__ import annotations

import typer

from recsys.commands.audit import audit
from recsys.commands.demo import demo
from recsys.commands.evaluate import evaluate
from recsys.commands.explain import explain
from recsys.commands.forget import forget
from recsys.commands.ingest import ingest
from recsys.commands.models import models
from recsys.commands.recommend import recommend
from recsys.commands.train import train
from recsys.commands.worst_case import worst_case


def register(app: typer.Typer) -> None:
    """Entry point of the group `unlearn.commands`."""
    for function in (demo, train, forget, recommend, explain, evaluate, audit, worst_case, models, ingest):
        app.command()(function)
