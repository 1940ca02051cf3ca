"""IAU: the published step to the letter, and the forms around it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recsys.problem import RecommenderProblem
from tests.tolerances import EXACT64
from tests.unlearn.toys import blobs, classifier, tiny_recommender
from unlearn.attached import AttachedProblem
from unlearn.forget import ForgetSet
from unlearn.hooks import attach
from unlearn.methods import IAU
from unlearn.methods.gradient import Forgotten
from unlearn.params import Params, flatten, unflatten

FORGOTTEN = tuple(range(0, 400, 20))
REQUEST = ForgetSet(records=FORGOTTEN)


@pytest.fixture(scope="module")
def problem() -> AttachedProblem:
    return classifier(dtype=torch.float64, epochs=40).fit()


def mean_gradient(problem: AttachedProblem, params: Params, data: tuple[Tensor, Tensor]) -> Tensor:
    """The slow truth: gradient [p] of the mean loss, record by record, on a module of its own."""
    x, labels = data
    total = torch.zeros(flatten(params).shape, dtype=x.dtype)
    for i in range(len(x)):
        leaves = {name: value.clone().requires_grad_() for name, value in params.items()}
        hidden = torch.relu(x[i] @ leaves["hidden.weight"].T + leaves["hidden.bias"])
        scores = hidden @ leaves["out.weight"].T + leaves["out.bias"]
        loss = torch.logsumexp(scores, 0) - scores[labels[i]]
        total += torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(leaves.values()))])
    return total / len(x)


def split(problem: AttachedProblem, *forgotten: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    x, labels = problem.payload
    gone = torch.zeros(len(x), dtype=torch.bool)
    gone[list(forgotten)] = True
    return (x[gone], labels[gone]), (x[~gone], labels[~gone])


def forget_loss(problem: AttachedProblem, params: Params) -> float:
    return float(problem.record_losses(params, problem.records(REQUEST)).mean())


def test_the_default_is_the_published_sign_step(problem: AttachedProblem) -> None:
    forgotten, remaining = split(problem, *FORGOTTEN)
    direction = mean_gradient(problem, problem.params, remaining) - mean_gradient(problem, problem.params, forgotten)
    result = IAU().forget(problem, REQUEST)
    torch.testing.assert_close(
        flatten(result.problem.params), flatten(problem.params) - 1e-3 * direction.sign(), **EXACT64
    )


@pytest.mark.parametrize("n", [1, 20])
def test_a_sign_step_moves_everything_by_its_rate_whatever_is_deleted(problem: AttachedProblem, n: int) -> None:
    result = IAU(lr=3e-3).forget(problem, ForgetSet(records=FORGOTTEN[:n]))
    change = (flatten(result.problem.params) - flatten(problem.params)).abs()
    assert change.max() <= 3e-3 * (1 + 1e-6)
    assert change.mean() >= 0.95 * 3e-3


def test_a_fresh_adam_step_is_a_sign_step_where_gradients_are_not_tiny(problem: AttachedProblem) -> None:
    sign, adam = (flatten(IAU(update=u).forget(problem, REQUEST).problem.params) for u in ("sign", "adam"))
    forgotten, remaining = split(problem, *FORGOTTEN)
    direction = mean_gradient(problem, problem.params, remaining) - mean_gradient(problem, problem.params, forgotten)
    large = direction.abs() > 1e-5
    assert large.double().mean() > 0.9
    assert (sign - adam)[large].abs().max() < 2e-3 * 1e-3


def test_without_correction_it_is_one_step_of_gradient_ascent(problem: AttachedProblem) -> None:
    forgotten, _ = split(problem, *FORGOTTEN)
    expected = flatten(problem.params) + 0.05 * mean_gradient(problem, problem.params, forgotten)
    result = IAU(update="sgd", gc_weight=0.0, lr=0.05).forget(problem, REQUEST)
    torch.testing.assert_close(flatten(result.problem.params), expected, **EXACT64)
    assert forget_loss(problem, result.problem.params) > forget_loss(problem, problem.params)


def test_sum_scale_divides_by_the_remaining_and_has_two_rates(problem: AttachedProblem) -> None:
    forgotten, remaining = split(problem, *FORGOTTEN)
    ascent = mean_gradient(problem, problem.params, forgotten) * len(forgotten[0]) / len(remaining[0])
    descent = mean_gradient(problem, problem.params, remaining)
    expected = flatten(problem.params) + 2.0 * ascent - 0.7 * 0.01 * descent
    unlearner = IAU(update="sgd", scale="sum", lr=2.0, lr_retain=0.01, gc_weight=0.7)
    torch.testing.assert_close(flatten(unlearner.forget(problem, REQUEST).problem.params), expected, **EXACT64)


def test_gradients_are_taken_anew_at_every_step(problem: AttachedProblem) -> None:
    forgotten, remaining = split(problem, *FORGOTTEN)
    x = flatten(problem.params)
    for _ in range(3):
        params = unflatten(x, problem.params)
        x = x - 0.05 * (mean_gradient(problem, params, remaining) - mean_gradient(problem, params, forgotten))
    result = IAU(update="sgd", lr=0.05, steps=3).forget(problem, REQUEST)
    torch.testing.assert_close(flatten(result.problem.params), x, **EXACT64)


def test_a_later_request_never_sees_what_an_earlier_one_removed(problem: AttachedProblem) -> None:
    first = IAU(update="sgd", lr=0.05).forget(problem, ForgetSet(records=FORGOTTEN[:10]))
    second = IAU(update="sgd", lr=0.05).forget(first.problem, ForgetSet(records=FORGOTTEN[10:]))
    forgotten, _ = split(problem, *FORGOTTEN[10:])
    _, remaining = split(problem, *FORGOTTEN)
    start = first.problem.params
    direction = mean_gradient(problem, start, remaining) - mean_gradient(problem, start, forgotten)
    torch.testing.assert_close(flatten(second.problem.params), flatten(start) - 0.05 * direction, **EXACT64)


def test_forgetting_grows_with_the_rate(problem: AttachedProblem) -> None:
    losses = [forget_loss(problem, IAU(lr=lr).forget(problem, REQUEST).problem.params) for lr in (1e-3, 3e-3, 1e-2)]
    assert forget_loss(problem, problem.params) < losses[0] < losses[1] < losses[2]


def test_calibration_stops_at_the_first_step_that_reaches_the_target(problem: AttachedProblem) -> None:
    held_out = blobs(400, noise=1.5, seed=1)
    labels = held_out[1]
    target = float(nn.functional.cross_entropy(problem.outputs(held_out[0].double()), labels))
    assert forget_loss(problem, problem.params) < target
    after = IAU(lr=1e-3, steps=200, calibrate=target).forget(problem, REQUEST).problem
    assert forget_loss(problem, after.params) >= target
    steps = next(
        k
        for k in range(1, 200)
        if torch.equal(flatten(IAU(lr=1e-3, steps=k).forget(problem, REQUEST).problem.params), flatten(after.params))
    )
    assert steps > 1
    early = IAU(lr=1e-3, steps=steps - 1).forget(problem, REQUEST).problem
    assert forget_loss(problem, early.params) < target


def test_calibration_takes_no_step_where_the_target_is_met(problem: AttachedProblem) -> None:
    result = IAU(steps=10, calibrate=0.0).forget(problem, REQUEST)
    assert torch.equal(flatten(result.problem.params), flatten(problem.params))


def test_the_fisher_form_divides_by_the_squares_of_single_records() -> None:
    problem = classifier(60, hidden=6, dtype=torch.float64, epochs=20).fit()  # so few that no draw is needed
    forgotten, remaining = split(problem, 0, 7)
    squares = torch.zeros_like(flatten(problem.params))
    for i in range(len(remaining[0])):
        squares += mean_gradient(problem, problem.params, (remaining[0][i : i + 1], remaining[1][i : i + 1])).square()
    squares /= len(remaining[0])
    direction = 0.01 / 0.5 * mean_gradient(problem, problem.params, remaining)
    direction -= mean_gradient(problem, problem.params, forgotten) * 2 / len(remaining[0])
    expected = flatten(problem.params) - 0.5 * direction / (squares + 0.2 * squares.mean())
    unlearner = IAU(update="fisher", scale="sum", lr=0.5, lr_retain=0.01, damping=0.2)
    result = unlearner.forget(problem, ForgetSet(records=(0, 7)))
    torch.testing.assert_close(flatten(result.problem.params), expected, **EXACT64)


def test_the_fisher_form_moves_by_what_there_is_to_forget_where_a_sign_step_does_not(problem: AttachedProblem) -> None:
    def change(unlearner: IAU, n: int) -> float:
        result = unlearner.forget(problem, ForgetSet(records=FORGOTTEN[:n]))
        return float((flatten(result.problem.params) - flatten(problem.params)).norm())

    fisher, sign = IAU(update="fisher", scale="sum", gc_weight=0.0, lr=0.1), IAU()
    assert change(fisher, 20) > 2 * change(fisher, 1)
    assert change(sign, 20) < 1.01 * change(sign, 1)


def test_calibration_looks_at_the_model_as_it_is_served() -> None:
    problem = tiny_recommender(torch.float64).fit()
    frame = problem.data.frame().sample(frac=0.1, random_state=0)
    request = ForgetSet(interactions=tuple(zip(frame["user"], frame["item"], strict=True)))
    rows = problem.records(request)
    pairs = torch.from_numpy(np.stack([problem.data.user_rows(), problem.data.item_rows()], 1))[rows]
    remaining = problem.without(request)

    def served(params: Params) -> float:
        y = remaining.with_params(params).outputs(pairs)
        return float(((1 - y).square() - 0.1 * y.square()).mean())

    torch.testing.assert_close(
        Forgotten.of(problem, request).mean_loss(problem.params), served(problem.params), **EXACT64
    )
    models = [problem.params]
    for steps in range(1, 6):
        after = IAU(lr=3e-3, steps=steps).forget(problem, request).problem
        assert isinstance(after, RecommenderProblem)
        models.append(after.params)
    losses = [served(params) for params in models]
    assert losses == sorted(losses)
    # On the old graph they are fitted better, so that who looks there takes more steps.
    target = 0.5 * (losses[2] + losses[3])
    assert float(problem.record_losses(models[3], rows).mean()) < target
    stopped = IAU(lr=3e-3, steps=50, calibrate=target).forget(problem, request).problem
    assert isinstance(stopped, RecommenderProblem)
    assert torch.equal(stopped.params["table"], models[3]["table"])


def test_of_a_deleted_user_nothing_is_left_to_raise() -> None:
    problem = tiny_recommender(torch.float64).fit()
    request = ForgetSet(users=(problem.data.users.ids[3],))
    cleared = problem.without(request).settled(request)
    assert Forgotten.of(problem, request).mean_loss(cleared) == pytest.approx(1.0, abs=1e-6)  # of a score of 0
    assert Forgotten.of(problem, request).mean_loss(problem.params) < 0.9


class Bilinear(nn.Module):
    """Scores of pairs from two tables."""

    def __init__(self) -> None:
        super().__init__()
        self.users, self.items = nn.Embedding(8, 3), nn.Embedding(9, 3)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, pairs: Tensor) -> Tensor:
        return (self.users(pairs[:, 0]) * self.items(pairs[:, 1])).sum(1) + self.bias


def test_touched_rows_alone_move() -> None:
    torch.manual_seed(0)
    pairs = torch.tensor([[u, (u + k) % 9] for u in range(8) for k in range(3)])
    problem = attach(Bilinear(), lambda module, data: nn.functional.softplus(-module(data)), pairs)
    request = ForgetSet(records=(0, 4))  # pairs (0, 0) and (1, 2)
    result = IAU(rows="touched", lr=0.1).forget(problem, request)
    changed = {name: rows.nonzero().flatten().tolist() for name, rows in result.rows_changed.items()}
    assert changed == {"users.weight": [0, 1], "items.weight": [0, 2], "bias": [0]}
    everywhere = IAU(lr=0.1).forget(problem, request)
    assert all(rows.all() for rows in everywhere.rows_changed.values())
    # Where a mask is given as well, such as a saliency's, what moves is in both.
    before = flatten(problem.params)
    mask = (torch.arange(len(before)) % 2).to(before)
    both = flatten(IAU(rows="touched", lr=0.1).moved(problem, problem.without(request), request, mask))
    assert torch.equal(both, torch.where(mask == 1, flatten(result.problem.params), before))
    assert not torch.equal(both, before)


def test_every_bad_argument_is_reported_at_once() -> None:
    with pytest.raises(ValueError) as caught:
        IAU(update="newton", scale="sum", gc_weight=-1, lr=0, steps=0, rows="none", damping=0)
    for name in ("update", "gc_weight", "lr", "lr_retain", "steps", "rows", "damping"):
        assert f"`{name}` must be" in str(caught.value)
    with pytest.raises(ValueError, match="`lr_retain` must be given"):
        IAU(update="sgd", scale="sum")


def test_where_no_record_has_a_gradient_nothing_moves() -> None:
    """Margins are all kept, as in a classifier that fits its data: the Fisher's diagonal is 0 as well."""
    x = torch.tensor([[1.0, 2.0], [2.0, 1.0], [1.0, 1.0]], dtype=torch.float64)
    module = nn.Linear(2, 1, bias=False).double()
    nn.init.ones_(module.weight)
    problem = attach(module, lambda inner, rows: torch.relu(1.0 - inner(rows).squeeze(1)), x)
    for update in ("fisher", "sgd"):
        after = IAU(update=update).forget(problem, ForgetSet(records=(1,))).problem
        assert torch.equal(after.params["weight"], problem.params["weight"])  # pyright: ignore[reportAttributeAccessIssue]
