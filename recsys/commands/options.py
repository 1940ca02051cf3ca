"""Options that several commands share; `recsys.commands.build` turns them into data and models."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict, cast

import typer

if TYPE_CHECKING:
    from unlearn.tracking.mlflow import MlflowTracker

Seed = Annotated[int, typer.Option(help="Seed of everything random.")]
Track = Annotated[str | None, typer.Option(help="MLflow store: a SQLite file or a tracking URI.")]
Device = Annotated[str, typer.Option(help="Where to compute, as torch names it: cpu, cuda, cuda:1.")]
Format = Annotated[
    str | None,
    typer.Option(help="lightgcn, triples, recbole, movielens, csv or parquet (default: by content)."),
]
Column = Annotated[
    list[str] | None,
    typer.Option(
        help="PART=NAME, a column of an unusual name, as in user=buyer; parts are user, item, weight, rating and time; "
        "may be given more than once."
    ),
]
Threshold = Annotated[float, typer.Option(help="Ratings of at least this become interactions; others are left out.")]

OBJECTIVE, THRESHOLD = "whole_data", 4.0
AUTO = "auto"  # as `--dim`
WIDE = 150  # columns of a terminal from which intervals fit beside the figures


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What is trained, and on what: the options of every command that trains."""

    data: Annotated[Path | None, typer.Option(help="File or folder of interactions (default: synthetic).")] = None
    format: Format = None
    column: Column = None
    split: Annotated[
        str | None,
        typer.Option(
            help="given, ratio, leave-last-out, temporal-user or temporal (default: by the data); for train none, too: "
            "the model learns from everything, and nothing is tested."
        ),
    ] = None
    threshold: Threshold = THRESHOLD
    duplicates: Annotated[
        str,
        typer.Option(
            help="What becomes of a user and item that occur together more than once, as in a log of clicks: raise is "
            "an error; first, last and sum keep one interaction."
        ),
    ] = "raise"
    model: Annotated[
        str, typer.Option(help="Name of a model, or with arguments as in lightgcn:layers=2; see `unlearn models`.")
    ] = "lightgcn"
    objective: Annotated[
        str | None,
        typer.Option(
            help="What training minimises, by name or with arguments as in whole_data:a=0.1; see `unlearn models` "
            f"(default: {OBJECTIVE})."
        ),
    ] = None
    dim: Annotated[
        str | None,
        typer.Option(
            metavar="INTEGER|auto",
            help="Width of the embeddings (default: the model's own). auto: as many columns as the solution needs, "
            f"which short trainings find; linear models under {OBJECTIVE}.",
        ),
    ] = None
    layers: Annotated[int | None, typer.Option(help="Layers of a graph model (default: the model's own).")] = None
    l2: Annotated[float | None, typer.Option(help="Weight of the L2 penalty (default: the objective's own).")] = None
    a: Annotated[float | None, typer.Option(help="Weight of unobserved pairs (default: the objective's own).")] = None
    max_iterations: Annotated[
        int | None, typer.Option(help="Where training an objective that converges stops at last (default: 2000).")
    ] = None
    epochs: Annotated[int | None, typer.Option(help="Epochs of a stochastic objective (default: 100).")] = None
    batch_size: Annotated[
        int | None, typer.Option(help="Interactions in a batch of a stochastic objective (default: 2048).")
    ] = None
    lr: Annotated[float | None, typer.Option(help="Adam's rate for a stochastic objective (default: 0.001).")] = None
    keep: Annotated[
        str | None,
        typer.Option(
            help="Stochastic objectives: what training keeps for the methods that need it, checkpoints, optimizer or "
            "both with a comma (default: what the methods require, for train nothing)."
        ),
    ] = None
    device: Device = "cpu"

    def __post_init__(self) -> None:
        """Raises ValueError: listing every number that is none; such training would end at its start."""
        numbers = {"threshold": self.threshold, "l2": self.l2, "a": self.a, "lr": self.lr}
        wrong = [
            f"`--{name}` must be a finite number (got {value})"
            for name, value in numbers.items()
            if value is not None and not isfinite(value)
        ]
        if wrong:
            raise ValueError("\n".join(wrong))


class ColumnNames(TypedDict, total=False):
    """Which column plays which part, of those that were named."""

    user: str
    item: str
    weight: str
    rating: str
    time: str


def columns(given: list[str] | None) -> ColumnNames:
    """What `--column` said, by part, for `recsys.data.read`.

    Raises:
        ValueError: listing every text that names no part or no column, and every part that was named twice.
    """
    named = [(part, name) for part, _, name in (text.partition("=") for text in given or ())]
    parts = list(ColumnNames.__annotations__)
    wrong = [
        f"`--column` must be PART=NAME, where PART is {', '.join(parts)} (got {text!r})"
        for text, (part, name) in zip(given or (), named, strict=True)
        if part not in parts or not name
    ]
    twice = [part for part in parts if sum(part == one for one, _ in named) > 1]
    wrong += [f"`--column` must name one column for {part} (got two or more)" for part in twice]
    if wrong:
        raise ValueError("\n".join(wrong))
    return cast("ColumnNames", dict(named))


def opened(track: str | None) -> MlflowTracker | None:
    """The store that `--track` names, opened before the work that it is to hold.

    Raises:
        ValueError: it cannot be opened, or be written to.
    """
    if track is None:
        return None
    from unlearn.tracking.mlflow import MlflowTracker
    from unlearn.tracking.reach import StoreUnavailable

    try:
        return MlflowTracker(track)
    except StoreUnavailable as error:
        raise ValueError(f"`track` must be a store that can be used: {error}") from error


def left_out_message(left_out: int, threshold: float) -> str:
    """How many ratings the threshold left out, in words."""
    return f"{left_out} ratings below {threshold:g} left out (--threshold)"
