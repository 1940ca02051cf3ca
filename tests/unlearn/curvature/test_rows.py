"""Row blocks against the explicit Hessian, and what they cost."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from recsys.objectives import BPR, WholeData
from recsys.problem import RecommenderProblem
from tests.tolerances import CONVERGED64, EXACT64
from tests.unlearn.toys import classifier, tiny_data
from unlearn.curvature import hessian_operator, row_blocks
from unlearn.hooks import AttachedProblem, attach
from unlearn.params import flatten, unflatten
from unlearn.solvers.cg import cg

DTYPE = torch.float64
DIM = 3


def recommender(model: str, objective: WholeData | BPR, *, l2: float = 0.5) -> RecommenderProblem:
    return RecommenderProblem.build(tiny_data(20, 14, 90), model=model, objective=objective, dtype=DTYPE, dim=DIM)


def explicit_blocks(problem: RecommenderProblem | AttachedProblem, name: str) -> Tensor:
    matrix = hessian_operator(problem).matrix()
    index = unflatten(torch.arange(len(matrix)), problem.params)[name]
    index = index.reshape(len(index), -1)
    return torch.stack([matrix[rows][:, rows] for rows in index])


class FixedItems(nn.Module):
    """Users' rows against items that do not move: every row is a regression of its own."""

    def __init__(self, n_users: int, items: Tensor) -> None:
        super().__init__()
        self.users = nn.Parameter(torch.zeros(n_users, items.shape[1], dtype=items.dtype))
        self.register_buffer("items", items)

    def forward(self, users: Tensor, items: Tensor) -> Tensor:
        return (self.users[users] * self.get_buffer("items")[items]).sum(1)


