"""What is worth knowing about a linear model before any request: its row space, its scores, its curvature."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recsys.linear.landscape import curvature_inverses
from recsys.objectives.model_loss import ModelLoss, WholeDataLoss
from unlearn.params import Params

STEP = 8  # columns come in multiples of this: a width that fills no vector register costs a third more a product


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known about a model before any request; nothing in it tells who or what its rows stand for."""

    axes: Tensor  # [d, r], orthonormal, spanning the rows of the table but for rounding
    final: Tensor  # final embeddings in these coordinates [n_nodes, r]
    scores: Tensor  # [n_edges], of the interactions
    inverse_users: Tensor  # [r, r], the inverse curvature of a user's row
    inverse_items: Tensor
    root_users: Tensor  # a factor L of the inverse L L^T
    root_items: Tensor
    age: int = 0

    @classmethod
    def of(cls, axes: Tensor, final: Tensor, scores: Tensor, inverses: tuple[Tensor, Tensor]) -> Survey:
        of_users, of_items = inverses
        return cls(axes, final, scores, of_users, of_items, _root(of_users), _root(of_items))


def survey(loss: ModelLoss, params: Params) -> Survey | None:
    """Everything that does not depend on the request; None without a closed line search, or of what is no numbers."""
    if not isinstance(loss, WholeDataLoss) or not params["table"].isfinite().all():
        return None
    axes = _row_space(params["table"])
    with torch.no_grad():
        users, items = (side @ axes for side in loss.embed(params))
    inverses = curvature_inverses(users.T @ users, items.T @ items, loss.objective)
    return Survey.of(axes, torch.cat([users, items]), loss.graph.edge_products(users, items), inverses)


def _row_space(table: Tensor) -> Tensor:
    """Right singular vectors [d, r] of a table [n, d], all but those whose part in any score is lost in rounding."""
    squares, vectors = torch.linalg.eigh((table.T @ table).double())
    used = int((squares > torch.finfo(table.dtype).eps * squares[-1]).sum())
    r = min(-(-max(used, 1) // STEP) * STEP, len(squares))
    return vectors[:, -r:].to(table.dtype).contiguous()


def _root(matrix: Tensor) -> Tensor:
    """A factor L [r, r] of L L^T, which is that positive definite matrix but for rounding."""
    raised = matrix.double()
    raised.diagonal().add_(len(matrix) * torch.finfo(matrix.dtype).eps * float(raised.diagonal().max()))
    return torch.linalg.cholesky(raised).to(matrix.dtype)
