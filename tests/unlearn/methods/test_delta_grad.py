"""DeltaGrad: the replay against the retrain that it stands for."""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor, nn

from tests.tolerances import CONVERGED64, EXACT64
from tests.unlearn.toys import RIDGE_PENALTY, blobs, cross_entropy, regression, ridge, ridge_solution, squared
from unlearn.attached import AttachedOptions, AttachedProblem
from unlearn.forget import ForgetSet
from unlearn.hooks import attach
from unlearn.methods import DeltaGrad, MissingRequirement, State, VerificationFailed
from unlearn.methods.delta_grad import Descended, curvature_product
from unlearn.params import flatten, unflatten


@functools.cache
def softmax(dtype: torch.dtype = torch.float64) -> AttachedProblem:
    """Multinomial regression with L2, strongly convex as in the paper."""
    x, labels = blobs(400, d=10, noise=1.5)
    module = nn.Linear(10, 10).to(dtype)
    return attach(module, cross_entropy, (x.to(dtype), labels), penalty=1.0, options=OPTIONS)


OPTIONS = AttachedOptions(seed=3)
STEPS = 200


@functools.cache
def prepared() -> State:
    return DeltaGrad(steps=STEPS).prepare(softmax())


def original() -> Descended:
    return prepared().payload.model


def retrained(forget: ForgetSet) -> Tensor:
    """By gradient descent too, from the same seed."""
    return flatten(original().without(forget).fit().params)


def after(unlearner: DeltaGrad, forget: ForgetSet) -> Tensor:
    result = unlearner.forget(softmax(), forget, prepared()).problem
    assert isinstance(result, Descended)
    return flatten(result.params)


