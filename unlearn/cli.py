"""The command `unlearn`: gathers the commands that installed packages contribute."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import Any, ParamSpec

import typer
from rich.console import Console

from unlearn.memory import keep_freed_memory

P = ParamSpec("P")
HELP = """Recommenders that can forget: train, unlearn, audit the result, track it.

Every command takes --json. Exit codes: 0 done; 1 the work failed its own verification; 2 the input cannot be used;
3 it names ids that do not exist (nothing was changed); 130 interrupted.
"""

app = typer.Typer(name="unlearn", help=HELP, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


@app.callback()
def main() -> None:
    keep_freed_memory()


def command(function: Callable[P, Mapping[str, Any]]) -> Callable[P, None]:
    """Wrap a command body: prints what it returns as JSON under `--json`, and turns errors into exit codes."""

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        as_json = bool(kwargs.get("json_"))
        try:
            result = function(*args, **kwargs)
        except KeyboardInterrupt:
            fail("interrupted; what was written before is complete", 130, as_json)
        except KeyError as error:
            fail(str(error), 3, as_json)
        except (ValueError, OSError) as error:
            fail(str(error), 2, as_json)
        except RuntimeError as error:
            if type(error) is RuntimeError:  # not one of ours: a defect, shown whole
                raise
            fail(str(error), 1, as_json)
        else:
            if as_json:
                sys.stdout.write(json.dumps(result, indent=1, allow_nan=False, default=str) + "\n")

    return wrapped


def fail(message: str, code: int, as_json: bool) -> None:
    """Say what went wrong on standard error and leave."""
    if as_json:
        sys.stderr.write(json.dumps({"error": message, "exit_code": code}) + "\n")
    else:
        Console(stderr=True).print(f"[bold red]error:[/] {message}", highlight=False)
    raise typer.Exit(code)


for _point in sorted(entry_points(group="unlearn.commands"), key=lambda point: point.name):
    _point.load()(app)
