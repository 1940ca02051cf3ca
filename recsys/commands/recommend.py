"""unlearn recommend"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unlearn.command import Json, command, terminal
from unlearn.requests.commands.options import Config
from unlearn.typed_ids import typed

if TYPE_CHECKING:
    from recsys.recommend import Recommendations
    from unlearn.forget import Id


@command
def recommend(
    model: Annotated[Path, typer.Option(help="Folder that `unlearn train` made.")],
    user: Annotated[list[str], typer.Option(help="May be given more than once.")],
    k: Annotated[int, typer.Option(help="Length of the list.")] = 10,
    suppress: Annotated[list[str] | None, typer.Option(help="Item never to show.")] = None,
    unknown: Annotated[
        str, typer.Option(help="raise, skip or popular; whoever is suppressed is left out where it is not raise.")
    ] = "raise",
    config: Config = None,
    json_: Json = False,
) -> Mapping[str, Any]:
    """The best items of some users, leaving out what they have seen.

    Whoever asked to be forgotten gets no answer: where people are suppressed, the service's settings are read.
    """
    from rich.table import Table

    from recsys import workspace
    from recsys.commands.suppressed import serving
    from recsys.plugin.serving import without_erased
    from unlearn.forget import UnknownIds

    target = serving(model, config)
    problem = workspace.load(model)
    data, ranker = problem.data, problem.ranker()
    asked, banned = data.users.parse(user), data.items.parse(suppress or [])
    longest = min(k, data.n_items)  # the ranker has a place for every one that is asked for

    def best(users: Id | list[Id], more: list[Id]) -> Recommendations:
        return ranker.recommend(users, k=longest, exclude=data, suppress=[*banned, *more], unknown=unknown)  # pyright: ignore[reportArgumentType]

    blocked = [one for one in asked if target is not None and target.blocks(one)]
    if blocked and unknown == "raise":
        raise UnknownIds(
            f"`user` must be somebody who did not ask to be forgotten (got {', '.join(map(str, blocked))}): they are "
            "suppressed; `--unknown skip` leaves them out"
        )
    found = best([one for one in asked if one not in blocked], [])
    lists: list[dict[str, Any]] = []
    for place, name in enumerate(found.users):
        ids, scores = found.ids[place], found.scores[place]
        if target is not None:
            own = without_erased(target, name, partial(best, name))
            ids, scores = own.ids, own.scores
        pairs = zip(ids.tolist(), scores.tolist(), strict=True)
        lists.append({"user": name, "items": [{"item": a, "score": b} for a, b in pairs if a is not None]})
    if not json_:
        table = Table("user", "items, best first")
        for row in lists:
            table.add_row(str(row["user"]), typed(entry["item"] for entry in row["items"]))
        terminal().print(table)
    return {"recommendations": lists}
