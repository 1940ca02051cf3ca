"""unlearn init"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unlearn.command import Json, command
from unlearn.requests.commands.options import DEFAULT, new_keys

if TYPE_CHECKING:
    from unlearn.requests.settings import Settings


@command
def init(
    target: Annotated[
        list[str],
        typer.Option(
            help="What people are to be erased from, as in recsys:workspace=model (what `unlearn train` made); may be "
            "given more than once, each by a name of its own, as in other:kind=recsys:workspace=model2."
        ),
    ],
    config: Annotated[Path, typer.Option(help="New file of settings.")] = DEFAULT,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Set the deletion-request service up: its settings, its keys and an empty ledger."""
    import secrets

    from unlearn import durable
    from unlearn.outputs import require_writable
    from unlearn.requests.service import Service, load_targets
    from unlearn.requests.settings import Settings
    from unlearn.specification import read
    from unlearn.target import Pseudonyms

    if config.exists():
        raise FileExistsError(f"`config` must be a new file (got {config}); what is set up already is left alone")
    asked = [read(one) for one in target]
    tables = dict(asked)
    if len(tables) < len(asked):
        raise ValueError(
            f"`target` must have a name of its own each time (got {', '.join(name for name, _ in asked)}); name "
            "another of the same kind as in other:kind=recsys:workspace=model2"
        )
    chosen = Settings.chosen({"targets": tables})
    load_targets(tables, Pseudonyms(secrets.token_bytes(32)))  # before any key is made: is there such a workspace?
    require_writable(config=config)
    with new_keys(chosen.keyring, option="keyring") as public:
        Service.open(chosen).close()
        # Its owner's alone: the URL of a database, which may come from the environment, may hold a password.
        durable.replace(config, _toml(chosen, tables).encode())
    if not json_:
        typer.echo(
            f"{config}: the settings\n{chosen.keyring}: the keys, for your eyes alone; keep a copy in a safe place\n"
            f"{public}: what certificates are checked with; hand it out"
        )
    return {"config": str(config), "keyring": str(chosen.keyring), "public_key": str(public)}


def _toml(chosen: Settings, tables: Mapping[str, Mapping[str, str]]) -> str:
    import json  # whose strings are TOML's, too

    lines = [
        "# Settings of the deletion-request service: docs/operations.md. Relative paths start where a command is run.",
        f"database = {json.dumps(chosen.database)}",
        f"keyring = {json.dumps(str(chosen.keyring))}",
    ]
    for name, options in tables.items():
        lines += ["", f"[targets.{json.dumps(name)}]", *(f"{key} = {json.dumps(v)}" for key, v in options.items())]
    return "\n".join(lines) + "\n"
