"""The influence function against explicit matrices, closed forms and retraining."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recsys.data import synthetic
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.tolerances import CONVERGED64, EXACT64
from tests.unlearn.methods.contract import sampled_case
from tests.unlearn.methods.exact import SHARP, factorised, kept, pairs, step
from tests.unlearn.toys import RIDGE_PENALTY, ridge, ridge_solution
from unlearn.attached import AttachedProblem
from unlearn.curvature import adam_damping, gauge_projection, hessian_operator
from unlearn.forget import ForgetSet
from unlearn.hooks import AttachedOptions, attach
from unlearn.methods import GIF, Influence, MissingRequirement, Newton
from unlearn.methods.second_order import _between, removed_gradient, staying
from unlearn.params import flatten, unflatten
from unlearn.solvers.lissa import Diverges
from unlearn.solvers.operator import Operator

# ---- least squares: everything is known ------------------------------------------------------------------------------


def test_the_exact_form_is_the_retrained_model() -> None:
    problem = ridge().fit()
    found = flatten(Influence(**SHARP).forget(problem, ForgetSet(records=(3, 8))).problem.params)
    torch.testing.assert_close(found, ridge_solution(*kept(problem, 3, 8)), **CONVERGED64)


@pytest.mark.parametrize("solver", ["cg", "lissa"])
def test_the_published_form_falls_short_by_the_leverage(solver: Any) -> None:
    problem = ridge().fit()
    x, _ = problem.payload
    hessian = x.T @ x + RIDGE_PENALTY * torch.eye(5, dtype=x.dtype)
    for record in (0, 7):
        leverage = x[record] @ torch.linalg.solve(hessian, x[record])
        whole = ridge_solution(*kept(problem, record)) - flatten(problem.params)
        found = step(Influence(form="published", solver=solver, **SHARP), problem, ForgetSet(records=(record,)))
        assert leverage > 0.05
        torch.testing.assert_close(found, (1 - leverage) * whole, **CONVERGED64)


def test_gif_without_a_graph_is_the_published_form_however_early_training_stopped() -> None:
    problem = ridge(solver="adam", epochs=30, lr=0.05).fit()
    assert problem.residual() > 1.0
    forget = ForgetSet(records=(1, 2, 30))
    x, y = problem.payload
    gradient = x[[1, 2, 30]].T @ (x[[1, 2, 30]] @ flatten(problem.params) - y[[1, 2, 30]])
    expected = torch.linalg.solve(x.T @ x + RIDGE_PENALTY * torch.eye(5, dtype=x.dtype), gradient)
    for unlearner in (GIF(**SHARP), Influence(form="published", **SHARP)):
        torch.testing.assert_close(step(unlearner, problem, forget), expected, **CONVERGED64)
    # The exact form goes all the way, what training left undone included.
    whole = flatten(Influence(**SHARP).forget(problem, forget).problem.params)
    torch.testing.assert_close(whole, ridge_solution(*kept(problem, 1, 2, 30)), **CONVERGED64)


# ---- a convex problem that is not quadratic --------------------------------------------------------------------------


def logistic(module: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
    x, y = data
    return nn.functional.softplus(-y * module(x).squeeze(-1))


@functools.cache
def separated() -> AttachedProblem:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(400, 5, dtype=torch.float64, generator=generator)
    noise = torch.randn(400, dtype=torch.float64, generator=generator)
    y = (x.sum(1) + noise).sign()
    module = nn.Linear(5, 1, bias=False).double()
    return attach(module, logistic, (x, y), penalty=1.0, options=AttachedOptions(tolerance=1e-11)).fit()


def test_errors_are_of_second_order_and_those_of_the_remaining_curvature_smaller() -> None:
    """Guo et al., theorem 1: the gradient left after a removal grows with the square of what is removed."""
    problem = separated()

    def error(form: Any, n: int) -> float:
        """|found - retrained|, root mean square over ten sets of n records."""
        squares: list[float] = []
        for k in range(10):
            forget = ForgetSet(records=tuple(range(k * n, (k + 1) * n)))
            truth = flatten(problem.without(forget).fit(problem.params).params) - flatten(problem.params)
            squares.append(float((step(Influence(form=form, **SHARP), problem, forget) - truth).square().sum()))
        return (sum(squares) / len(squares)) ** 0.5

    # Sets at random grow by the root of their size: error, of second order, by their size, 4, and not by its root.
    few, many = error("exact", 5), error("exact", 20)
    assert 3.0 < many / few < 6.0
    assert few < 0.7 * error("published", 5)
    assert many < 0.7 * error("published", 20)


# ---- factorisation: indefinite, and free to turn ---------------------------------------------------------------------


@pytest.mark.parametrize(("form", "solver"), [("exact", "cg"), ("published", "cg"), ("published", "lissa")])
def test_it_solves_its_equation_among_the_directions_that_do_not_turn(form: Any, solver: Any) -> None:
    problem = factorised()
    forget = pairs(problem, 4, 20)
    at = problem.without(forget) if form == "exact" else problem
    project = gauge_projection(at)
    assert project is not None
    n = len(flatten(problem.params))
    identity = torch.eye(n, dtype=torch.float64)
    projection = torch.stack([project(row) for row in identity], 1)
    b = -flatten(problem.without(forget).value_and_gradient(problem.params)[1])  # the original is converged
    damping = 8.0
    inner = projection @ (hessian_operator(at).matrix() + damping * identity) @ projection
    expected = torch.linalg.solve(inner + identity - projection, projection @ b)
    found = step(Influence(form=form, solver=solver, **(SHARP | {"damping": damping})), problem, forget)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    assert float((projection @ found - found).norm()) < 1e-8 * float(found.norm())


def test_between_projections_the_curvature_is_symmetric() -> None:
    """What the scale of the series is taken from: Lanczos' method begins outside of the range, too."""
    matrix = torch.tensor([[3.0, 1.0, 0.5], [1.0, 2.0, -1.0], [0.5, -1.0, 4.0]], dtype=torch.float64)
    keep = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    found = Operator(_between(Operator.of(matrix), keep.mul), 3).matrix()
    torch.testing.assert_close(found, keep[:, None] * matrix * keep, **EXACT64)


