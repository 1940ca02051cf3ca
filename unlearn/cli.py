"""The command `unlearn`: gathers the commands that installed packages contribute."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer

from unlearn.command import Json, command, terminal
from unlearn.memory import keep_freed_memory
from unlearn.plugins import UnusablePlugin, loaded
from unlearn.requests.commands import register

HELP = (
    "Recommenders that can forget: train, unlearn, audit the result, track it.\n\n"
    "Every command but serve takes --json. Exit codes: 0 done; 1 the work could not be completed, or failed its own "
    "verification; 2 the input cannot be used, or the output not be written; 3 it names ids that do not exist (nothing "
    "was changed); 130 interrupted; 141 whoever read the output has left."
)

app = typer.Typer(name="unlearn", help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback(help=HELP)
def main() -> None:
    """Settings of the whole process, before any command."""
    keep_freed_memory()


@app.command()
@command
def methods(json_: Json = False) -> Mapping[str, Any]:
    """Every unlearning method: what it does, its paper, what it requires, its arguments."""
    from unlearn.catalogue import described_methods, table

    found = described_methods()
    if not json_:
        terminal().print(table("Unlearning methods, as in name:argument=value:argument=value", found))
    return {"methods": found}


@app.command()
@command
def report(
    audit: Annotated[
        list[Path],
        typer.Argument(
            help="JSON of `unlearn audit`, `unlearn evaluate` or `unlearn worst-case`; that of streams may stand "
            "beside it."
        ),
    ],
    html: Annotated[Path, typer.Option(help="Where to write the page.")],
    json_: Json = False,
) -> Mapping[str, Any]:
    """One HTML page that shows an audit: offline, self-contained, the same bytes for the same JSON."""
    from unlearn.audit.report import read, render
    from unlearn.outputs import require_writable, write

    require_writable(html=html)
    page = render(read(audit)).encode()
    write(html, page)
    if not json_:
        typer.echo(f"{html}: {len(page) / 1e6:.2f} MB; open it in any browser")
    return {"html": str(html), "bytes": len(page)}


register(app)
for _point in sorted(entry_points(group="unlearn.commands"), key=lambda point: point.name):
    try:
        loaded(_point)(app)
    except UnusablePlugin as _error:  # the commands of others work without it
        typer.echo(f"warning: {_error}", err=True)
