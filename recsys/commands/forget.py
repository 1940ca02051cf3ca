"""unlearn forget"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from recsys.commands.options import Json
from unlearn.command import command, named

Ids = Annotated[list[str] | None, typer.Option(help="May be given more than once.")]


@command
def forget(
    model: Annotated[Path, typer.Option(help="Folder that `unlearn train` made.")],
    out: Annotated[Path | None, typer.Option(help="Folder for the result [in place].")] = None,
    user: Ids = None,
    item: Ids = None,
    interaction: Annotated[list[str] | None, typer.Option(help="USER,ITEM; may be given more than once.")] = None,
    method: Annotated[str, typer.Option(help="Unlearning method.")] = "reconverge",
    unknown: Annotated[str, typer.Option(help="raise or skip what does not exist.")] = "raise",
    on_failure: Annotated[str, typer.Option(help="keep, raise or retrain.")] = "retrain",
    json_: Json = False,
) -> Mapping[str, Any]:
    """Forget users, items or single interactions: data, graph and parameters."""
    from rich.console import Console

    from recsys.commands import workspace
    from unlearn.forget import ForgetSet
    from unlearn.methods.base import VerificationFailed
    from unlearn.methods.base import method as make

    choices = {"unknown": (unknown, ("raise", "skip")), "on_failure": (on_failure, ("keep", "raise", "retrain"))}
    wrong = [
        f"`{name}` must be {' or '.join(allowed)} (got {given!r})"
        for name, (given, allowed) in choices.items()
        if given not in allowed
    ]
    pairs = [tuple(text.split(",")) for text in interaction or []]
    wrong += [f"`interaction` must be USER,ITEM (got {','.join(pair)!r})" for pair in pairs if len(pair) != 2]
    if wrong:
        raise ValueError("\n".join(wrong))
    unlearner = named(make, method)
    workspace.check(out or model)
    problem = workspace.load(model)
    users, items = problem.data.users, problem.data.items
    request = ForgetSet(
        users=tuple(users.parse(user or [])),
        items=tuple(items.parse(item or [])),
        interactions=tuple(zip(users.parse([p[0] for p in pairs]), items.parse([p[1] for p in pairs]), strict=True)),
    )
    request = problem.resolve(request, unknown=unknown)  # pyright: ignore[reportArgumentType]
    served = unlearner.forget(problem, request, on_failure=on_failure)  # pyright: ignore[reportArgumentType]
    if left := served.problem.resolve(request, unknown="skip"):
        raise VerificationFailed(f"`{method}` leaves {left!r} in the data, so nothing was saved; use another method")
    result = {
        "out": str(out or model),
        "method": served.method,
        "forgotten": request.counts(),
        "interactions_removed": served.records_removed,
        "rows_changed": served.n_rows_changed,
        "residual_before": served.residual_before,
        "residual_after": served.residual_after,
        "seconds": served.seconds,
        "fallback": served.fallback,
    }
    workspace.save(served.problem, out or model)  # pyright: ignore[reportArgumentType]
    if not json_:
        Console(markup=False, soft_wrap=True).print(
            f"Forgot {request!r}: {served.records_removed} interactions, residual {served.residual_before:.3g} -> "
            f"{served.residual_after:.3g} in {served.seconds:.2f} s{' (retrained)' if served.fallback else ''}"
        )
    return result
