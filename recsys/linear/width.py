"""Whether a linear model is wide enough for its solution, without which there may be more than one."""

from __future__ import annotations

import torch
from torch import Tensor

from recsys.objectives.model_loss import ModelLoss, WholeDataLoss
from unlearn.params import Params

# Of the largest singular value: a column that the solution does without ends far below. And of 1, which the score of an
# interaction is to be: a smaller column is no more than a hundredth of a per cent of one.
_FILLED = 0.01


def too_narrow(loss: ModelLoss, params: Params) -> str | None:
    """What follows from a solution that fills all columns of a trained linear model, if it does.

    Then the model may be narrower than the solution's rank, and the objective is not convex in what the table can hold:
    of tables that are nearly as good some are far from each other, and little of the objective may be a long way.
    """
    if not isinstance(loss, WholeDataLoss):
        return None
    columns = params["table"].shape[1]
    gram = params["table"].T @ params["table"]
    if columns >= min(loss.graph.n_users, loss.graph.n_items) or not gram.isfinite().all():
        return None
    if filled(gram) < columns:
        return None
    return (
        f"the solution fills all {columns} columns of the table, as if it needed more: retrains may differ, and "
        f"`reconverge` ends farther from them than its accuracy says; train with more columns (`dim`; `--dim auto` "
        f"finds how many)"
    )


def filled(gram: Tensor) -> int:
    """How many of its columns a table of this Gram matrix [d, d] fills."""
    squares = torch.linalg.eigvalsh(gram.double())
    return int((squares >= _FILLED**2 * squares[-1].clamp_min(1.0)).sum())
