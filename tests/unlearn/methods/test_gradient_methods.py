"""Gradient ascent, NegGrad+ and sparse fine-tuning: their steps to the letter, and what is known of each."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.tolerances import EXACT64
from tests.unlearn.toys import blobs, classifier, ridge
from unlearn.attached import AttachedProblem
from unlearn.forget import ForgetSet
from unlearn.methods import IAU, FineTune, GradientAscent, L1Sparse, NegGrad, Retrain, Unlearner
from unlearn.params import flatten

GONE = tuple(range(0, 400, 20))
REQUEST = ForgetSet(records=GONE)


@pytest.fixture(scope="module")
def problem() -> AttachedProblem:
    return classifier(dtype=torch.float64, epochs=40).fit()


def forgotten_loss(original: AttachedProblem, x: Tensor) -> float:
    return mean_loss(original, x, GONE)


def mean_loss(problem: AttachedProblem, x: Tensor, records: tuple[int, ...]) -> float:
    leaves = unflat(problem, x)
    return float(problem.record_losses(leaves, torch.tensor(records)).mean())


def unflat(problem: AttachedProblem, x: Tensor) -> dict[str, Tensor]:
    parts = x.split([value.numel() for value in problem.params.values()])
    return {name: part.view_as(value) for (name, value), part in zip(problem.params.items(), parts, strict=True)}


def after(unlearner: Unlearner, problem: AttachedProblem, forget: ForgetSet = REQUEST) -> Tensor:
    result = unlearner.forget(problem, forget).problem
    assert isinstance(result, AttachedProblem)
    return flatten(result.params)


# ---- linear regression: every gradient in closed form ---------------------------------------------------------------


def slopes(x: Tensor, data: tuple[Tensor, Tensor]) -> Tensor:
    """Gradient of the summed squares (x w - y)^2 / 2."""
    a, y = data
    return a.T @ (a @ x - y)


@pytest.fixture(scope="module")
def linear() -> AttachedProblem:
    return ridge().fit()


FEW = ForgetSet(records=(0, 3, 17, 39))


def parts(linear: AttachedProblem) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    x, y = linear.payload
    gone = torch.zeros(len(x), dtype=torch.bool)
    gone[list(FEW.records)] = True
    return (x[gone], y[gone]), (x[~gone], y[~gone])


def test_ascent_goes_up_the_mean_loss(linear: AttachedProblem) -> None:
    forgotten, _ = parts(linear)
    x = flatten(linear.params)
    for _ in range(3):
        x = x + 0.1 * slopes(x, forgotten) / 4
    torch.testing.assert_close(after(GradientAscent(steps=3, lr=0.1), linear, FEW), x, **EXACT64)


def test_neg_grad_weighs_descent_against_ascent(linear: AttachedProblem) -> None:
    forgotten, remaining = parts(linear)
    x = flatten(linear.params)
    for _ in range(3):
        descent = (slopes(x, remaining) + 0.3 * x) / 36
        x = x - 0.1 * (0.8 * descent - 0.2 * slopes(x, forgotten) / 4)
    got = after(NegGrad(beta=0.8, steps=3, lr=0.1, update="sgd"), linear, FEW)
    torch.testing.assert_close(got, x, **EXACT64)


def test_the_first_sparse_step_is_an_adam_step_with_the_penalty(linear: AttachedProblem) -> None:
    _, remaining = parts(linear)
    x = flatten(linear.params)
    gradient = slopes(x, remaining) + 0.3 * x + 36 * 0.2 * x.sign()
    expected = x - 0.05 * gradient / (gradient.abs() + 1e-8)
    torch.testing.assert_close(after(L1Sparse(gamma=0.2, steps=1, lr=0.05), linear, FEW), expected, **EXACT64)


def test_the_sparse_penalty_fades_by_equal_parts(linear: AttachedProblem) -> None:
    once, twice = (after(L1Sparse(gamma=0.2, steps=n, lr=0.05), linear, FEW) for n in (1, 2))
    _, remaining = parts(linear)
    start = flatten(linear.params)
    first = slopes(start, remaining) + 0.3 * start + 36 * 0.2 * start.sign()
    second = slopes(once, remaining) + 0.3 * once + 36 * 0.1 * once.sign()
    mean = (0.9 * 0.1 * first + 0.1 * second) / (1 - 0.9**2)
    square = (0.999 * 0.001 * first**2 + 0.001 * second**2) / (1 - 0.999**2)
    torch.testing.assert_close(twice, once - 0.05 * mean / (square.sqrt() + 1e-8), **EXACT64)


# ---- limits that are other methods ----------------------------------------------------------------------------------


def test_neg_grad_lies_between_fine_tuning_and_ascent(problem: AttachedProblem) -> None:
    ascent = GradientAscent(steps=10, lr=1e-2, update="adam")
    torch.testing.assert_close(after(NegGrad(beta=0.0), problem), after(ascent, problem), **EXACT64)
    tuned = after(FineTune(), problem)  # Adam is free of scale, up to its epsilon
    change = (tuned - flatten(problem.params)).norm()
    assert (after(NegGrad(beta=1.0), problem) - tuned).norm() < 1e-3 * change
    losses = [forgotten_loss(problem, after(NegGrad(beta=beta), problem)) for beta in (1.0, 0.9, 0.5)]
    assert forgotten_loss(problem, after(FineTune(), problem)) == pytest.approx(losses[0], abs=1e-4)
    assert losses[0] < losses[1] < losses[2]


def test_without_its_penalty_the_sparse_form_is_fine_tuning(problem: AttachedProblem) -> None:
    assert torch.equal(after(L1Sparse(gamma=0.0), problem), after(FineTune(), problem))


def test_ascent_is_iau_without_correction(problem: AttachedProblem) -> None:
    iau = IAU(update="sgd", gc_weight=0.0, lr=0.05, steps=4)
    torch.testing.assert_close(after(GradientAscent(lr=0.05, steps=4), problem), after(iau, problem), **EXACT64)


# ---- what is known of them ------------------------------------------------------------------------------------------


def test_ascent_forgets_at_the_price_of_the_rest_and_neg_grad_holds_it(problem: AttachedProblem) -> None:
    others = tuple(i for i in range(400) if i not in GONE)
    ascent = after(GradientAscent(steps=10, lr=1e-2, update="adam"), problem)
    held = after(NegGrad(beta=0.9, steps=10, lr=1e-2), problem)
    start = flatten(problem.params)
    for x in (ascent, held):
        assert forgotten_loss(problem, x) > 2 * forgotten_loss(problem, start)
    assert mean_loss(problem, ascent, others) > 1.5 * mean_loss(problem, start, others)
    assert mean_loss(problem, held, others) < 0.5 * mean_loss(problem, ascent, others)


def test_calibrated_ascent_stops_where_strangers_are(problem: AttachedProblem) -> None:
    x, labels = blobs(400, noise=1.5, seed=1)
    strangers = float(nn.functional.cross_entropy(problem.outputs(x.double()), labels))
    assert forgotten_loss(problem, flatten(problem.params)) < strangers
    fixed = (after(GradientAscent(steps=n, lr=0.5), problem) for n in range(1, 40))
    reached = next(x for x in fixed if forgotten_loss(problem, x) >= strangers)
    assert not torch.equal(reached, after(GradientAscent(steps=1, lr=0.5), problem))
    assert torch.equal(after(GradientAscent(steps=100, lr=0.5, calibrate=strangers), problem), reached)


def test_sparsity_forgets_more_than_fine_tuning_alone() -> None:
    # Its paper's claim: under the same steps the sparser model is nearer to the retrain on what is forgotten.
    problem = classifier(400, d=64, hidden=64, noise=3.0, epochs=60).fit()
    retrain = forgotten_loss(problem, after(Retrain(), problem))
    tuned, sparse = (after(one, problem) for one in (FineTune(epochs=50), L1Sparse(steps=50)))
    assert (sparse.abs() < 1e-2).sum() > 5 * (tuned.abs() < 1e-2).sum()
    gaps = [retrain - forgotten_loss(problem, x) for x in (tuned, sparse)]
    assert 0 < gaps[1] < 0.85 * gaps[0]


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: GradientAscent(steps=0, lr=0, update="newton"), ("steps", "lr", "update")),
        (lambda: NegGrad(beta=2, steps=0, lr=0, update="newton"), ("beta", "steps", "lr", "update")),
        (lambda: L1Sparse(gamma=-1, steps=0, lr=0), ("gamma", "steps", "lr")),
    ],
)
def test_every_bad_argument_is_reported_at_once(make: object, names: tuple[str, ...]) -> None:
    with pytest.raises(ValueError) as caught:
        make()
    assert [line.partition("`")[2].partition("`")[0] for line in str(caught.value).splitlines()] == list(names)
