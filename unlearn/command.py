"""What every command has in common: shared options, JSON on request, readable errors, documented exit codes."""

from __future__ import annotations

import functools
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from unlearn.forget import UnknownIds
from unlearn.interruption import Interrupted, ending
from unlearn.jsonable import json_text
from unlearn.outlets import outlets, visible

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


class Unfinished(RuntimeError):
    """Not all that was asked for could be done; what was is in `result`, which is printed all the same."""

    def __init__(self, message: str, result: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.result = result


def command(function: Callable[..., Mapping[str, Any]]) -> Callable[..., None]:
    """Wrap a command body: prints what it returns as JSON under `--json`, and turns errors into exit codes.

    A parameter whose type is a dataclass stands for an option for each of its fields, so that commands share options
    by naming the dataclass. Where `--json` takes a path, the body writes that file, and only `-` is printed here. What
    is no finite number is null in the JSON. A reader that leaves, or a full disk below the standard output, is told
    when the body is through: what it writes to files is not lost by it.
    """
    options: list[inspect.Parameter] = []
    groups: dict[str, tuple[Callable[..., Any], list[str]]] = {}
    for name, parameter in inspect.signature(function, eval_str=True).parameters.items():
        members = [parameter]
        if is_dataclass(kind := parameter.annotation):
            assert isinstance(kind, type)
            members = list(inspect.signature(kind, eval_str=True).parameters.values())
            groups[name] = kind, [member.name for member in members]
        options += [member.replace(kind=inspect.Parameter.KEYWORD_ONLY) for member in members]

    @functools.wraps(function)
    def wrapped(**given: Any) -> None:
        asked, unfinished = given.get("json_"), None
        with outlets() as said_by:
            try:
                for group, (kind, members) in groups.items():
                    given[group] = kind(**{member: given.pop(member) for member in members})
                with ending():
                    result = function(**given)
            except (KeyboardInterrupt, Interrupted):
                fail("interrupted; what was written before is complete", 130, as_json=bool(asked))
            except Unfinished as error:
                result, unfinished = error.result, str(error)
            except UnknownIds as error:
                fail(str(error), 3, as_json=bool(asked))
            except ValueError as error:
                fail(str(error), 2, as_json=bool(asked))
            except OSError as error:
                fail(_of_system(error), 2, as_json=bool(asked))
            except RuntimeError as error:
                if type(error) is RuntimeError:  # not one of ours: a defect, shown whole
                    raise
                fail(str(error), 1, as_json=bool(asked))
            if asked is True or str(asked) == "-":
                typer.echo(json_text(result), nl=False)
        refusals = [one.refused for one in said_by if one.refused is not None]
        if any(isinstance(one, BrokenPipeError) for one in refusals):
            raise typer.Exit(141)  # as a shell tells of a program that a closed pipe has ended
        for one in refusals:
            why = (one.strerror or str(one)).lower()
            fail(
                f"not all of the output could be written ({why}); files that were asked for are", 2, as_json=bool(asked)
            )
        if unfinished is not None:
            fail(unfinished, 1, as_json=bool(asked))

    # A help is wrapped for the terminal that it is read in, not where the source has its lines.
    paragraphs = (inspect.getdoc(function) or "").split("\n\n")
    wrapped.__doc__ = "\n\n".join(" ".join(one.split()) for one in paragraphs)
    # What typer reads the options from; it looks no deeper than a signature of the function's own.
    wrapped.__signature__ = inspect.Signature(options)  # pyright: ignore[reportAttributeAccessIssue]
    return wrapped


def terminal(**options: Any) -> Console:
    """A console that shows text as it is: brackets in ids and specifications are no styles, and `:name:` no picture."""
    return Console(markup=False, emoji=False, **options)


def _of_system(error: OSError) -> str:
    """What the system refused, and of which file, without the number that it has for it."""
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"`{error.filename}` cannot be used: {error.strerror.lower()}"


def fail(message: str, code: int, *, as_json: bool) -> NoReturn:
    """Say what went wrong on standard error and leave."""
    if as_json:
        sys.stderr.write(json.dumps({"error": message, "exit_code": code}) + "\n")
    else:
        # Never as markup: a message quotes what was typed, and brackets in it are no styles.
        Console(stderr=True).print(Text.assemble(("error: ", "bold red"), visible(message)), soft_wrap=True)
    raise typer.Exit(code)
