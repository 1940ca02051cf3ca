"""Which settings of LightGCN do best on validation, for the objectives that converge.

Every cell of the grid (objective, a, l2, layers, dim) is trained on the same draws of the training part and evaluated
on what each draw leaves out; the test part is not touched. The rank of a solution is the number of singular values of
its table above 1e-2 of the largest: on LastFM they fall from a tenth to a thousandth within eight columns of 150, so
any line drawn in between counts nearly the same. A local minimum whose rank is below its width is a global one (Burer
and Monteiro, 2005) and what a wider table has too; at full rank the width has cut it off, and it depends on the start.

At the end the best of every objective, width and kind (rank below the width or not), with its distance from the best
of all on the same draws. `--test` then fits those to train and validation and tests them; nothing is chosen by it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any

import numpy as np
import torch
from common import above_zero, add_dataset, arguments, around, at_least, average, finish, kept, load, report, say
from torch import Tensor
from tqdm import tqdm

from recsys.data import Interactions, Split, given
from recsys.evaluate import evaluate
from recsys.objectives import objective
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions

VALIDATION = 0.1  # share of each user's training interactions that a draw leaves out
RANK = 1e-2
GRID: dict[str, tuple[Any, ...]] = {
    "objective": ("whole_data", "multinomial"),
    "a": (0.03, 0.05, 0.1),
    "l2": (0.3, 0.6, 1.0, 2.0),
    "layers": (2, 3),
    "dim": (64, 192),
}
QUICK: dict[str, tuple[Any, ...]] = GRID | {"a": (0.1,), "l2": (0.3, 1.0), "layers": (3,), "dim": (4, 48)}
METRICS = ("recall_at_20", "ndcg_at_20")


@dataclass(frozen=True)
class Cell:
    """One point of the grid; `a` belongs to `whole_data` alone."""

    objective: str
    a: float | None
    l2: float
    layers: int
    dim: int

    def __str__(self) -> str:
        a = "     -" if self.a is None else f"{self.a:6g}"
        return f"{self.objective:11} a{a}  l2 {self.l2:<5g} layers {self.layers}  dim {self.dim:<4}"


@dataclass(frozen=True)
class Trained:
    """A solution's figures on held-out interactions, and what it took."""

    recall_at_20: float
    ndcg_at_20: float
    seconds: float
    iterations: int
    relative_residual: float  # gradient norm over that of the penalty alone
    rank: int


def main() -> None:
    options = arguments(__doc__, own=flags)
    split = load(options, options.dataset, options.split)
    settings = {
        "dataset": options.dataset,
        "draws": options.draws,
        "validation": VALIDATION,
        "rank": RANK,
        "max_iterations": options.max_iterations,
    }
    result = report(options, "tune", split, settings)
    result["cells"] = kept(options, result, "cells") if options.resume else []
    cells = list(dict.fromkeys(grid(options)))
    search(options, result, cells, split.refit())
    here = [row for row in result["cells"] if cell_of(row) in cells]
    result["best"] = winners(here)
    finish(options, result)
    if options.test:
        result["test"] = test(options, split, [cell_of(row) for row in result["best"]])
        finish(options, result)


def flags(parser: argparse.ArgumentParser) -> None:
    add_dataset(parser)
    kinds = {"objective": str, "a": above_zero(1.0), "l2": above_zero(), "layers": at_least(0), "dim": at_least(1)}
    for name, values in GRID.items():
        told = f"values to try [{' '.join(map(str, values))}]"
        choices = values if name == "objective" else None
        parser.add_argument(f"--{name}", nargs="+", type=kinds[name], choices=choices, metavar=name.upper(), help=told)
    most = "where training stops at last, for data on which converging takes hours [2000]"
    parser.add_argument("--max-iterations", type=at_least(1), default=2000, help=most)
    parser.add_argument("--draws", type=at_least(2), default=3, help="random validation parts of the training data [3]")
    parser.add_argument("--resume", action="store_true", help="keep the cells that the file of --json already has")
    parser.add_argument("--test", action="store_true", help="fit the best to train and validation, and test them")
    parser.add_argument("--seeds", type=at_least(1), default=3, help="of those fits [3]")


def grid(options: argparse.Namespace) -> Iterator[Cell]:
    defaults = QUICK if options.quick else GRID
    tried = {name: getattr(options, name) or values for name, values in defaults.items()}
    for name in tried["objective"]:
        weights = tried["a"] if name == "whole_data" else (None,)
        for a, l2, layers, dim in product(weights, tried["l2"], tried["layers"], tried["dim"]):
            yield Cell(name, a, l2, layers, dim)


def cell_of(row: dict[str, Any]) -> Cell:
    return Cell(**{name: row[name] for name in GRID})


# ---- validation ------------------------------------------------------------------------------------------------------


