"""What every command has in common: JSON on request, readable errors, documented exit codes."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec

import typer
from rich.console import Console

P = ParamSpec("P")


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
