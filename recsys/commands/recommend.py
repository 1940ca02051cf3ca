"""unlearn recommend"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from recsys.commands.options import Json
from unlearn.command import command


@command
def recommend(
    model: Annotated[Path, typer.Option(help="Folder that `unlearn train` made.")],
    user: Annotated[list[str], typer.Option(help="May be given more than once.")],
    k: Annotated[int, typer.Option(help="Length of the list.")] = 10,
    suppress: Annotated[list[str] | None, typer.Option(help="Item never to show.")] = None,
    unknown: Annotated[str, typer.Option(help="raise, skip or popular.")] = "raise",
    json_: Json = False,
) -> Mapping[str, Any]:
    """The best items of some users, leaving out what they have seen."""
    from rich.console import Console
    from rich.table import Table

    from recsys.commands import workspace

    problem = workspace.load(model)
    data = problem.data
    found = problem.ranker().recommend(
        data.users.parse(user),
        k=k,
        exclude=data,
        suppress=data.items.parse(suppress or []),
        unknown=unknown,  # pyright: ignore[reportArgumentType]
    )
    ids: list[list[Any]] = found.ids.tolist()
    scores: list[list[float]] = found.scores.tolist()
    lists: list[dict[str, Any]] = [
        {
            "user": name,
            "items": [{"item": item, "score": score} for item, score in zip(*best, strict=True) if item is not None],
        }
        for name, *best in zip(found.users, ids, scores, strict=True)
    ]
    if not json_:
        table = Table("user", "items, best first")
        for row in lists:
            table.add_row(str(row["user"]), ", ".join(str(entry["item"]) for entry in row["items"]))
        Console(markup=False).print(table)  # brackets in an id are no styles
    return {"recommendations": lists}
