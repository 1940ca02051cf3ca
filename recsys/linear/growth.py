"""Columns for a table that has too few: as many as short trainings ask for, or one that a certificate found."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor
from tqdm import tqdm

from recsys.linear.optimality import Certificate
from recsys.linear.width import filled
from recsys.models.base import Recommender
from recsys.objectives.model_loss import WholeDataLoss
from recsys.problem import RecommenderProblem
from recsys.train import quiet
from unlearn.history import History
from unlearn.params import flatten, unflatten
from unlearn.problem import Bound
from unlearn.solvers.lbfgs import lbfgs
from unlearn.solvers.room import require_room

# Columns start full, and those that the solution does without fall, so that they are counted from above: 1.02 to 1.35
# times as many as in the end on LastFM, MovieLens 100K and generated data.
_ROUGH = 30  # iterations
_FULL = 0.9  # of all columns: too many to tell
_STEP = 8  # columns come in multiples of this, and as many are to spare


def fit_width(problem: RecommenderProblem) -> RecommenderProblem:
    """The same problem, untrained, in as many columns as its solution has a rank for, and some to spare.

    With fewer the model may have more than one solution (`recsys.linear.width`), with more it trains as well and
    slower. Short trainings find how many, the first in the columns that the problem has, each of the next in twice as
    many, until some stay empty; or in as many as there are users or items, where that is less, for no solution has a
    higher rank. They do without training hooks, if there are any. `caveat` of the trained model still says whether that
    is enough.

    Raises:
        ValueError: the model is not linear, trained by another objective than `whole_data`, or in so many columns too
            large for the memory that there is.
    """
    if not isinstance(problem.loss, WholeDataLoss):
        raise ValueError(
            "the width that a solution needs is known for linear models (mf, lightgcn) under `whole_data` only "
            f"(got {problem.model.name} under {problem.objective_function.name})"
        )
    most = min(problem.graph.n_users, problem.graph.n_items)
    columns = min(problem.model.dim, most)
    while True:
        table = _roughly_trained(_in_columns(problem, columns))
        counted = filled(table.T @ table)
        if counted <= _FULL * columns or columns == most:
            return _in_columns(problem, min(-(-counted // _STEP) * _STEP + _STEP, most))
        columns = min(2 * columns, most)


def _in_columns(problem: RecommenderProblem, columns: int) -> RecommenderProblem:
    """The same problem, untrained, in so many columns."""
    model, options = _of_width(problem, columns), problem.options
    params = replace(problem.loss, model=model).initial(options.seed, std=options.init_std)
    return replace(problem, model=model, params=params, history=_unsettled(problem))


def _roughly_trained(problem: RecommenderProblem) -> Tensor:
    """The table after a few iterations."""
    start, options = flatten(problem.params), problem.options
    remedy = "give a number of columns (`dim`), or a stronger penalty (`l2`), which needs fewer"
    require_room(start, memory=options.memory, max_iterations=_ROUGH, remedy=remedy)
    with tqdm(total=_ROUGH, desc=f"{problem.model.dim} columns", disable=quiet(options), leave=False) as bar:

        def watch(*_: float) -> None:
            bar.update()

        end = lbfgs(problem.landscape(), start, max_iterations=_ROUGH, memory=options.memory, callback=watch)
    return unflatten(end.x, problem.params)["table"]


def grow(problem: RecommenderProblem, certificate: Bound) -> RecommenderProblem:
    """The same problem with one more column, where the certificate found F to fall: sqrt(s) times `certificate.ascent`.

    F(W + s v v^T) = F(W) + s <v, Q v> + s^2/2 |X|_H^2, with X the scores of the column v alone and H the diagonal
    Hessian of f: s is the exact minimiser. Trained on from there, with the hooks that it had, the table leaves the
    saddle that held it.

    Raises:
        ValueError: the certificate has no such direction, or the model is not linear.
    """
    if certificate.ascent is None:
        raise ValueError(
            f"`certificate` must hold a direction of negative curvature for `grow` (got curvature "
            f"{certificate.curvature:.3g} and none): the rank suffices, train on to tighten the bound"
        )
    point = Certificate.at(problem.loss, problem.params, scaled=False)
    direction = certificate.ascent.to(device=point.device, dtype=torch.float64)
    step = point.best_step(direction)
    table = problem.params["table"]
    column = (math.sqrt(step) * direction).to(table.dtype)[:, None]
    return replace(
        problem,
        model=_of_width(problem, table.shape[1] + 1),
        params={"table": torch.cat([table, column], dim=1)},
        history=_unsettled(problem),
    )


def _of_width(problem: RecommenderProblem, columns: int) -> Recommender:
    model = problem.model
    wider = type(model)(model.n_users, model.n_items, **{**model.arguments(), "dim": columns})
    return wider.to(problem.graph.values.device).eval()


def _unsettled(problem: RecommenderProblem) -> History:
    """What training kept, but for where it stopped."""
    return replace(problem.history, residual=None, seconds=None)
