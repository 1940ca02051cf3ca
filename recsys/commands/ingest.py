"""unlearn ingest"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from recsys.commands.options import THRESHOLD, Column, Format, Threshold, columns, left_out_message
from unlearn.command import Json, command
from unlearn.requests.commands.options import Config


@command
def ingest(
    data: Annotated[Path, typer.Option(help="File of new interactions, in any format that `unlearn train` reads.")],
    target: Annotated[str, typer.Option(help="The target that takes them in, as the settings name it.")] = "recsys",
    format: Format = None,
    column: Column = None,
    threshold: Threshold = THRESHOLD,
    config: Config = None,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Give new interactions to the recommender that the service runs; it refuses those of people who were erased.

    Give the threshold that the recommender was trained with. New users are answered at once by
    `recsys.plugin.Serving`. Next to pairs of known ids, which the next version learns from, what is new is learned by
    the next retrain; until then `unlearn recommend` does not know new users and items.
    """
    from dataclasses import asdict

    from recsys.data import Interactions, read
    from recsys.plugin import RecommenderTarget
    from unlearn.requests.commands.options import settings
    from unlearn.requests.keyring import Keyring
    from unlearn.requests.service import load_targets

    chosen = settings(config)
    if target not in chosen.targets:
        raise ValueError(f"`target` must be one of {', '.join(chosen.targets)} (got {target!r})")
    names = Keyring.read(chosen.keyring).pseudonyms
    recommender = load_targets({target: chosen.targets[target]}, names)[target]
    if not isinstance(recommender, RecommenderTarget):
        raise ValueError(f"`target` must be a recommender (got {target!r}, which takes in no interactions)")
    left_out: list[int] = []
    arrived = read(
        data,
        format=format,  # pyright: ignore[reportArgumentType]
        **columns(column),
        threshold=threshold,
        duplicates="last",
        left_out=left_out.append,
    )
    if not isinstance(arrived, Interactions):
        raise ValueError(f"`data` must be one file of interactions (got `{data}`, which is split)")
    frame, stored = arrived.frame(), recommender.data().data
    for name, ids in (("user", stored.users), ("item", stored.items)):
        if ids.kind == "str":  # in a file whose ids are all numbers, too
            frame[name] = frame[name].astype(str)
    taken = asdict(recommender.take_in(frame)) | {"ratings_left_out": sum(left_out)}
    if not json_:
        typer.echo(f"{taken['stored']} stored, {taken['refused']} refused, {taken['new_users']} new users")
        if taken["ratings_left_out"]:
            typer.echo(left_out_message(taken["ratings_left_out"], threshold))
    return taken
