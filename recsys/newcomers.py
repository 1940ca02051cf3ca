"""Answering users that a model never saw, from their interactions: one row each, the item table as it is."""

from __future__ import annotations

import torch
from torch import Tensor

from recsys.data.interactions import Interactions
from recsys.fitted import FittedRecommender
from recsys.foldin import neighbourhood
from recsys.graph import BipartiteGraph
from recsys.models.base import LinearRecommender
from recsys.problem import RecommenderProblem
from recsys.recommend import BaseRanker, Ranker, ScoreRanker
from unlearn.solvers.landscape import FunctionLandscape
from unlearn.solvers.lbfgs import lbfgs

_ACCURACY = 1e-6  # of the gradient, against that at the start


def newcomers(model: FittedRecommender, data: Interactions) -> BaseRanker:
    """Serves the users of `data`, which has the model's items, as `fold_in` has them, or by `solved` where that is."""
    popularity, histories = torch.from_numpy(model.data.degrees()[1]), data.csr()
    if isinstance(model, RecommenderProblem) and isinstance(model.model, LinearRecommender) and not model.stochastic:
        return Ranker(solved(model, data), model.readout()[1], data.users, data.items, popularity)
    return ScoreRanker(lambda rows: model.fold_in(histories[rows]), data.users, data.items, popularity)


def solved(problem: RecommenderProblem, data: Interactions) -> Tensor:
    """Final embeddings [q, d] at which the users' own loss is least, whatever else the model knows held fixed.

        z_u = c_0 e_u + b_u,        e_u = argmin f_u(z_u) + l2 |e_u|^2

    f_u: the part of the objective that is about the user's scores of the items Z_I, which stay, as does what it counts
    in the model's data (propensities). b_u: what the user's neighbours say by propagation, where the user's own row is
    zero. c_0: the weight of layer 0. In `mf`, b is zero, c_0 is one, and the row is the one that training the whole
    with all other rows fixed would give: under `whole_data`, the half-step of alternating least squares. In a model
    with a graph the items' embeddings would move with the user joining, a little; that is left to the next training.
    """
    model, objective = problem.model, problem.objective_function.counted(problem.graph)
    assert isinstance(model, LinearRecommender)
    items = problem.readout()[1].double()
    around = neighbourhood(problem.loss, problem.params, problem.data, data.csr()).double()
    own = model.polynomial()[0]
    graph = BipartiteGraph.from_interactions(data, dtype=torch.float64, device=items.device)

    def loss(flat: Tensor) -> tuple[float, Tensor]:
        rows = flat.view_as(around)
        value, gradient, _ = objective.value_and_gradient(own * rows + around, items, graph)
        return value + objective.l2 * float(rows.square().sum()), (own * gradient + 2 * objective.l2 * rows).flatten()

    start = torch.zeros_like(around).flatten()
    tolerance = _ACCURACY * float(loss(start)[1].norm())
    found = lbfgs(FunctionLandscape(loss), start, tolerance=tolerance)
    return (own * found.x.view_as(around) + around).to(problem.graph.values)
