"""Columns for a table that a certificate shows to have too few."""

from __future__ import annotations

import math
from dataclasses import replace

import torch

from recsys.optimality import Certificate
from recsys.problem import RecommenderProblem
from unlearn.problem import Bound


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
    model = problem.model
    wider = type(model)(model.n_users, model.n_items, **{**model.arguments(), "dim": table.shape[1] + 1})
    return replace(
        problem,
        model=wider.to(table.device).eval(),
        params={"table": torch.cat([table, column], dim=1)},
        history=replace(problem.history, residual=None, seconds=None),
    )
