"""unlearn keys init | rotate | create | list | revoke | webhook"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unlearn.command import Json, command
from unlearn.requests.commands.options import Config, new_keys, opened_ledger

if TYPE_CHECKING:
    from unlearn.requests.ledger import Ledger

app = typer.Typer(no_args_is_help=True)


@app.command()
@command
def init(
    out: Annotated[Path, typer.Option(help="New file; keep it apart from the data, and a copy of it in a safe place.")],
    json_: Json = False,
) -> Mapping[str, Any]:
    """Make the keys that the service encrypts, names people, chains its trail and signs with."""
    with new_keys(out, option="out") as public:
        pass
    if not json_:
        typer.echo(
            f"{out}: four keys, for your eyes alone. Without them nothing in the ledger can be served or checked.\n"
            f"{public}: what certificates are checked with; hand it out."
        )
    return {"keyring": str(out), "public_key": str(public)}


@app.command()
@command
def rotate(config: Config = None, json_: Json = False) -> Mapping[str, Any]:
    """Encrypt who requests are about with a new key from now on.

    Older keys that nothing needs are destroyed, but for the last one, which the next rotation may destroy.
    """
    from unlearn.requests.keyring import Keyring

    with opened_ledger(config) as ledger:
        path = ledger.keyring.path
        assert path is not None, "they were read from it"
        gone = Keyring.rotate(path, _sealed(ledger))
    if not json_:
        typer.echo(f"{path}: a new payload key, {gone} old ones destroyed")
    return {"keyring": str(path), "destroyed": gone}


def _sealed(ledger: Ledger) -> Iterator[bytes]:
    """Everything in the ledger that is encrypted, read when it is asked for."""
    from sqlalchemy import select

    from unlearn.requests.tables import Callback, Request

    with ledger.database.read() as session:
        yield from filter(None, session.scalars(select(Request.payload).where(Request.payload.is_not(None))))
        for urls in session.scalars(select(Request.callbacks)):
            yield from map(str.encode, urls)
        yield from map(str.encode, session.scalars(select(Callback.url).where(Callback.ended_at.is_(None))))


@app.command()
@command
def create(
    caller: Annotated[str, typer.Option(help="Whose key it is: the controller's name, which its requests carry.")],
    role: Annotated[list[str], typer.Option(help="submit, operate or audit; may be given more than once.")],
    config: Config = None,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Make a key to the API. It is shown this once and kept as a digest."""
    from unlearn.requests.callers import Callers, Role

    if unknown := sorted(set(role) - set(Role)):
        raise ValueError(f"`role` must be one of {', '.join(Role)} (got {', '.join(unknown)})")
    with opened_ledger(config) as ledger:
        key = Callers(ledger).create(caller, frozenset(map(Role, role)))
    if not json_:
        typer.echo(key)
    return {"key": key}


@app.command("list")
@command
def list_(config: Config = None, json_: Json = False) -> Mapping[str, Any]:
    """All keys to the API, without what opens it."""
    from unlearn.requests.callers import Callers

    with opened_ledger(config) as ledger:
        found = Callers(ledger).list()
    if not json_:
        for key in found:
            revoked = "" if key.revoked_at is None else f"  revoked {key.revoked_at:%Y-%m-%d}"
            typer.echo(f"{key.id}  {key.caller}  {', '.join(key.roles)}  since {key.created_at:%Y-%m-%d}{revoked}")
    return {"keys": [asdict(key) for key in found]}


@app.command()
@command
def revoke(
    id: Annotated[str, typer.Argument(help="The key's id, as `unlearn keys list` shows it.")],
    config: Config = None,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Let a key open nothing from now on."""
    from unlearn.forget import UnknownIds
    from unlearn.requests.callers import Callers

    with opened_ledger(config) as ledger:
        if not Callers(ledger).revoke(id):
            raise UnknownIds(f"`id` must be of a key that was not revoked before (got {id!r}); see `unlearn keys list`")
    if not json_:
        typer.echo(f"{id}: revoked")
    return {"id": id}


@app.command()
@command
def webhook(
    caller: Annotated[str, typer.Option(help="The controller's name.")], config: Config = None, json_: Json = False
) -> Mapping[str, Any]:
    """The secret by which a controller checks that a callback comes from here (Standard Webhooks)."""
    from unlearn.requests.callbacks import secret

    with opened_ledger(config) as ledger:
        found = secret(ledger.keyring, caller)
    if not json_:
        typer.echo(found)
    return {"caller": caller, "secret": found}
