"""unlearn explain"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from recsys.commands.options import Json
from unlearn.command import command
from unlearn.requests.commands.options import Config


@command
def explain(
    model: Annotated[Path, typer.Option(help="Folder that `unlearn train` made.")],
    user: Annotated[str, typer.Option(help="Whose recommendation.")],
    item: Annotated[str | None, typer.Option(help="Which one (default: the best).")] = None,
    k: Annotated[int, typer.Option(help="Interactions to list.")] = 10,
    config: Config = None,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Which interactions, the user's own and others', made a recommendation, by the influence function.

    A contribution is about how much lower the score would be without the interaction; negative: how much higher.
    Whoever asked to be forgotten gets no answer, and is in none: where people are suppressed, the service's settings
    are read.
    """
    import torch
    from rich.console import Console
    from rich.table import Table

    from recsys.attribution import pair_scores
    from recsys.commands import workspace
    from recsys.commands.suppressed import serving
    from recsys.problem import RecommenderProblem
    from unlearn.attribution import Influence
    from unlearn.forget import UnknownIds

    if k < 1:
        raise ValueError(f"`k` must be a positive integer for `explain` (got {k})")
    target = serving(model, config)
    problem = workspace.load(model)
    if not isinstance(problem, RecommenderProblem):
        raise ValueError(
            f"`model` must have an objective that its parameters minimise for `explain` (got {type(problem).__name__})"
        )
    data = problem.data
    (user_id,), items = data.users.parse([user]), data.items.parse([] if item is None else [item])
    if target is not None and target.blocks(user_id):
        raise UnknownIds(f"`user` must be somebody who did not ask to be forgotten (got {user}): they are suppressed")
    unknown = [
        f"`{option}` must be known to the model (got {one}, which is not or was forgotten)"
        for option, ids, vocabulary in (("user", [user_id], data.users), ("item", items, data.items))
        for one in ids
        if one not in vocabulary
    ]
    if unknown:
        raise UnknownIds("\n".join(unknown))
    item_id = items[0] if items else problem.ranker().recommend(user_id, k=1, exclude=data).ids[0]
    pair = torch.tensor([[int(data.users.rows([user_id])[0]), int(data.items.rows([item_id])[0])]])
    found = Influence().fit(problem).scores(pair_scores(pair))
    assert found.residuals is not None
    values = found.values[:, 0]
    user_rows, item_rows = data.user_rows(), data.item_rows()
    lines: list[dict[str, Any]] = []
    for at in values.abs().argsort(descending=True, stable=True).numpy():
        (of,), (what,) = data.users.take(user_rows[[at]]), data.items.take(item_rows[[at]])
        if target is None or not target.blocks(of):
            lines.append({"user": of, "item": what, "contribution": float(values[at]), "own": of == user_id})
        if len(lines) == k:
            break
    result = {
        "user": user_id,
        "item": item_id,
        "score": float(problem.outputs(pair)),
        "own_share": float(values[user_rows == int(pair[0, 0])].abs().sum() / values.abs().sum().clamp_min(1e-30)),
        "residual": float(found.residuals[0]),
        "interactions": lines,
    }
    if not json_:
        table = Table("user", "item", "contribution", title=f"{user_id} and {item_id}: score {result['score']:.3f}")
        for line in lines:
            table.add_row(str(line["user"]), str(line["item"]), f"{line['contribution']:+.4f}")
        console = Console(markup=False)
        console.print(table)
        console.print(
            f"{result['own_share']:.0%} of all contributions are the user's own; residual {result['residual']:.2g}"
        )
    return result
