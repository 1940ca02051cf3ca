"""A recommender class that nobody registered works like those that are."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from recsys.data import Interactions
from recsys.graph import BipartiteGraph
from recsys.linear.growth import grow
from recsys.models import LightGCN, Recommender
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions


class Own(LightGCN):
    name = "own"


class Dropping(Own):
    def forward(self, graph: BipartiteGraph) -> Tensor:
        return nn.functional.dropout(super().forward(graph), training=self.training)


class Mixing(Recommender):
    name = "mixing"

    def __init__(self, n_users: int, n_items: int, *, dim: int = 2) -> None:
        super().__init__(n_users, n_items, dim=dim)
        self.mix = nn.Linear(dim, dim)

    def forward(self, graph: BipartiteGraph) -> Tensor:
        return self.mix(self.table)


def test_newcomers_are_folded_in_and_the_rank_grows(data: Interactions) -> None:
    options = TrainingOptions(tolerance=1e-9, max_iterations=1000)
    sizes = data.n_users, data.n_items
    own, ours = (
        RecommenderProblem.build(
            data, model=kind(*sizes, dim=1, layers=1), objective=WholeData(a=0.1, l2=0.1), options=options
        ).fit()
        for kind in (Own, LightGCN)
    )
    histories = data.csr()[:3]
    assert torch.equal(own.fold_in(histories), ours.fold_in(histories))
    wider = grow(own, own.optimality())
    assert isinstance(wider.model, Own) and wider.model.dim == 2


def test_what_it_drops_in_training_changes_no_objective(data: Interactions) -> None:
    problem = RecommenderProblem.build(data, model=Dropping(data.n_users, data.n_items))
    assert problem.objective(problem.params) == problem.objective(problem.params)


def test_a_parameter_that_would_never_be_trained_is_refused(data: Interactions) -> None:
    with pytest.raises(ValueError, match=r"Mixing.initial.*\(got none for mix.weight, mix.bias\)"):
        RecommenderProblem.build(data, model=Mixing(data.n_users, data.n_items))
