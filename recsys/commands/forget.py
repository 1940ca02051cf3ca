"""unlearn forget"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from secrets import token_bytes
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys.commands.options import Device, Track, opened
from recsys.forgetting import METHODS, first_applicable, storable
from unlearn.command import Json, Unfinished, command, terminal
from unlearn.typed_ids import QUOTED, pairs

if TYPE_CHECKING:
    from recsys.fitted import FittedRecommender
    from recsys.store import Storable
    from unlearn.forget import ForgetSet
    from unlearn.methods.base import UnlearnResult

Ids = Annotated[list[str] | None, typer.Option(help="May be given more than once.")]


@command
def forget(
    model: Annotated[Path, typer.Option(help="Folder that `unlearn train` made.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the result (default: in place).")] = None,
    user: Ids = None,
    item: Ids = None,
    interaction: Annotated[
        list[str] | None, typer.Option(help=f"USER,ITEM; may be given more than once; {QUOTED}.")
    ] = None,
    tie: Annotated[
        list[str] | None,
        typer.Option(help="USER,USER, in whichever direction there is one; may be given more than once; quoted alike."),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="Unlearning method, or with arguments as in iau:lr=0.02; see `unlearn methods` (default: the first of "
            f"{', '.join(METHODS)} that applies to the model)."
        ),
    ] = None,
    unknown: Annotated[str, typer.Option(help="raise or skip what does not exist.")] = "raise",
    on_failure: Annotated[str, typer.Option(help="keep, raise or retrain.")] = "retrain",
    device: Device = "cpu",
    track: Track = None,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Forget users, items, single interactions or ties: data, graph and parameters.

    In place, the copies of the model that `unlearn train --track` kept in MLflow are destroyed, too.
    """
    from recsys import store, workspace
    from recsys.commands.tracked import NotKept, keep
    from recsys.plugin.stored import ARRIVED
    from unlearn.devices import unusable
    from unlearn.methods.base import VerificationFailed
    from unlearn.specification import unlearner
    from unlearn.tracking import lineage
    from unlearn.tracking.copies import Copies

    choices = {"unknown": (unknown, ("raise", "skip")), "on-failure": (on_failure, ("keep", "raise", "retrain"))}
    wrong = [
        f"`{name}` must be {' or '.join(allowed)} (got {given!r})"
        for name, (given, allowed) in choices.items()
        if given not in allowed
    ]
    single = pairs("interaction", "USER,ITEM", interaction, wrong)
    tied = pairs("tie", "USER,USER", tie, wrong)
    if not (user or item or interaction or tie):
        wrong.append("`user`, `item`, `interaction` or `tie` must be given: nothing was named that is to be forgotten")
    if (reason := unusable(device)) is not None:
        wrong.append(reason)
    chosen = None
    if method is not None:
        try:
            chosen = unlearner(method)
        except ValueError as error:
            wrong.append(str(error))
    if wrong:
        raise ValueError("\n".join(wrong))
    workspace.at(model).require()
    workspace.at(out := out or model).check()
    in_place = out.resolve() == model.resolve()
    tracker = opened(track)
    # From load to save: of two requests at a time, the later one must see what the earlier one forgot.
    with workspace.at(model).held() if in_place else nullcontext():
        if in_place and (model / ARRIVED).is_file():
            raise ValueError(
                f"`model` must have no interactions that wait for a retrain, which would be lost (got {ARRIVED} in "
                f"{model}); ask the service that runs it (`unlearn request create`), or name another folder by `--out`"
            )
        problem = _settled(model).to(device)
        before = store.digest(workspace.model_folder(model))
        chosen = chosen or first_applicable(problem)
        request = _named(problem, user or [], item or [], single, tied)
        request = problem.resolve(request, unknown=unknown)  # pyright: ignore[reportArgumentType]
        served = chosen.forget(problem, request, on_failure=on_failure)  # pyright: ignore[reportArgumentType]
        if left := served.problem.resolve(request, unknown="skip"):
            raise VerificationFailed(
                f"`{chosen.name}` leaves {left!r} in the data, so nothing was saved; use another method"
            )
        # Before the model: killed in between, the same request finds everybody again and finishes. What is left of
        # them stays on the list, and goes with the next one.
        copies = len(Copies.of(model).listed()) if in_place else 0
        copies_left = Copies.of(model).destroy() if in_place else []
        workspace.save(storable(served), out)
    figures = {
        "interactions_removed": served.records_removed,
        "rows_changed": served.n_rows_changed,
        "residual_before": served.residual_before,
        "residual_after": served.residual_after,
        "seconds": served.seconds,
    }
    result = {
        "out": str(out),
        "method": served.method,
        "forgotten": request.counts(),
        **figures,
        "fallback": served.fallback,
        "caveat": served.problem.caveat,
        "copies_destroyed": copies - len(copies_left),
        "copies_left": [str(one) for one in copies_left],
    }
    if not json_:
        _show(served, request)
    undone: list[str] = []
    if copies_left:
        undone = [
            f"{out} has forgotten them, and copies in MLflow of what it was have not:",
            *(f"  - {one}" for one in copies_left),
            "They stay listed: the next request destroys them where their store is reached, also one of nobody new "
            "(`--unknown skip`).",
        ]
    if tracker is not None:
        # By a key that nobody keeps: the digest tells requests apart, and names nobody.
        digest = request.digest(token_bytes(32))
        tags = lineage(method=served.method, parent_model=before, request_digest=digest)
        params = {"method": served.method, "fallback": served.fallback, "device": device}
        try:
            kept = keep(tracker, "forget", storable(served), out, params=params, metrics=figures, tags=tags)
            if kept is not None:
                result["model_id"] = kept
        except NotKept as error:
            undone.append(str(error))
    if undone:
        raise Unfinished("\n".join(undone), result)
    return result


