"""What every command has in common: JSON on request, readable errors, documented exit codes."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, ParamSpec, TypeVar

import typer
from rich.console import Console
from rich.text import Text

from unlearn.forget import UnknownIds

P = ParamSpec("P")
T = TypeVar("T")


def command(function: Callable[P, Mapping[str, Any]]) -> Callable[P, None]:
    """Wrap a command body: prints what it returns as JSON under `--json`, and turns errors into exit codes.

    Where `--json` takes a path, the body writes that file, and only `-` is printed here. What is no finite number is
    null in the JSON.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> None:
        asked = kwargs.get("json_")
        try:
            result = function(*args, **kwargs)
        except KeyboardInterrupt:
            fail("interrupted; what was written before is complete", 130, as_json=bool(asked))
        except UnknownIds as error:
            fail(str(error), 3, as_json=bool(asked))
        except (ValueError, OSError) as error:
            fail(str(error), 2, as_json=bool(asked))
        except RuntimeError as error:
            if type(error) is RuntimeError:  # not one of ours: a defect, shown whole
                raise
            fail(str(error), 1, as_json=bool(asked))
        else:
            if asked is True or str(asked) == "-":
                text = json.dumps(_without_nan(result), indent=1, allow_nan=False, default=str)
                sys.stdout.write(text + "\n")

    return wrapped


def named(find: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a registry holds under a name that somebody typed.

    Raises:
        ValueError: it holds no such thing; a KeyError from elsewhere would be a defect, and exit code 3 is for ids.
    """
    try:
        return find(*args, **kwargs)
    except KeyError as error:
        raise ValueError(str(error.args[0])) from error


def fail(message: str, code: int, *, as_json: bool) -> None:
    """Say what went wrong on standard error and leave."""
    if as_json:
        sys.stderr.write(json.dumps({"error": message, "exit_code": code}) + "\n")
    else:
        # Never as markup: a message quotes what was typed, and brackets in it are no styles.
        Console(stderr=True).print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)
    raise typer.Exit(code)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_nan(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(part) for part in value]
    return None if isinstance(value, float) and not isfinite(value) else value
