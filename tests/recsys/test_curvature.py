"""A recommender's Gauss-Newton matrix against the one made of the whole score matrix."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recsys.objectives import BPR, Multinomial, Objective, SampledSoftmax, WholeData
from recsys.problem import RecommenderProblem
from tests.tolerances import EXACT64
from tests.unlearn.toys import tiny_data
from unlearn.curvature import gauss_newton_operator, hessian_operator, row_blocks
from unlearn.params import flatten, unflatten

DTYPE = torch.float64


def recommender(model: str, objective: Objective) -> RecommenderProblem:
    return RecommenderProblem.build(tiny_data(15, 12, 60), model=model, objective=objective, dtype=DTYPE, dim=2)


@pytest.mark.parametrize("model", ["mf", "lightgcn"])
@pytest.mark.parametrize("objective", [WholeData(a=0.1, l2=1.0), Multinomial(l2=0.5), BPR(l2=0.1, negatives=3)])
def test_gauss_newton_is_that_of_all_scores(model: str, objective: Objective) -> None:
    """J^T L'' J, with J the Jacobian of the score matrix and the loss a function of that, by explicit matrices."""
    problem = recommender(model, objective)
    at, (n_users, n_items) = flatten(problem.params), (problem.graph.n_users, problem.graph.n_items)
    identity = torch.eye(n_items, dtype=DTYPE)

    def scores(vector: Tensor) -> Tensor:
        users, items = problem.embed(unflatten(vector, problem.params))
        return (users @ items.T).reshape(-1)

    def loss(flat: Tensor) -> Tensor:
        users = flat.view(n_users, n_items)  # embeddings whose dot products with the identity are these scores
        value = objective.record_losses(users, identity, problem.graph).sum()
        return value + objective.background(users, identity, problem.graph)

    jacobian = torch.autograd.functional.jacobian(scores, at)
    inner = torch.autograd.functional.hessian(loss, scores(at))
    expected = jacobian.T @ inner @ jacobian + 2.0 * objective.l2 * torch.eye(len(at), dtype=DTYPE)
    found = gauss_newton_operator(problem).matrix()
    torch.testing.assert_close(found, expected, **EXACT64)
    assert float(torch.linalg.eigvalsh(found)[0]) > 0.0
    assert float((found - hessian_operator(problem).matrix()).norm()) > 0.01 * float(found.norm())


def test_on_a_row_of_a_factorisation_it_is_the_hessian() -> None:
    """With the other side fixed scores are linear in a row, so the two matrices differ between rows alone."""
    problem = recommender("mf", WholeData(a=0.1, l2=0.5))
    operator = gauss_newton_operator(problem)
    ours, theirs = row_blocks(problem, operator=operator), row_blocks(problem)
    torch.testing.assert_close(ours.blocks["table"], theirs.blocks["table"], **EXACT64)
    assert not torch.allclose(operator.matrix(), hessian_operator(problem).matrix())
    graph = recommender("lightgcn", WholeData(a=0.1, l2=0.5))
    rows = {"table": torch.tensor([0, 20])}
    ours, theirs = row_blocks(graph, rows, operator=gauss_newton_operator(graph)), row_blocks(graph, rows)
    assert not torch.allclose(ours.blocks["table"], theirs.blocks["table"])


def test_an_objective_of_something_else_than_dot_products_is_refused() -> None:
    with pytest.raises(ValueError, match="through predictions and penalty alone"):
        gauss_newton_operator(recommender("mf", SampledSoftmax(negatives=4)))
