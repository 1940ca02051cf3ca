"""The command `unlearn`: gathers the commands that installed packages contribute."""

from __future__ import annotations

from importlib.metadata import entry_points

import typer

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


for _point in sorted(entry_points(group="unlearn.commands"), key=lambda point: point.name):
    _point.load()(app)