def half_step(n_users: int = 12, n_items: int = 9, n: int = 80) -> AttachedProblem:
    generator = torch.Generator().manual_seed(0)
    users, items = (torch.randint(0, high, (n,), generator=generator) for high in (n_users, n_items))
    ratings = torch.randn(n, dtype=DTYPE, generator=generator)
    module = FixedItems(n_users, torch.randn(n_items, DIM, dtype=DTYPE, generator=generator))

    def losses(inner: nn.Module, data: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return 0.5 * (inner(data[0], data[1]) - data[2]).square()

    return attach(module, losses, (users, items, ratings), penalty=0.1)


def test_where_rows_do_not_meet_the_blocks_solve_the_problem() -> None:
    """An ALS half-step: one block solve is the optimum, as CG and the explicit solution say as well."""
    problem = half_step()
    found = row_blocks(problem)
    assert found.products <= DIM + 3
    gradient = flatten(problem.value_and_gradient(problem.params)[1])
    explicit = torch.linalg.solve(hessian_operator(problem).matrix(), gradient)
    by_rows, by_cg = found.inverse()(gradient), cg(hessian_operator(problem), gradient, tolerance=1e-10).x
    torch.testing.assert_close(by_rows, explicit, **CONVERGED64)
    assert float((by_rows - by_cg).norm() / by_cg.norm()) < 1e-6
    solved = problem.with_params(unflatten(flatten(problem.params) - by_rows, problem.params))
    assert solved.residual() < 1e-10


@pytest.mark.parametrize(
    ("model", "objective", "most"),
    [
        ("mf", WholeData(a=0.1, l2=0.5), 2 * DIM + 6),
        ("mf", BPR(l2=0.5), None),  # two items meet in a record: more groups, found the same way
        ("lightgcn", WholeData(a=0.1, l2=0.5), None),
    ],
)
def test_blocks_are_those_of_the_hessian(model: str, objective: WholeData | BPR, most: int | None) -> None:
    problem = recommender(model, objective)
    found = row_blocks(problem)
    torch.testing.assert_close(found.blocks["table"], explicit_blocks(problem, "table"), **EXACT64)
    assert found.products <= (most or (DIM + 4) * len(problem.params["table"]))


def test_factorisation_blocks_have_their_closed_form() -> None:
    """Of a user: 2 sum over items of w i i^T + 2 l2 I with w = 1 where observed and a elsewhere."""
    problem = recommender("mf", WholeData(a=0.1, l2=0.5))
    graph, table = problem.graph, problem.params["table"]
    weights = torch.full((graph.n_users, graph.n_items), 0.1, dtype=DTYPE)
    weights[graph.rows, graph.cols] = 1.0
    items = table[graph.n_users :]
    expected = 2.0 * torch.einsum("ui,id,ie->ude", weights, items, items) + torch.eye(DIM, dtype=DTYPE)
    found = row_blocks(problem, {"table": torch.arange(graph.n_users)})
    torch.testing.assert_close(found.blocks["table"], expected, **EXACT64)
    assert found.products <= DIM + 4


def test_only_the_rows_that_were_asked_for() -> None:
    problem = recommender("lightgcn", WholeData(a=0.1, l2=0.5))
    rows = torch.tensor([25, 3, 11])
    found = row_blocks(problem, {"table": rows})
    torch.testing.assert_close(found.blocks["table"], explicit_blocks(problem, "table")[rows], **EXACT64)
    assert found.products <= 3 * (DIM + 3)
    vector = torch.ones(problem.params["table"].numel(), dtype=DTYPE)
    out = found.inverse(0.2)(vector).view(-1, DIM)
    assert set(out.ne(0).any(1).nonzero().flatten().tolist()) == {3, 11, 25}
    matrix = found.blocks["table"] + 0.2 * torch.eye(DIM, dtype=DTYPE)
    torch.testing.assert_close(out[rows], torch.linalg.solve(matrix, torch.ones(3, DIM, dtype=DTYPE)), **CONVERGED64)


def test_a_network_has_a_block_for_each_neuron_and_bias() -> None:
    problem = classifier(n=40, d=4, hidden=3, dtype=DTYPE, epochs=2).fit()
    found = row_blocks(problem)
    assert found.blocks["hidden.weight"].shape == (3, 4, 4)
    assert found.blocks["out.bias"].shape == (10, 1, 1)
    for name, blocks in found.blocks.items():
        torch.testing.assert_close(blocks, explicit_blocks(problem, name), **EXACT64)


def test_blocks_speed_up_conjugate_gradients_where_activity_is_skewed() -> None:
    problem = half_step(n=60)
    generator = torch.Generator().manual_seed(1)
    data = problem.payload
    often = torch.zeros(4000, dtype=torch.int64)  # one user has rated far more than all the others together
    items = torch.randint(0, 9, (4000,), generator=generator)
    extended = (torch.cat([data[0], often]), torch.cat([data[1], items]), torch.cat([data[2], items.to(DTYPE)]))
    skewed = attach(problem.functional.call.module, problem.functional.losses, extended, penalty=0.1)
    skewed = skewed.with_params({name: torch.zeros_like(value) for name, value in problem.params.items()})
    operator = hessian_operator(skewed)
    b = torch.randn(operator.size, dtype=DTYPE, generator=generator)
    plain = cg(operator, b, tolerance=1e-8)
    helped = cg(operator, b, tolerance=1e-8, preconditioner=row_blocks(skewed).inverse())
    assert plain.converged and helped.converged
    assert helped.iterations == 1
    assert plain.iterations > 10


def test_blocks_that_are_not_definite_are_counted() -> None:
    problem = recommender("mf", WholeData(a=0.1, l2=0.0))
    empty = problem.with_params({"table": torch.zeros_like(problem.params["table"])})
    found = row_blocks(empty)
    with pytest.raises(ValueError, match=r"34 of 34 blocks of `table`.*raise `damping`"):
        found.inverse()
    vector = torch.ones(34 * DIM, dtype=DTYPE)
    damping = torch.arange(1, 34 * DIM + 1, dtype=DTYPE)
    torch.testing.assert_close(found.inverse(damping)(vector), vector / damping, **EXACT64)
