"""unlearn evaluate"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys.commands.options import (
    DEFAULT_DIM,
    DEFAULT_LAYERS,
    L2,
    Data,
    Dim,
    Epochs,
    Format,
    Layers,
    Model,
    ObjectiveName,
    Seed,
    SplitBy,
    Threshold,
    Track,
    Unobserved,
    build_problem,
    load_split,
)
from unlearn.command import command, named

if TYPE_CHECKING:
    from unlearn.audit import Comparison
    from unlearn.methods.base import Unlearner

_WIDE = 150  # columns from which intervals fit beside the figures


@command
def evaluate(
    delete: Annotated[str, typer.Option(help="random:0.05, users:20, one-user:30, user:ID or items:5.")],
    data: Data = None,
    format: Format = None,
    split: SplitBy = None,
    threshold: Threshold = 4.0,
    model: Model = "lightgcn",
    objective: ObjectiveName = "whole_data",
    dim: Dim = DEFAULT_DIM,
    layers: Layers = DEFAULT_LAYERS,
    l2: L2 = None,
    a: Unobserved = None,
    epochs: Epochs = 100,
    methods: Annotated[str, typer.Option(help="Comma-separated methods; baselines are added.")] = "reconverge",
    seeds: Annotated[int, typer.Option(help="How many seeds.")] = 3,
    seed: Seed = 0,
    track: Track = None,
    json_: Annotated[Path | None, typer.Option("--json", help="Write the whole comparison here; - prints it.")] = None,
) -> Mapping[str, Any]:
    """Unlearn by several methods and measure them against retraining."""
    from rich.console import Console

    from unlearn.audit import Comparison
    from unlearn.audit.log import record
    from unlearn.methods.base import method as make

    if seeds < 1:
        raise ValueError(f"`seeds` must be a positive integer for `evaluate` (got {seeds})")
    chosen = [named(make, name.strip()) for name in methods.split(",") if name.strip()]
    parts = [
        one_seed(
            chosen, delete, number,
            data=data, format=format, split=split, threshold=threshold, model=model, objective=objective, dim=dim,
            layers=layers, l2=l2, a=a, epochs=epochs, progress=json_ is None,
        )
        for number in range(seed, seed + seeds)
    ]  # fmt: skip
    comparison = Comparison.join(parts)
    if track is not None:
        from unlearn.tracking.mlflow import MlflowTracker

        record(comparison, MlflowTracker(track), name=f"evaluate {model} {delete.partition(':')[0]}")
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
    methods: list[Unlearner], delete: str, seed: int, *, data: Path | None, format: str | None, split: str | None,
    threshold: float, model: str, objective: str, dim: int, layers: int, l2: float | None, a: float | None,
    epochs: int, progress: bool,
) -> Comparison:  # fmt: skip
    """Train with one seed and serve the requests drawn with it."""
    from recsys.requests import requests
    from recsys.scorer import RankingScorer
    from unlearn.audit import compare

    parts = load_split(data, format, split, threshold, 0)  # one split for all seeds
    problem = build_problem(
        parts, model=model, objective=objective, dim=dim, layers=layers, l2=l2, a=a, epochs=epochs, seed=seed,
        progress=progress,
    )  # fmt: skip
    trained = problem.fit(options=problem.options.polished())
    settings = {
        "data": "synthetic" if data is None else data.name,
        "delete": delete if not delete.startswith("user:") else "user",
        "model": model,
        "model_arguments": problem.model.arguments(),
        "objective": objective,
        "objective_arguments": problem.objective_function.arguments(),
    }
    return compare(
        trained,
        requests(delete, problem.data, seed=seed),
        methods,
        RankingScorer(parts.test),
        seed=seed,
        settings=settings,
        key=secrets.token_bytes(32),  # thrown away: the digests name requests within this comparison only
    )
