"""unlearn explain"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unlearn.command import Json, command, terminal
from unlearn.requests.commands.options import Config

if TYPE_CHECKING:
    from torch import Tensor

    from recsys.plugin import RecommenderTarget
    from recsys.problem import RecommenderProblem
    from unlearn.forget import Id


@command
def explain(
    model: Annotated[Path, typer.Option(help="Folder that `unlearn train` made.")],
    user: Annotated[str, typer.Option(help="Whose recommendation.")],
    item: Annotated[str | None, typer.Option(help="Which one (default: the best).")] = None,
    k: Annotated[int, typer.Option(help="Interactions to list, and ties where the model uses them.")] = 10,
    config: Config = None,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Which interactions, the user's own and others', made a recommendation, by the influence function.

    A contribution is about how much lower the score would be without the interaction; negative: how much higher.
    In a model with ties between users, ties contribute, too. Whoever asked to be forgotten gets no answer, and is in
    none, nor is a single interaction that is to be forgotten: where people are suppressed, the service's settings are
    read.
    """
    from recsys import workspace
    from recsys.commands.suppressed import serving
    from recsys.problem import RecommenderProblem

    if k < 1:
        raise ValueError(f"`k` must be a positive integer for `explain` (got {k})")
    target = serving(model, config)
    problem = workspace.load(model)
    if not isinstance(problem, RecommenderProblem):
        raise ValueError(
            f"`model` must have an objective that its parameters minimise for `explain` (got {type(problem).__name__})"
        )
    result = _contributions(problem, target, *_pair(problem, target, user, item), k)
    if not json_:
        _show(result)
    return result


def _pair(problem: RecommenderProblem, target: RecommenderTarget | None, user: str, item: str | None) -> tuple[Id, Id]:
    """The ids that are meant; without an item, that of the user's best recommendation."""
    from recsys.plugin.serving import without_erased
    from unlearn.forget import UnknownIds

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
    if items:
        if target is not None and target.blocks(user_id, items[0]):
            raise UnknownIds(f"`item` must not be what {user} asked to be forgotten (got {item}): it is suppressed")
        return user_id, items[0]
    best = partial(problem.ranker().recommend, user_id, k=1, exclude=data)
    shown = best() if target is None else without_erased(target, user_id, lambda more: best(suppress=more))
    if shown.ids[0] is None:
        raise ValueError(f"`user` must have something left to be recommended (got {user}); name what with --item")
    return user_id, shown.ids[0]


def _contributions(
    problem: RecommenderProblem, target: RecommenderTarget | None, user: Id, item: Id, k: int
) -> dict[str, Any]:
    """The score of the pair and what made it, the greatest contributions first."""
    import torch

    from recsys.attribution import pair_scores
    from recsys.joint_graph import JointGraph
    from unlearn.attribution import Influence

    data, graph = problem.data, problem.graph
    (row,), (column,) = data.users.rows([user]).tolist(), data.items.rows([item]).tolist()
    pair = torch.tensor([[row, column]])
    found = Influence().fit(problem).scores(pair_scores(pair))
    assert found.residuals is not None
    of_records, of_ties, ends = found.values[:, 0], found.values.new_zeros(0), graph.rows.new_zeros(0, 2)
    if found.ties is not None:
        assert isinstance(graph, JointGraph)
        of_ties, ends = found.ties[:, 0], graph.ends

    def told(*users: Id, item: Id | None = None) -> bool:
        return target is None or not any(target.blocks(one) or target.blocks(one, item) for one in users)

    interactions = (
        {"user": of, "item": what, "contribution": float(of_records[at]), "own": of == user}
        for at in _greatest(of_records)
        for of, what in zip(data.users.take([int(graph.rows[at])]), data.items.take([int(graph.cols[at])]), strict=True)
        if told(of, item=what)
    )
    ties = (
        {"users": both, "contribution": float(of_ties[at]), "own": user in both}
        for at in _greatest(of_ties)
        if told(*(both := data.users.take(ends[at].tolist())))
    )
    own = of_records[graph.rows == row].abs().sum() + of_ties[(ends == row).any(1)].abs().sum()
    every = of_records.abs().sum() + of_ties.abs().sum()
    return {
        "user": user,
        "item": item,
        "score": float(problem.outputs(pair)),
        "own_share": float(own / every.clamp_min(1e-30)),
        "residual": float(found.residuals[0]),
        "interactions": list(islice(interactions, k)),
        "ties": list(islice(ties, k)),
    }


def _greatest(values: Tensor) -> list[int]:
    """Places in the order of absolute size."""
    return values.abs().argsort(descending=True, stable=True).tolist()


def _show(result: Mapping[str, Any]) -> None:
    from rich.table import Table

    console = terminal()
    title = f"{result['user']} and {result['item']}: score {result['score']:.3f}"
    table = Table("user", "item", "contribution", title=title)
    for line in result["interactions"]:
        table.add_row(str(line["user"]), str(line["item"]), f"{line['contribution']:+.4f}")
    console.print(table)
    if result["ties"]:
        table = Table("user", "tied to", "contribution")
        for line in result["ties"]:
            table.add_row(*map(str, line["users"]), f"{line['contribution']:+.4f}")
        console.print(table)
    console.print(
        f"{result['own_share']:.0%} of all contributions are the user's own; residual {result['residual']:.2g}"
    )