def _settled(model: Path) -> Storable:
    """The model in a workspace, which has learned from nothing but the data that are there.

    Raises:
        ValueError: a batch of the deletion-request service has taken records out, and its version is not published.
    """
    from recsys import store, workspace
    from unlearn.staging import Staging

    with workspace.at(model).read():
        problem = workspace.load(model)
        # No method would know of what was taken out, and the batch would no more find the version that it is to change.
        if Staging.beside(model.resolve()).outstanding(store.digest(workspace.model_folder(model))):
            raise ValueError(
                f"`model` must have learned from nothing but its data (people are being forgotten in {model}, and what "
                "follows would keep what it learned of them); let `unlearn worker` finish, or ask the service that "
                "runs it (`unlearn request create`)"
            )
    return problem


def _named(
    problem: FittedRecommender,
    users: list[str],
    items: list[str],
    single: list[tuple[str, str]],
    tied: list[tuple[str, str]],
) -> ForgetSet:
    """What was typed, in ids of the data's own kind; a tie stands in whichever direction there is one."""
    from unlearn.forget import ForgetSet

    of_users, of_items = problem.data.users.parse, problem.data.items.parse
    request = ForgetSet(
        users=tuple(of_users(users)),
        items=tuple(of_items(items)),
        interactions=tuple(zip(of_users(a for a, _ in single), of_items(b for _, b in single), strict=True)),
        ties=tuple(zip(of_users(a for a, _ in tied), of_users(b for _, b in tied), strict=True)),
    )
    back = ForgetSet(ties=tuple((b, a) for a, b in request.ties))
    there = problem.resolve(ForgetSet(ties=request.ties) | back, unknown="skip").ties
    neither = tuple(one for one in request.ties if not {one, one[::-1]} & set(there))
    return replace(request, ties=there + neither)


def _show(served: UnlearnResult, request: ForgetSet) -> None:

    before, after = served.residual_before, served.residual_after
    residual = "" if before is None or after is None else f", residual {before:.3g} -> {after:.3g}"
    console = terminal(soft_wrap=True)
    console.print(
        f"Forgot {request!r}: {served.records_removed} interactions{residual} in {served.seconds:.2f} s"
        f"{' (retrained)' if served.fallback else ''}"
    )
    if served.problem.caveat is not None:
        console.print(f"Note: {served.problem.caveat}")
