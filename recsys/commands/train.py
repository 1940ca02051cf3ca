"""unlearn train"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from recsys.commands.options import Seed, Setup, Track, left_out_message, opened
from unlearn.command import Json, Unfinished, command, terminal


@command
def train(
    *,
    out: Annotated[Path, typer.Option(help="Folder for the model and its training snapshot.")],
    setup: Setup,
    seed: Seed = 0,
    track: Track = None,
    json_: Json = False,
) -> Mapping[str, Any]:
    """Train a recommender, test it, and keep it with the data it was trained on.

    What the test holds out is in neither: give `--split none` for a model that is to serve.
    """
    from recsys import workspace
    from recsys.answers import Answers
    from recsys.commands.build import build_model, described, load_split
    from recsys.commands.tracked import NotKept, keep
    from recsys.evaluate import evaluate_scores
    from unlearn.devices import elapsed

    workspace.at(out).check()
    left_out: list[int] = []
    parts = load_split(setup, seed, left_out=left_out.append)
    untrained = build_model(setup, parts.refit(), seed=seed, progress=not json_)
    tracker = opened(track)
    console, below = terminal(soft_wrap=True, quiet=json_), sum(left_out)
    if below:
        console.print(left_out_message(below, setup.threshold))
    started = time.perf_counter()
    problem = untrained.fit()
    seconds = elapsed(started)
    answers, held_out = Answers.of(problem), len(parts.test)
    metrics: dict[str, float] = {}
    if setup.split != "none":
        metrics = evaluate_scores(answers.scores, train=problem.data, test=parts.test, ks=(10, 20)).summary()
    workspace.save(problem, out)
    what = described(problem)
    result = {
        "out": str(out),
        "model": what["model"],
        "model_arguments": what["model_arguments"],
        "users": int(problem.data.users.alive.sum()),
        "items": int(problem.data.items.alive.sum()),
        "interactions": len(problem.data),
        "held_out": held_out,
        "ratings_left_out": below,
        "seconds": seconds,
        "residual": problem.history.residual,
        "caveat": problem.caveat,
        "metrics": metrics,
    }
    figures = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
    tested = f"On {held_out} interactions held out: {figures}\n" if metrics else ""
    given = ", ".join(f"{name} {value}" for name, value in what["model_arguments"].items())
    console.print(f"Trained {what['model']} ({given}) on {problem.data!r} in {seconds:.1f} s\n{tested}Kept in {out}")
    if result["caveat"] is not None:
        console.print(f"Note: {result['caveat']}")
    if tracker is not None:
        name = "synthetic" if setup.data is None else setup.data.name
        params = {"data": name, "split": setup.split or "by the data", "device": setup.device, "seed": seed}
        figures = metrics | {"seconds": seconds, "residual": problem.history.residual}
        try:
            if (kept := keep(tracker, "train", problem, out, params=params, metrics=figures)) is not None:
                result["model_id"] = kept
        except NotKept as error:
            raise Unfinished(str(error), result) from error
    return result
