"""unlearn hold place | lift | list"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from unlearn.command import Json, command
from unlearn.requests.commands.options import Config, Identity, opened, opened_ledger, subject

app = typer.Typer(no_args_is_help=True)


@app.command()
@command
def place(
    identity: Identity,
    reference: Annotated[str, typer.Option(help="What the hold is for: a case number, and nobody's name.")],
    config: Config = None,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Forbid that anything of a person be deleted; they stay suppressed if they asked to be forgotten."""
    from unlearn.requests.holds import Holds
    from unlearn.target import INTERACTION

    person = subject(identity)
    with opened(config) as service:
        # Else nothing would ever be found to be held by it.
        if person.type not in (known := [one for one in service.identity_types if one != INTERACTION]):
            raise ValueError(
                f"`identity` must be of a type by which a target knows people: {', '.join(known)} (got {person.type})"
            )
        placed = Holds(service.ledger).place(person, reference)
    if not json_:
        late = f"; too late for {', '.join(placed.too_late_for)}" if placed.too_late_for else ""
        typer.echo(f"hold {reference} placed{late}")
    return {"reference": reference, "too_late_for": list(placed.too_late_for)}


@app.command()
@command
def lift(
    identity: Identity,
    reference: Annotated[str | None, typer.Option(help="Lift it only where it is for this.")] = None,
    config: Config = None,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Allow deletion again."""
    from unlearn.forget import UnknownIds
    from unlearn.requests.holds import Holds

    with opened_ledger(config) as ledger:
        freed = Holds(ledger).lift(ledger.keyring.pseudonyms.of(subject(identity)), reference=reference)
    if freed is None:
        raise UnknownIds("`identity` must be of somebody on hold; see `unlearn hold list`")
    if not json_:
        typer.echo(f"hold lifted, {freed} requests go on")
    return {"requests": freed}


@app.command("list")
@command
def list_(config: Config = None, json_: Json = False) -> Mapping[str, Any]:
    """Every hold, by pseudonym."""
    from unlearn.requests.holds import Holds

    with opened_ledger(config) as ledger:
        found = Holds(ledger).list()
    if not json_:
        for pseudonym, reference, placed_at in found:
            typer.echo(f"{pseudonym[:16]}  {reference}  since {placed_at:%Y-%m-%d}")
    return {"holds": [{"pseudonym": a, "reference": b, "placed_at": c} for a, b, c in found]}
