"""unlearn request create | status | list | cancel | retry | reapply | certificate"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unlearn.command import Json, command
from unlearn.requests.commands.options import Config, opened, opened_ledger, subject

if TYPE_CHECKING:
    from unlearn.requests.ledger import Ledger
    from unlearn.requests.service import Service
    from unlearn.requests.status import Status
    from unlearn.target import Subject

app = typer.Typer(no_args_is_help=True)

Caller = Annotated[str, typer.Option(help="On whose behalf.")]
RequestId = Annotated[str, typer.Argument(help="The subject_request_id.")]


@app.command()
@command
def create(
    identity: Annotated[
        list[str],
        typer.Option(help="TYPE=VALUE, a value alone for a controller_customer_id, or -; may be given more than once."),
    ],
    id: Annotated[str | None, typer.Option(help="The request's id, a UUID of version 4 (default: a new one).")] = None,
    regulation: Annotated[str, typer.Option(help="gdpr or ccpa.")] = "gdpr",
    caller: Caller = "operator",
    certificate: Annotated[
        Path | None,
        typer.Option(help="Serve it at once, with whatever else is pending, and write the batch's certificate here."),
    ] = None,
    config: Config = None,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Ask that a person be forgotten; when it returns, no target answers to or about them any more."""
    import re

    from unlearn.outputs import obstacle
    from unlearn.requests.api.models import UUID_V4
    from unlearn.requests.callers import misnamed
    from unlearn.requests.certificate import disclosed

    problems = misnamed(caller)
    if regulation not in ("gdpr", "ccpa"):
        problems.append(f"`regulation` must be gdpr or ccpa (got {regulation!r})")
    if id is not None and not re.fullmatch(UUID_V4, id):
        problems.append(f"`id` must be a UUID of version 4 in lower case (got {id!r})")
    if certificate is not None and not certificate.absolute().parent.is_dir():
        problems.append(f"`certificate` must be a file in a folder that exists (got {certificate})")
    elif certificate is not None and (why := obstacle(certificate)) is not None:
        problems.append(f"`certificate` must be a file that can be written (got {certificate}: {why})")
    if problems:
        raise ValueError("\n".join(problems))
    subjects = tuple(map(subject, identity))
    with opened(config) as service:
        if unknown := sorted({one.type for one in subjects if not service.knows(one)}):
            types = ", ".join(service.identity_types)
            raise ValueError(
                f"`identity` must be of a type by which a target knows people: {types} (got {', '.join(unknown)}); "
                'an interaction is written ["TYPE","ID","ITEM"], with a type by which its person is known'
            )
        known = certificate is None or _known(service, subjects)
        receipt = service.ask(subjects, id=id, caller=caller, regulation=regulation)
        id, batch = receipt.subject_request_id, None
        if not json_:
            typer.echo(f"{id}: received, due by {receipt.due_at:%Y-%m-%d}")
        if not known:
            typer.echo(f"{id}: no target knew this identity; check it", err=True)
        if certificate is not None:
            batch, document = _certified(service, caller, id, certificate)
            if not json_:
                (counts,) = disclosed(document, "counts")
                for name, target in counts.items():
                    removed = ", ".join(f"{number} {of}" for of, number in target["removed"]["counts"].items())
                    typer.echo(f"{id}: removed from {name}: {removed}")
                typer.echo(f"{id}: completed; {certificate} is the certificate of its batch")
    return {"id": id, "received_at": receipt.received_at, "due_at": receipt.due_at, "batch": batch}


@app.command()
@command
def status(id: RequestId, config: Config = None, json_: Json = False) -> Mapping[str, Any]:
    """Where a request stands."""
    from unlearn.requests.status import status

    with opened_ledger(config) as ledger:
        found = _shown(status(ledger, None, id))
    if not json_:
        targets = ", ".join(f"{name}: {step}" for name, step in found["targets"].items()) or "in no batch yet"
        typer.echo(f"{found['state']} ({targets}), due by {found['due_at']:%Y-%m-%d}")
    return found


