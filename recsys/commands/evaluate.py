"""unlearn evaluate"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys.commands.options import Seed, Setup, Track
from unlearn.command import command

if TYPE_CHECKING:
    from unlearn.audit import Comparison
    from unlearn.methods.base import Unlearner

_WIDE = 150  # columns from which intervals fit beside the figures


@command
def evaluate(
    *,
    delete: Annotated[
        str,
        typer.Option(
            help="random:0.05, users:20, one-user:30, user:ID, items:5, popular-items:5, ties:50, or corrupted:0.05 (false "
            "interactions are added first and deleted; forget AUC then compares them with held-out true ones)."
        ),
    ],
    setup: Setup,
    methods: Annotated[
        str,
        typer.Option(
            help="Methods with commas between, each by name or with arguments as in iau:lr=0.02:steps=3; all for every "
            "one that applies. Baselines are added. See `unlearn methods`."
        ),
    ] = "reconverge",
    seeds: Annotated[int, typer.Option(help="How many seeds.")] = 3,
    seed: Seed = 0,
    track: Track = None,
    json_: Annotated[Path | None, typer.Option("--json", help="Write the whole comparison here; - prints it.")] = None,
) -> Mapping[str, Any]:
    """Unlearn by several methods and measure them against retraining."""
    from rich.console import Console

    from unlearn.audit import Comparison
    from unlearn.audit.log import record
    from unlearn.specification import unlearners

    if seeds < 1:
        raise ValueError(f"`seeds` must be a positive integer for `evaluate` (got {seeds})")
    chosen = unlearners(methods)
    numbers = range(seed, seed + seeds)
    parts = [one_seed(setup, chosen, delete, number, progress=json_ is None) for number in numbers]
    comparison = Comparison.join(parts)
    if track is not None:
        from unlearn.tracking.mlflow import MlflowTracker

        model, asked = (text.partition(":")[0] for text in (setup.model, delete))
        record(comparison, MlflowTracker(track), name=f"evaluate {model} {asked}")
    text = comparison.to_json()

    def show(console: Console) -> None:
        console.print(comparison.table(spread=console.width >= _WIDE))

    if json_ is None:
        show(Console())
    elif str(json_) != "-":
        json_.parent.mkdir(parents=True, exist_ok=True)
        json_.write_text(text + "\n", "utf-8")
        show(Console(stderr=True))
    return json.loads(text)


def one_seed(
    setup: Setup, methods: list[Unlearner], delete: str, seed: int, *, known: float = 1.0, progress: bool
) -> Comparison:
    """Train with one seed and serve the requests drawn with it, of a corruption only the `known` share."""
    from recsys.commands.build import build_model, described, load_split
    from recsys.corruption import split_known
    from recsys.requests import drawn
    from recsys.scorer import RankingScorer
    from unlearn.audit import compare

    parts = load_split(setup, 0)  # one split for all seeds
    data, requests = drawn(delete, parts, seed=seed)
    requests = [split_known(one, known, seed=seed)[0] for one in requests]
    required = frozenset(need.removeprefix("history.") for one in methods for need in one.requires)
    model = build_model(setup, data, seed=seed, progress=progress, keep=required)
    trained = model.fit()  # the scorer continues it to where arithmetic ends, and says how far it moved
    settings = {
        "data": "synthetic" if setup.data is None else setup.data.name,
        "delete": delete if not delete.startswith("user:") else "user",
        **described(trained),
    }
    return compare(
        trained,
        requests,
        methods,
        RankingScorer(parts.test),
        seed=seed,
        settings=settings,
        key=secrets.token_bytes(32),  # thrown away: the digests name requests within this comparison only
    )
