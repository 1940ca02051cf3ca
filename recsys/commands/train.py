"""unlearn train"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from recsys.commands.options import (
    DEFAULT_DIM,
    DEFAULT_LAYERS,
    L2,
    Data,
    Dim,
    Epochs,
    Format,
    Json,
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
from unlearn.command import command


@command
def train(
    out: Annotated[Path, typer.Option(help="Folder for the model and its training snapshot.")],
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
    seed: Seed = 0,
    track: Track = None,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Train a recommender, test it, and keep it with the data it was trained on."""
    from rich.console import Console

    from recsys.commands import workspace
    from recsys.evaluate import evaluate as measure

    workspace.check(out)
    parts = load_split(data, format, split, threshold, seed)
    problem = build_problem(
        parts, model=model, objective=objective, dim=dim, layers=layers, l2=l2, a=a, epochs=epochs, seed=seed,
        progress=not json_,
    ).fit()  # fmt: skip
    users, items = problem.readout()
    metrics = measure(users, items, train=problem.data, test=parts.test, ks=(10, 20)).summary()
    workspace.save(problem, out)
    result = {
        "out": str(out),
        "users": int(problem.data.users.alive.sum()),
        "items": int(problem.data.items.alive.sum()),
        "interactions": len(problem.data),
        "seconds": problem.history.seconds,
        "residual": problem.history.residual,
        "metrics": metrics,
    }
    if track is not None:
        from unlearn.tracking.mlflow import MlflowTracker

        with MlflowTracker(track).run("train") as run:
            settings = {"model": model, **problem.model.arguments(), "objective": objective, "seed": seed}
            run.params(settings | problem.objective_function.arguments())
            run.metrics(metrics)
            counts = {"interactions": len(problem.data)}
            run.dataset("train", digest=problem.data.digest(), counts=counts, context="train")
            result["model_id"] = run.model(workspace.model_folder(out), name=model)
    if not json_:
        figures = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
        Console(markup=False, soft_wrap=True).print(
            f"Trained {model} on {problem.data!r} in {problem.history.seconds:.1f} s: {figures}\nKept in {out}"
        )
    return result