@app.command("list")
@command
def list_(
    state: Annotated[
        str | None, typer.Option(help="pending, on_hold, in_progress, completed or cancelled (default: all).")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="The first so many.")] = 100,
    config: Config = None,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Requests by arrival."""
    from unlearn.requests.states import RequestState
    from unlearn.requests.status import listed

    if state is not None and state not in set(RequestState):
        raise ValueError(f"`state` must be one of {', '.join(RequestState)} (got {state!r})")
    with opened_ledger(config) as ledger:
        rows = listed(ledger, state=None if state is None else RequestState(state), limit=limit)
    found = [_shown(one) for _, one in rows]
    if not json_:
        for row in found:
            typer.echo(
                f"{row['id']}  {row['state']}{'!' if row['needs_attention'] else ''}  due {row['due_at']:%Y-%m-%d}"
            )
    return {"requests": found}


@app.command()
@command
def cancel(id: RequestId, config: Config = None, json_: Json = False) -> Mapping[str, Any]:
    """Take back a request that is still pending; the person is answered to again."""
    with opened(config) as service:
        service.cancelling.cancel(None, id)
    if not json_:
        typer.echo(f"{id}: cancelled")
    return {"id": id, "state": "cancelled"}


@app.command()
@command
def retry(
    batch: Annotated[str, typer.Argument(help="Id of a batch that needs attention.")],
    config: Config = None,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Retrain once more where a retrain failed its verification, after what was wrong has been put right."""
    from unlearn.requests.tasks import retry

    with opened_ledger(config) as ledger:
        targets = retry(ledger, batch, "operator")
    if not json_:
        typer.echo(f"{batch}: {targets} targets will retrain")
    return {"batch": batch, "targets": targets}


@app.command()
@command
def reapply(config: Config = None, json_: Json = False) -> Mapping[str, Any]:
    """After a backup was restored: ask again for whoever and whatever was erased and is in a target all the same.

    Requests that no payload key opens any more are made readable again by what the targets hold.
    """
    from unlearn.requests.restoring import reread, returned

    with opened(config) as service:
        read = reread(service.ledger, service.targets)
        found = returned(service.ledger, service.targets)
        id = service.ask(found.people).subject_request_id if found.people else None
    if not json_:
        typer.echo(
            f"{len(found.people)} people or interactions were back" + (f"; {id} asks for them again" if id else "")
        )
        if read.requests:
            typer.echo(f"{read.requests} requests that no key opened can be read again")
        for name in read.unreadable:
            typer.echo(f"{name}: no key opens it, and not every target can say whom it holds")
        for name in found.not_examined:
            typer.echo(f"{name}: cannot say whom it holds; examine it by hand")
    return {
        "people": len(found.people),
        "id": id,
        "reread": read.requests,
        "unreadable": list(read.unreadable),
        "not_examined": list(found.not_examined),
    }


@app.command()
@command
def certificate(
    id: Annotated[
        str,
        typer.Argument(
            help="Of a completed request, for its controller: nothing of another one is disclosed. Or of a closed "
            "batch, as `unlearn request status --json` tells it, for an auditor: everything is."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Where to write it.")],
    config: Config = None,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Write what a batch did, signed; `unlearn verify-certificate` checks it anywhere."""
    from unlearn.requests.certificate import public_key

    with opened_ledger(config) as ledger:
        _write(ledger, id, out)
        key = public_key(ledger.keyring)
    if not json_:
        typer.echo(f"{out}: check it with `unlearn verify-certificate {out} --key {key}`")
    return {"certificate": str(out), "key": key}


def _known(service: Service, subjects: tuple[Subject, ...]) -> bool:
    """Whether some target holds anything about them."""
    from unlearn.target import Batch

    batch = Batch("asked", subjects)
    return any(any(target.resolve(batch).values()) for target in service.targets.values())


def _certified(service: Service, caller: str, id: str, out: Path) -> tuple[str, Mapping[str, Any]]:
    """Serve the request now and write the certificate of its batch; returns the batch's id and the certificate."""
    from unlearn.requests.commands.at_once import served

    batch = served(service, caller, id)
    try:
        return batch, _write(service.ledger, batch, out)
    except OSError as error:
        raise OSError(
            f"{id}: completed, but the certificate of its batch could not be written ({error}); "
            f"`unlearn request certificate {batch} --out FILE` writes it"
        ) from error


def _write(ledger: Ledger, id: str, out: Path) -> Mapping[str, Any]:
    """Write the certificate of a closed batch, or of a completed request, and return it."""
    from unlearn.forget import UnknownIds
    from unlearn.outputs import write_json
    from unlearn.requests.certificate import certificate, certificate_of_request
    from unlearn.requests.ledger import NoSuchRequest

    try:
        found = certificate(ledger, id) or certificate_of_request(ledger, None, id)
    except NoSuchRequest:
        found = None
    if found is None:
        raise UnknownIds(f"`id` must be that of a closed batch or of a completed request (got {id!r})")
    write_json(out, found)
    return found


def _shown(status: Status) -> dict[str, Any]:
    return {
        "id": status.subject_request_id,
        "caller": status.caller,
        "state": str(status.state),
        "needs_attention": status.needs_attention,
        "received_at": status.received_at,
        "due_at": status.due_at,
        "closed_at": status.closed_at,
        "batch": status.batch,
        "targets": {name: str(step) for name, step in status.targets.items()},
    }