def search(options: argparse.Namespace, result: dict[str, Any], cells: list[Cell], training: Interactions) -> None:
    """Measure the cells that `result` lacks; it is written after each."""
    done = {cell_of(row) for row in result["cells"]}
    if done:
        say(f"{len(done.intersection(cells))} of {len(cells)} cells are there already")
    draws = [validation_draw(training, number) for number in range(options.draws)]
    problem(cells[0], draws[0].train, 0, max_iterations=3).fit()  # what only the first call costs
    for cell in tqdm(cells, desc="cells", disable=None, leave=False):
        if cell not in done:
            most = options.max_iterations
            row = summary(cell, [train(cell, part.train, part.validation, n, most) for n, part in enumerate(draws)])
            say(described(row))
            result["cells"].append(row)
            finish(options, result)


def validation_draw(training: Interactions, number: int) -> Split:
    """The training data, some of it held out for validation; there is no test to look at."""
    return given(training, training.take(np.zeros(0, dtype=np.int64)), validation=VALIDATION, seed=number)


def problem(cell: Cell, data: Interactions, seed: int, **options: Any) -> RecommenderProblem:
    weight = {} if cell.a is None else {"a": cell.a}
    return RecommenderProblem.build(
        data,
        objective=objective(cell.objective, l2=cell.l2, **weight),
        options=TrainingOptions(seed=seed, **options),
        dim=cell.dim,
        layers=cell.layers,
    )


def train(cell: Cell, data: Interactions, held_out: Interactions, seed: int, most: int) -> Trained:
    iterations = 0

    def count(iteration: int, *_: object) -> None:
        nonlocal iterations
        iterations = iteration

    fitted = problem(cell, data, seed, max_iterations=most).fit(monitor=count)
    table, history = fitted.params["table"], fitted.history
    assert history.seconds is not None and history.residual is not None
    penalty = 2.0 * cell.l2 * float(table.norm())  # 0 where L2 lets nothing through: a solution, its residual 0 too
    metrics = evaluate(*fitted.readout(), train=data, test=held_out).summary()
    return Trained(
        **{name: metrics[name] for name in METRICS},
        seconds=history.seconds,
        iterations=iterations,
        relative_residual=history.residual / (penalty or 1.0),
        rank=rank(table),
    )


def rank(table: Tensor) -> int:
    """Number of singular values of the table [n, d] above `RANK` of the largest."""
    wide = table.double()
    values = torch.linalg.eigvalsh(wide.T @ wide)  # squares of the singular values, ascending
    return int((values > RANK**2 * values[-1]).sum())


def summary(cell: Cell, runs: list[Trained]) -> dict[str, Any]:
    columns = {name: [getattr(run, name) for run in runs] for name in asdict(runs[0])}
    figures = {name: average(values) for name, values in columns.items()}
    return asdict(cell) | figures | {"rank_below_width": max(columns["rank"]) < cell.dim}


def described(row: dict[str, Any]) -> str:
    ranks = row["rank"]["values"]
    below = "below" if row["rank_below_width"] else "at"
    return (
        f"{cell_of(row)}  recall {around(row['recall_at_20'])}  ndcg {around(row['ndcg_at_20'])}  "
        f"{row['seconds']['mean']:6.1f} s  rank {min(ranks)} to {max(ranks)}, {below} the width"
    )


# ---- choice ----------------------------------------------------------------------------------------------------------


def winners(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The best by mean validation NDCG@20 of every objective, width and kind, best of all first."""
    ordered = sorted(rows, key=lambda row: row["ndcg_at_20"]["mean"], reverse=True)
    first: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in ordered:
        first.setdefault((row["objective"], row["dim"], row["rank_below_width"]), row)
    best = ordered[0]["ndcg_at_20"]["values"]
    chosen: list[dict[str, Any]] = []
    say("best on validation of every objective, width and kind; `behind`: NDCG@20 of the first less its own, by draw")
    for row in first.values():
        behind = average(top - own for top, own in zip(best, row["ndcg_at_20"]["values"], strict=True))
        chosen.append(row | {"behind": behind})
        say(f"{described(row)}  behind {around(behind)}")
    return chosen


def test(options: argparse.Namespace, split: Split, cells: list[Cell]) -> list[dict[str, Any]]:
    """Figures on the test part, fitted to train and validation."""
    data = split.refit()
    rows: list[dict[str, Any]] = []
    say(f"test, fitted to train and validation, {options.seeds} seeds")
    for cell in tqdm(cells, desc="test", disable=None, leave=False):
        runs = [train(cell, data, split.test, seed, options.max_iterations) for seed in range(options.seeds)]
        rows.append(summary(cell, runs))
        say(described(rows[-1]))
    return rows


if __name__ == "__main__":
    main()
