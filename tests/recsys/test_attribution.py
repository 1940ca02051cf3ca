"""Closed forms for dot products against automatic differentiation."""

from __future__ import annotations

import pytest
import torch

from recsys.attribution import pair_scores, projected_gradients, tracin
from recsys.data import Interactions
from recsys.objectives import BPR, Multinomial, Objective, WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.tolerances import EXACT64
from unlearn.attribution import TracIn, traced

PAIRS = torch.tensor([[0, 3], [5, 1], [2, 2]])
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


@pytest.mark.parametrize("model", ["mf", "lightgcn"])
@pytest.mark.parametrize("objective", sorted(OBJECTIVES))
def test_tracin_in_closed_form_is_the_product_of_gradients(data: Interactions, objective: str, model: str) -> None:
    problem = built(data, model, OBJECTIVES[objective])
    leaf = problem.params["table"].clone().requires_grad_()
    values = pair_scores(PAIRS)(problem, {"table": leaf})
    asked = torch.stack([torch.autograd.grad(v, leaf, retain_graph=True)[0].reshape(-1) for v in values])
    expected = -gradients(problem) @ asked.T
    torch.testing.assert_close(tracin(problem, PAIRS), expected, **EXACT64)
    other = {"table": -2.0 * problem.params["table"]}
    points = [(0.5, problem.params), (3.0, other)]
    moved = tracin(problem.with_params(other), PAIRS)
    torch.testing.assert_close(tracin(problem, PAIRS, points), 0.5 * expected + 3.0 * moved, **EXACT64)
    if model == "mf" and objective == "whole_data":  # nobody else's interactions meet the pair
        near = (problem.graph.rows == 0) | (problem.graph.cols == 3)
        assert bool((expected[:, 0].ne(0) == near).all())


def test_tracin_in_closed_form_over_checkpoints_is_tracin(data: Interactions) -> None:
    """Without messages there is nothing that holding the graph fixed could change."""
    options = TrainingOptions(seed=1, epochs=6, lr=0.05, keep=frozenset({"checkpoints"}), checkpoint_every=2)
    problem = built(data, "mf", OBJECTIVES["bpr"]).with_options(options).fit()
    points = traced(problem.history.checkpoints)
    assert len(points) == 3 and points[0][0] > 0
    by_derivatives = TracIn().fit(problem).scores(pair_scores(PAIRS)).values
    torch.testing.assert_close(tracin(problem, PAIRS, points), by_derivatives, **EXACT64)


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
    with pytest.raises(ValueError, match="whole_data or bpr"):
        tracin(built(data, "mf", Multinomial()), PAIRS)
    with pytest.raises(ValueError, match="linear"):
        tracin(built(data, "ngcf", WholeData()), PAIRS)
    with pytest.raises(ValueError, match="mf"):
        projected_gradients(built(data, "lightgcn", WholeData()), Identity(1))
