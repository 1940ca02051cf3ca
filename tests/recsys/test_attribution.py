"""Closed forms for dot products against automatic differentiation."""

from __future__ import annotations

import pytest
import torch

from recsys.attribution import projected_gradients
from recsys.data import Interactions
from recsys.objectives import BPR, Multinomial, Objective, WholeData
from recsys.problem import RecommenderProblem
from tests.tolerances import EXACT64

OBJECTIVES = {"whole_data": WholeData(a=0.2, l2=0.1), "bpr": BPR(l2=0.1, negatives=3)}


def built(data: Interactions, model: str, objective: Objective) -> RecommenderProblem:
    return RecommenderProblem.build(data, model=model, objective=objective, dtype=torch.float64, dim=5)


def gradients(problem: RecommenderProblem) -> torch.Tensor:
    leaf = problem.params["table"].clone().requires_grad_()
    return torch.stack(
        [
            torch.autograd.grad(loss, leaf, retain_graph=True)[0].reshape(-1)
            for loss in problem.record_losses({"table": leaf})
        ]
    )


class Identity:
    """A projection that loses nothing."""

    def __init__(self, size: int) -> None:
        self.size = size

    def sparse(self, positions: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
        return values.new_zeros(len(values), self.size).scatter_add_(1, positions, values)


@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_sparse_gradients_are_the_gradients(data: Interactions, objective: str) -> None:
    problem = built(data, "mf", OBJECTIVES[objective])
    records = torch.tensor([7, 0, 3])
    found = projected_gradients(problem, Identity(problem.params["table"].numel()))(records)
    torch.testing.assert_close(found, -gradients(problem)[records], **EXACT64)


def test_what_has_no_closed_form_is_refused(data: Interactions) -> None:
    with pytest.raises(ValueError, match="whole_data or bpr"):
        projected_gradients(built(data, "mf", Multinomial()), Identity(1))
    with pytest.raises(ValueError, match="mf"):
        projected_gradients(built(data, "lightgcn", WholeData()), Identity(1))