def some(n: int) -> ForgetSet:
    return ForgetSet(records=tuple(range(0, 400, 400 // n))[:n])


# ---- the curvature --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2, 4])
def test_the_compact_form_is_the_recursion_written_out(k: int) -> None:
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(6, 6, dtype=torch.float64, generator=generator)
    steps = [torch.randn(6, dtype=torch.float64, generator=generator) for _ in range(k)]
    yields = [(root @ root.T + torch.eye(6)) @ step for step in steps]
    sigma = (steps[-1] @ yields[-1]) / (steps[-1] @ steps[-1])
    dense = sigma * torch.eye(6, dtype=torch.float64)
    for s, y in zip(steps, yields, strict=True):
        dense = dense - torch.outer(dense @ s, dense @ s) / (s @ dense @ s) + torch.outer(y, y) / (y @ s)
    vector = torch.randn(6, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(curvature_product(steps, yields, vector), dense @ vector, **EXACT64)
    torch.testing.assert_close(curvature_product(steps, yields, steps[-1]), yields[-1], **EXACT64)


# ---- the model that it serves ---------------------------------------------------------------------------------------


def test_it_serves_what_gradient_descent_from_the_seed_ends_in() -> None:
    x = flatten(softmax().functional.initial(3, softmax().params))
    for _ in range(STEPS):
        gradient = softmax().value_and_gradient(unflatten(x, softmax().params))[1]
        x = x - original().lr * flatten(gradient)
    served = DeltaGrad().subject(softmax(), prepared())
    assert served is original()
    torch.testing.assert_close(flatten(original().params), x, **EXACT64)
    assert torch.equal(flatten(original().fit().params), flatten(original().params))


def test_where_there_is_one_minimiser_it_is_the_model_of_any_other_solver() -> None:
    linear = ridge().fit()
    unlearner = DeltaGrad(steps=500)
    state = unlearner.prepare(linear)
    torch.testing.assert_close(flatten(state.payload.model.params), flatten(linear.params), **CONVERGED64)
    x, y = regression()
    kept = [i for i in range(len(x)) if i not in (0, 3)]
    result = unlearner.forget(linear, ForgetSet(records=(0, 3)), state).problem
    assert isinstance(result, Descended)
    torch.testing.assert_close(flatten(result.params), ridge_solution(x[kept], y[kept]), **CONVERGED64)


@pytest.mark.parametrize(("period", "share"), [(1, 1.0), (2, 1.0), (5, 0.4)])
def test_the_rate_comes_from_the_greatest_curvature(period: int, share: float) -> None:
    linear = ridge()
    x, _ = linear.payload
    greatest = torch.linalg.eigvalsh(x.T @ x + RIDGE_PENALTY * torch.eye(5, dtype=x.dtype))[-1]
    model = DeltaGrad(steps=1, period=period).prepare(linear).payload.model
    assert model.lr == pytest.approx(share / float(greatest), rel=1e-3)
    assert DeltaGrad(steps=1, lr=0.1).prepare(linear).payload.model.lr == 0.1


def test_a_rate_suits_the_start_where_that_is_steeper_than_the_model() -> None:
    x, _ = regression()

    def quartic(module: nn.Module, rows: Tensor) -> Tensor:
        return module(rows).squeeze(1).pow(4)

    problem = attach(nn.Linear(5, 1, bias=False).double(), quartic, x, penalty=0.01, options=OPTIONS)
    start = problem.functional.initial(OPTIONS.seed, problem.params)["weight"][0]
    hessian = (12 * (x @ start).square()[:, None] * x).T @ x + 0.01 * torch.eye(5, dtype=x.dtype)
    flat = problem.with_params({"weight": torch.zeros(1, 5, dtype=torch.float64)})  # of the penalty's curvature alone
    model = DeltaGrad(steps=1, period=1).prepare(flat).payload.model
    assert model.lr == pytest.approx(1.0 / float(torch.linalg.eigvalsh(hessian)[-1]), rel=1e-3)


def test_where_there_is_no_curvature_the_rate_must_be_given() -> None:
    """The hinge is linear by parts: a rate taken from its curvature made a model of NaN."""
    x, labels = blobs(40, d=3, noise=1.5)

    def hinge(module: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
        return torch.relu(1.0 - torch.where(data[1] > 4, 1.0, -1.0) * module(data[0])[:, 0])

    svm = attach(nn.Linear(3, 1), hinge, (x, labels), options=OPTIONS)
    with pytest.raises(MissingRequirement, match="`delta_grad` takes its rate from the curvature.*give it `lr`"):
        DeltaGrad(steps=20).prepare(svm)
    model = DeltaGrad(steps=20, lr=1e-3).prepare(svm).payload.model
    assert float(model.objective(model.params)) < float(svm.objective(svm.functional.initial(OPTIONS.seed, svm.params)))


def test_its_residuals_are_those_of_the_model_that_it_serves_and_not_of_one_that_was_trained_longer() -> None:
    converged = ridge().fit()
    unlearner, forget = DeltaGrad(steps=10), ForgetSet(records=(0, 3))
    state = unlearner.prepare(converged)
    short: Descended = state.payload.model
    result = unlearner.forget(converged, forget, state, on_failure="raise")
    assert result.residual_before == pytest.approx(short.without(forget).residual())
    assert result.residual_before > 2 * converged.without(forget).residual()


# ---- the replay -----------------------------------------------------------------------------------------------------


def test_with_every_gradient_computed_it_is_the_coupled_retrain() -> None:
    found, expected = after(DeltaGrad(steps=STEPS, period=1), some(40)), retrained(some(40))
    torch.testing.assert_close(found, expected, **EXACT64)
    assert (found - flatten(original().params)).norm() > 0.01


@pytest.mark.parametrize("n", [2, 20])
def test_it_follows_the_retrain_on_few_gradients(n: int) -> None:
    target = retrained(some(n))
    effect = (target - flatten(original().params)).norm()
    assert (after(DeltaGrad(steps=STEPS), some(n)) - target).norm() < 0.02 * effect


def test_its_error_relative_to_the_effect_falls_with_the_share_removed() -> None:
    """In the direction of theorem 1 of the paper, o(r / n), but slowly: 1.3 to 1.1 % from 100 records to 5."""
    relative: list[float] = []
    for n in (100, 25, 5):
        target = retrained(some(n))
        effect = (target - flatten(original().params)).norm()
        relative.append(float((after(DeltaGrad(steps=STEPS), some(n)) - target).norm() / effect))
    assert 0.03 > relative[0] > relative[1] > relative[2]


def test_curvature_is_what_makes_it_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    target = retrained(some(20))
    followed = (after(DeltaGrad(steps=STEPS), some(20)) - target).norm()

    def none(moves: list[Tensor], turns: list[Tensor], vector: Tensor) -> Tensor:
        return torch.zeros_like(vector)

    monkeypatch.setattr("unlearn.methods.delta_grad.curvature_product", none)
    assert (after(DeltaGrad(steps=STEPS), some(20)) - target).norm() > 10 * followed


def test_a_second_request_follows_on_the_record_of_the_first() -> None:
    unlearner = DeltaGrad(steps=STEPS)
    first = unlearner.forget(softmax(), some(20), prepared())
    assert isinstance(first.problem, Descended)
    later = ForgetSet(records=(1, 2, 3, 5, 7, 9, 11, 13))
    second = unlearner.forget(first.problem, later, first.state)
    assert isinstance(second.problem, Descended)
    target = retrained(some(20) | later)
    effect = (target - flatten(first.problem.params)).norm()
    assert (flatten(second.problem.params) - target).norm() < 0.1 * effect


def test_most_steps_look_at_the_forgotten_alone() -> None:
    rows: list[int] = []

    def counted(module: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
        rows.append(len(data[0]))
        return cross_entropy(module, data)

    problem = attach(nn.Linear(10, 10), counted, blobs(400, d=10))
    unlearner = DeltaGrad(steps=100)
    state = unlearner.prepare(problem)
    assert state.megabytes == pytest.approx(2 * 100 * 110 * 4 / 1e6)
    remaining = problem.without(some(4))
    rows.clear()
    unlearner._forget(problem, remaining, some(4), state)
    assert 28 * 396 <= sum(rows) <= 0.35 * 100 * 396


def test_gradients_are_computed_at_first_and_then_in_every_period(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    held: list[int] = []

    def counted(module: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
        rows.append(len(data[0]))
        return cross_entropy(module, data)

    def watched(moves: list[Tensor], turns: list[Tensor], vector: Tensor) -> Tensor:
        held.append(len(moves))
        return curvature_product(moves, turns, vector)

    monkeypatch.setattr("unlearn.methods.delta_grad.curvature_product", watched)
    x, labels = blobs(400, d=10, noise=1.5)
    problem = attach(nn.Linear(10, 10).double(), counted, (x.double(), labels), penalty=1.0, options=OPTIONS)
    unlearner = DeltaGrad(steps=20, burn_in=3, period=5)
    state = unlearner.prepare(problem)
    rows.clear()
    unlearner._forget(problem, problem.without(some(4)), some(4), state)
    steps = [k for k, n in enumerate(rows) if n == 4][-20:]  # the forgotten are asked at the beginning of each
    assert held == [2] * 13  # whose differences are the last two
    assert [k for k, at in enumerate(steps) if rows[at + 1 : at + 2] == [396]] == [0, 1, 2, 3, 8, 13, 18]


def test_records_leave_with_their_weights() -> None:
    weights = torch.linspace(0.2, 1.0, 40, dtype=torch.float64)
    weighted, forget = ridge().weighted("record", weights), ForgetSet(records=(0, 3, 17))
    unlearner = DeltaGrad(steps=400, period=1)
    result = unlearner.forget(weighted, forget, unlearner.prepare(weighted)).problem
    assert isinstance(result, Descended)
    kept = [i for i in range(40) if i not in forget.records]
    x, y = (part[kept] for part in regression())
    w = weights[kept]
    gram = x.T @ (w[:, None] * x) + RIDGE_PENALTY * torch.eye(5, dtype=x.dtype)
    torch.testing.assert_close(flatten(result.params), torch.linalg.solve(gram, x.T @ (w * y)), **CONVERGED64)


def test_where_records_depend_on_each_other_they_are_asked_in_company() -> None:
    def centred(module: nn.Module, data: tuple[Tensor, Tensor]) -> Tensor:
        x, y = data
        return squared(module, (x - x.mean(0), y))

    problem = attach(nn.Linear(5, 1, bias=False).double(), centred, regression(), penalty=RIDGE_PENALTY)
    forget = ForgetSet(records=(0, 3, 17))
    unlearner = DeltaGrad(period=2, steps=100)
    state = unlearner.prepare(problem)
    model = state.payload.model
    result = unlearner.forget(problem, forget, state).problem
    assert isinstance(result, Descended)
    target = flatten(model.without(forget).fit().params)
    assert (flatten(result.params) - target).norm() < 0.1 * (target - flatten(model.params)).norm()


@pytest.mark.parametrize("period", [2, 5])
def test_where_a_network_is_not_convex_gradients_are_computed_until_it_is(period: int) -> None:
    x, labels = blobs(400, d=10, noise=1.5)
    network = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 10)).double()
    problem = attach(network, cross_entropy, (x.double(), labels), penalty=0.01, options=OPTIONS)
    unlearner = DeltaGrad(period=period)
    state = unlearner.prepare(problem)
    result = unlearner.forget(problem, some(20), state).problem
    assert isinstance(result, Descended)
    target = flatten(state.payload.model.without(some(20)).fit().params)
    effect = (target - flatten(state.payload.model.params)).norm()
    assert (flatten(result.params) - target).norm() < effect


def test_a_replay_that_diverges_ends_as_any_failure_does() -> None:
    forget, unlearner = ForgetSet(records=(0, 3)), DeltaGrad(lr=10.0)
    state = unlearner.prepare(ridge())
    assert not unlearner.forget(ridge(), forget, state).problem.params["weight"].isfinite().any()
    with pytest.raises(VerificationFailed, match="residual nan"):
        unlearner.forget(ridge(), forget, state, on_failure="raise")
    retrained = unlearner.forget(ridge(), forget, state, on_failure="retrain")
    assert retrained.fallback
    x, y = regression()
    kept = [i for i in range(len(x)) if i not in (0, 3)]
    torch.testing.assert_close(flatten(retrained.problem.params), ridge_solution(x[kept], y[kept]), **CONVERGED64)


def test_every_bad_argument_is_reported_at_once() -> None:
    with pytest.raises(ValueError, match=r"(?s)`steps` must.*`lr` must.*`period` must.*`burn_in` must.*`memory` must"):
        DeltaGrad(steps=0, lr=0, period=0, burn_in=0, memory=0)