def test_negative_curvature_is_damped_by_one_solver_and_refused_by_the_other() -> None:
    problem = factorised()
    start = {name: 0.3 * value for name, value in problem.params.items()}
    problem = problem.with_params(start)
    assert float(torch.linalg.eigvalsh(hessian_operator(problem).matrix())[0]) < -1.0
    forget = pairs(problem, 4, 20)
    result = Influence(damping=0.01).forget(problem, forget).problem
    assert isinstance(result, RecommenderProblem)
    remaining = problem.without(forget)
    assert float(remaining.objective(result.params)) < float(remaining.objective(problem.params))
    with pytest.raises(Diverges, match="negative eigenvalue"):
        Influence(damping=0.01, solver="lissa", max_products=3000).forget(problem, forget)


def test_next_to_a_flat_direction_the_exact_form_does_not_raise_the_objective() -> None:
    """At the least damping it leads far up for some users: what the quadratic model promises is no descent."""
    data = synthetic(n_users=120, n_items=100, n_interactions=1500, seed=4)
    options = TrainingOptions(seed=2, tolerance=1e-6)
    problem = RecommenderProblem.build(
        data, model="mf", objective=WholeData(a=0.05, l2=0.1), options=options, dtype=torch.float64, dim=60
    ).fit()
    worst = 0.0
    for user in range(0, 60, 4):
        items = data.indices[data.indptr[user] : data.indptr[user + 1]]
        (name,) = data.users.take([user])
        forget = ForgetSet(interactions=tuple((name, item) for item in data.items.take(items)))
        remaining = problem.without(forget)
        start = remaining.settled(forget)
        bare, project = Influence().operator(remaining, start, None), gauge_projection(remaining, start)
        b = -flatten(remaining.value_and_gradient(start)[1])
        unguarded = unflatten(flatten(start) + Influence().solve(bare, b, project)[0], start)
        worst = max(worst, float(remaining.objective(unguarded) - remaining.objective(start)))
        result = Influence().forget(problem, forget).problem
        assert float(remaining.objective(result.params)) <= float(remaining.objective(start))
        timid = unflatten(flatten(start) + Influence(damping=0.64).solve(bare, b, project)[0], start)
        assert float(remaining.objective(result.params)) < float(remaining.objective(timid))
    assert worst > 0.1


# ---- sampled training ------------------------------------------------------------------------------------------------


def test_adams_damping_is_on_the_diagonal_and_goes_with_the_requests() -> None:
    case = sampled_case()
    problem = case.problem
    unlearner = GIF(damping=1.0, tolerance=1e-10, max_products=3000)
    state = unlearner.prepare(problem)
    assert state is not None
    prior = adam_damping(problem)
    assert torch.equal(state.payload, prior)
    result = unlearner.forget(problem, case.requests[0], state)
    remaining = problem.without(case.requests[0])
    b = removed_gradient(problem, remaining, case.requests[0])
    project = gauge_projection(problem)
    assert project is not None
    identity = torch.eye(len(b), dtype=b.dtype)
    projection = torch.stack([project(row) for row in identity], 1)
    inner = projection @ (hessian_operator(problem).matrix() + torch.diag(prior + 1.0)) @ projection
    assert float(torch.linalg.eigvalsh(inner)[0]) > -1e-9  # so the damping is not raised
    expected = torch.linalg.solve(inner + identity - projection, projection @ b)
    mask = staying(remaining, case.requests[0])
    found = flatten(result.problem.params) - flatten(problem.params)
    torch.testing.assert_close(mask * found, mask * expected, rtol=1e-5, atol=1e-7)
    # Training's record of the forgotten user goes with the user; the others' stays for the next request.
    assert result.state is not None
    assert torch.equal(result.state.payload, mask * prior)
    assert not mask.all()
    again = unlearner.forget(result.problem, case.requests[1], result.state)
    without = unlearner.forget(result.problem, case.requests[1])
    assert not torch.equal(flatten(again.problem.params), flatten(without.problem.params))


# ---- what it refuses -------------------------------------------------------------------------------------------------


class Opaque(RecommenderProblem):
    """One that does not say what its predictions are."""

    linearized = None


def test_gauss_newton_must_know_the_predictions() -> None:
    one = factorised()
    opaque = Opaque(one.data, one.model, one.objective_function, one.graph, one.params)
    for unlearner in (Influence(curvature="gauss_newton"), Newton(curvature="gauss_newton")):
        assert unlearner.obstacle(one) is None
        with pytest.raises(MissingRequirement, match=r"what the predictions are \(got Opaque"):
            unlearner.forget(opaque, pairs(one, 3))


def test_of_least_squares_gauss_newton_is_the_hessian() -> None:
    problem, forget = ridge().fit(), ForgetSet(records=(3, 8))
    ours = step(Influence(curvature="gauss_newton", **SHARP), problem, forget)
    torch.testing.assert_close(ours, step(Influence(**SHARP), problem, forget), **EXACT64)


def test_every_bad_argument_is_reported_at_once() -> None:
    bad: dict[str, Any] = {
        "form": "x", "solver": "x", "curvature": "x", "damping": 0, "tolerance": 1, "max_products": 0,
    }  # fmt: skip
    with pytest.raises(ValueError) as caught:
        Influence(**bad)
    for name in bad:
        assert f"`{name}` must be" in str(caught.value)
