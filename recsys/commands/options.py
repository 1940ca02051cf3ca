"""Options that several commands share, and what they are turned into."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from unlearn.command import named

if TYPE_CHECKING:
    from recsys.data import Split
    from recsys.problem import RecommenderProblem

SplitName = Literal["given", "ratio", "leave-last-out", "temporal-user", "temporal"]

Data = Annotated[Path | None, typer.Option(help="File or folder of interactions; without it, synthetic ones.")]
Format = Annotated[str | None, typer.Option(help="Format of the data, where content does not tell.")]
SplitBy = Annotated[
    str | None, typer.Option("--split", help="given, ratio, leave-last-out, temporal-user or temporal [by the data]")
]
Threshold = Annotated[float, typer.Option(help="Ratings of at least this become interactions.")]
Model = Annotated[str, typer.Option(help="lightgcn or mf.")]
ObjectiveName = Annotated[str, typer.Option("--objective", help="whole_data, multinomial, bpr or sampled_softmax.")]
Dim = Annotated[int, typer.Option(help="Width of the embeddings.")]
Layers = Annotated[int, typer.Option(help="Propagation layers of LightGCN.")]
L2 = Annotated[float | None, typer.Option(help="Weight of the L2 penalty [the objective's own].")]
Unobserved = Annotated[float | None, typer.Option("--a", help="Weight of unobserved pairs in whole_data.")]
Epochs = Annotated[int, typer.Option(help="Epochs of a stochastic objective.")]
Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Track = Annotated[Path | None, typer.Option(help="MLflow store: a SQLite file or a tracking URI.")]

DEFAULT_DIM, DEFAULT_LAYERS = 192, 3


def load_split(data: Path | None, format: str | None, split: str | None, threshold: float, seed: int) -> Split:
    """The data as train, validation and test.

    Raises:
        ValueError: the data cannot be read, or cannot be split that way.
    """
    from recsys.data import Interactions, Split, leave_last_out, ratio, read, synthetic, temporal, temporal_user

    by_name = {
        "ratio": lambda found: ratio(found, seed=seed),
        "leave-last-out": leave_last_out,
        "temporal-user": temporal_user,
        "temporal": temporal,
    }
    if split not in (None, "given", *by_name):
        raise ValueError(f"`split` must be given, {', '.join(by_name)} (got {split!r})")
    found = synthetic(seed=seed) if data is None else read(data, format=format, threshold=threshold, seed=seed)  # pyright: ignore[reportArgumentType]
    if isinstance(found, Split):
        if split not in (None, "given"):
            raise ValueError(f"`split` must be given for `{data}`, which brings its own (got {split!r})")
        return found
    assert isinstance(found, Interactions)
    if split == "given":
        raise ValueError(f"`split` given needs a folder with a train and a test file (got `{data}`); use --split ratio")
    return by_name[split or "ratio"](found)


def build_problem(
    split: Split,
    *,
    model: str,
    objective: str,
    dim: int,
    layers: int,
    l2: float | None,
    a: float | None,
    epochs: int,
    seed: int,
    progress: bool,
) -> RecommenderProblem:
    """An untrained problem on train and validation together.

    Raises:
        ValueError: there is no such model or objective; an argument is out of range, or is none of that objective's.
    """
    from recsys.models import build
    from recsys.objectives import objective as make
    from recsys.problem import RecommenderProblem
    from recsys.train import TrainingOptions

    arguments = {name: value for name, value in (("l2", l2), ("a", a)) if value is not None}
    if a is not None and objective != "whole_data":
        raise ValueError(f"`--a` belongs to whole_data (got --objective {objective})")
    data = split.refit()
    model_arguments = {"dim": dim} | ({"layers": layers} if model == "lightgcn" else {})
    return RecommenderProblem.build(
        data,
        model=named(build, model, data.n_users, data.n_items, **model_arguments),
        objective=named(make, objective, **arguments),
        options=TrainingOptions(seed=seed, epochs=epochs, progress=progress),
    )
