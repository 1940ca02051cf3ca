"""The command `unlearn`: gathers the commands that installed packages contribute."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Annotated, Any

import typer

from unlearn.command import command
from unlearn.memory import keep_freed_memory

HELP = """Recommenders that can forget: train, unlearn, audit the result, track it.

Every command takes --json. Exit codes: 0 done; 1 the work failed its own verification; 2 the input cannot be used;
3 it names ids that do not exist (nothing was changed); 130 interrupted.
"""

app = typer.Typer(name="unlearn", help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback(help=HELP)
def main() -> None:
    """Settings of the whole process, before any command."""
    keep_freed_memory()


@app.command()
@command
def methods(
    json_: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> Mapping[str, Any]:
    """Every unlearning method: what it does, its paper, what it requires, its arguments."""
    from rich.console import Console

    from unlearn.catalogue import described_methods, table

    found = described_methods()
    if not json_:
        Console(markup=False).print(table("Unlearning methods, as in name:argument=value:argument=value", found))
    return {"methods": found}


for _point in sorted(entry_points(group="unlearn.commands"), key=lambda point: point.name):
    _point.load()(app)
