"""Matrix factorisation: flat rotations, negative curvature beside the solution, and what keeps a step safe there."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import nn

from recsys.models import LightGCN
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.tolerances import CONVERGED64
from tests.unlearn.toys import classifier, ridge, tiny_data
from unlearn.curvature import gauge_projection, hessian_operator
from unlearn.forget import ForgetSet
from unlearn.hooks import attach
from unlearn.params import flatten, unflatten
from unlearn.solvers.cg import cg
from unlearn.solvers.trust_region import ModelStep, decrease_ratio, levenberg_marquardt_step, trust_region_step

DTYPE = torch.float64
DIM = 4
FLAT = DIM * (DIM - 1) // 2


@functools.cache
def fitted() -> RecommenderProblem:
    """Narrower than the rank of the solution, so that rotations are the only flat directions."""
    options = TrainingOptions(seed=1, tolerance=1e-11, max_iterations=2000)
    data = tiny_data(24, 18, 150)
    objective = WholeData(a=0.1, l2=0.3)
    return RecommenderProblem.build(data, model="mf", objective=objective, options=options, dtype=DTYPE, dim=DIM).fit()


def without(k: int) -> RecommenderProblem:
    """The same parameters without the k-th interaction."""
    data = fitted().data
    pair = (data.users.ids[data.user_rows()[k]], data.items.ids[data.item_rows()[k]])
    return fitted().without(ForgetSet(interactions=(pair,)))


def test_at_the_solution_rotations_and_nothing_else_are_flat() -> None:
    problem = fitted()
    matrix = hessian_operator(problem).matrix()
    values, vectors = torch.linalg.eigh(matrix)
    assert int((values.abs() < 1e-6).sum()) == FLAT
    assert float(values[FLAT]) > 0.01
    project = gauge_projection(problem)
    assert project is not None
    for flat in vectors[:, :FLAT].T:
        assert float(project(flat).norm()) < 1e-5
    for curved in vectors[:, FLAT:].T:
        torch.testing.assert_close(project(curved), curved, rtol=0.0, atol=1e-5)


def test_at_other_parameters_the_rotations_are_those_of_their_embeddings() -> None:
    problem = fitted()
    moved = {"table": problem.params["table"].flip(0) + 0.1}
    project = gauge_projection(problem, moved)
    assert project is not None
    antisymmetric = torch.triu(torch.ones(DIM, DIM, dtype=DTYPE), 1)
    antisymmetric = antisymmetric - antisymmetric.T
    turned = (moved["table"] @ antisymmetric).reshape(-1)
    torch.testing.assert_close(project(turned), torch.zeros_like(turned), **CONVERGED64)


@pytest.mark.parametrize("k", [0, 24, 60, 84, 120])
def test_after_a_deletion_the_guard_fires_and_the_projection_makes_the_solve_safe(k: int) -> None:
    """The Hessian of what remains is indefinite along the rotations alone: bare CG ends there, and says so."""
    problem = without(k)
    operator, gradient = hessian_operator(problem), flatten(problem.value_and_gradient(problem.params)[1])
    matrix = operator.matrix()
    assert float(torch.linalg.eigvalsh(matrix)[0]) < -1e-3
    bare = cg(operator, -gradient, tolerance=1e-10, max_iterations=1000)
    assert bare.negative_curvature is not None
    assert not bare.converged
    assert float(bare.negative_curvature @ matrix @ bare.negative_curvature) <= 0.0

    project = gauge_projection(problem)
    assert project is not None
    safe = cg(operator, -gradient, tolerance=1e-10, max_iterations=1000, project=project)
    assert safe.converged
    assert safe.negative_curvature is None
    projector = torch.stack([project(column) for column in torch.eye(len(matrix), dtype=DTYPE)], 1)
    values = torch.linalg.eigvalsh(projector @ matrix @ projector)
    assert int((values.abs() < 1e-9).sum()) == FLAT
    assert float(values[FLAT]) > 0.0
    expected = torch.linalg.pinv(projector @ matrix @ projector, rtol=1e-9, hermitian=True) @ -gradient
    assert float((safe.x - expected).norm() / expected.norm()) < 1e-6


@pytest.mark.parametrize("k", [60, 84])
def test_bounded_steps_settle_the_remaining_problem_without_a_projection(k: int) -> None:
    problem = without(k)
    operator = hessian_operator(problem)
    value, gradient = problem.value_and_gradient(problem.params)
    flat = flatten(gradient)

    def ratio(step: ModelStep) -> float:
        after = problem.with_params(unflatten(flatten(problem.params) + step.step, problem.params))
        new_value, new_gradient = after.value_and_gradient(after.params)
        return decrease_ratio(value, flat, new_value, flatten(new_gradient), step)

    far = trust_region_step(operator, flat, 1e3, tolerance=1e-10, max_products=1000)
    assert far.negative_curvature and far.boundary
    assert ratio(far) < 0.0, "without a bound the step leads nowhere"
    assert ratio(trust_region_step(operator, flat, 0.1, tolerance=1e-10, max_products=1000)) > 0.25

    damped = levenberg_marquardt_step(operator, flat, 1e-6, tolerance=1e-10, max_products=1000)
    assert damped.negative_curvature
    for _ in range(5):
        if ratio(damped) > 0.25:
            break
        damped = levenberg_marquardt_step(operator, flat, 4.0 * damped.damping, tolerance=1e-10, max_products=1000)
    assert ratio(damped) > 0.25


def test_the_projection_is_found_by_trying() -> None:
    graph = RecommenderProblem.build(tiny_data(), model=LightGCN(40, 30, dim=3), dtype=DTYPE)
    assert gauge_projection(graph) is not None
    assert gauge_projection(ridge()) is None  # its one matrix is not rotated into a regression of the same loss
    assert gauge_projection(classifier(n=20, d=4, hidden=3)) is None

    class Tables(nn.Module):
        """Two tables that turn together and a bias that does not; `seen` makes one coordinate special."""

        def __init__(self, seen: float) -> None:
            super().__init__()
            draw = functools.partial(torch.randn, dtype=DTYPE, generator=torch.Generator().manual_seed(0))
            self.users, self.items = nn.Parameter(draw(5, 3)), nn.Parameter(draw(4, 3))
            self.bias, self.seen = nn.Parameter(draw(4)), seen

        def forward(self, pairs: torch.Tensor) -> torch.Tensor:
            users = self.users[pairs[:, 0]]
            dots = (users * self.items[pairs[:, 1]]).sum(1)
            return dots + self.bias[pairs[:, 1]] + self.seen * users[:, 0]

    def losses(module: nn.Module, data: torch.Tensor) -> torch.Tensor:
        return (module(data) - 1.0).square()

    pairs = torch.cartesian_prod(torch.arange(5), torch.arange(4))
    assert gauge_projection(attach(Tables(0.01), losses, pairs)) is None
    problem = attach(Tables(0.0), losses, pairs)
    project = gauge_projection(problem)
    assert project is not None
    antisymmetric = torch.tensor([[0.0, 1.0, 2.0], [-1.0, 0.0, 3.0], [-2.0, -3.0, 0.0]], dtype=DTYPE)
    turned = {
        name: value @ antisymmetric if value.dim() == 2 else torch.zeros_like(value)
        for name, value in problem.params.items()
    }
    torch.testing.assert_close(project(flatten(turned)), torch.zeros(31, dtype=DTYPE), **CONVERGED64)
    other = {name: value if name == "bias" else torch.zeros_like(value) for name, value in problem.params.items()}
    torch.testing.assert_close(project(flatten(other)), flatten(other), **CONVERGED64)
