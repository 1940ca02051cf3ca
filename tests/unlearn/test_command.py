"""Options that commands share through a dataclass are options like any other."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner, Result

from unlearn.command import command


@dataclass(frozen=True, kw_only=True)
class Shared:
    batch_size: Annotated[int | None, typer.Option(help="How many at once.")] = None
    rate: Annotated[float, typer.Option("--lr", help="How far.")] = 0.5

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise ValueError(f"`lr` must be positive (got {self.rate})")


@command
def show(
    *,
    name: Annotated[str, typer.Option(help="Whose.")],
    shared: Shared,
    json_: Annotated[bool, typer.Option("--json")] = False,
) -> Mapping[str, Any]:
    """Say what was given."""
    assert isinstance(shared, Shared)
    return {"name": name, "batch_size": shared.batch_size, "rate": shared.rate}


def run(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(show)
    return CliRunner().invoke(app, [*arguments, "--json"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--name", "ann"), {"name": "ann", "batch_size": None, "rate": 0.5}),
        (("--lr", "2", "--name", "bob", "--batch-size", "8"), {"name": "bob", "batch_size": 8, "rate": 2.0}),
    ],
)
def test_fields_are_options(arguments: tuple[str, ...], expected: dict[str, Any]) -> None:
    assert json.loads(run(*arguments).stdout) == expected


def test_their_own_checks_are_readable_errors() -> None:
    refused = run("--name", "ann", "--lr", "-1")
    assert (refused.exit_code, json.loads(refused.stderr)["error"]) == (2, "`lr` must be positive (got -1.0)")
    assert run("--name", "ann", "--batch-size", "many").exit_code == 2
    assert run().exit_code == 2  # what has no default is required


def test_help_names_them() -> None:
    shown = run("--help").stdout
    assert all(part in shown for part in ("--batch-size", "--lr", "How far.", "0.5", "Say what was given."))
