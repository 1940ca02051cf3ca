"""Attribution by gradients against the plain formula, and the features of a store against it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from recsys.attribution import pair_scores
from recsys.objectives import BPR
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.tolerances import EXACT64
from tests.unlearn.toys import ridge, tiny_data
from unlearn.attribution import GradientDot, TracIn, features, gradient_features, losses, query_features
from unlearn.attribution.features import adam_direction
from unlearn.history import AdamState, Checkpoint
from unlearn.methods.base import MissingRequirement
from unlearn.params import Params, flatten
from unlearn.problem import Problem

PAIRS = torch.tensor([[0, 3], [5, 1]])


def stochastic() -> RecommenderProblem:
    options = TrainingOptions(
        epochs=6, batch_size=64, lr=0.05, keep=frozenset({"checkpoints", "optimizer"}), checkpoint_every=2
    )
    return RecommenderProblem.build(
        tiny_data(), model="mf", objective=BPR(l2=0.01, negatives=2), options=options, dtype=torch.float64, dim=4
    ).fit()


def plain(problem: Problem, query: object, params: Params) -> Tensor:
    """- grad q . grad l_z, one record and one query at a time."""

    def gradient(value: Tensor, leaves: Params) -> Tensor:
        parts = torch.autograd.grad(value, list(leaves.values()), retain_graph=True)
        return torch.cat([part.reshape(-1) for part in parts])

    leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
    values = query(problem, leaves)  # pyright: ignore[reportCallIssue]
    record_losses = problem.record_losses(leaves)
    asked = torch.stack([gradient(value, leaves) for value in values])
    return torch.stack([-(asked @ gradient(loss, leaves)) for loss in record_losses])


def test_tracin_sums_gradient_products_over_checkpoints_with_their_rates() -> None:
    problem, query = stochastic(), pair_scores(PAIRS)
    found = TracIn().fit(problem).scores(query)
    steps = [6 // 3 * problem.options.batches * 0.05] * 3  # two epochs between checkpoints
    points = [checkpoint.params for checkpoint in problem.history.checkpoints]
    expected = sum(rate * plain(problem, query, params) for rate, params in zip(steps, points, strict=True))
    torch.testing.assert_close(found.values, expected, **EXACT64)
    assert not found.calibrated
    one = GradientDot().fit(problem).scores(query, torch.tensor([4, 0])).values
    torch.testing.assert_close(one, plain(problem, query, problem.params)[[4, 0]], **EXACT64)
    with pytest.raises(MissingRequirement, match=r"history\.checkpoints"):
        TracIn().fit(ridge().fit())


def test_a_record_raises_its_own_pair_and_lowers_its_own_loss() -> None:
    problem = stochastic()
    rows, columns = problem.graph.rows[:30], problem.graph.cols[:30]
    own = GradientDot().fit(problem).scores(pair_scores(torch.stack([rows, columns], 1))).values[:30].diagonal()
    assert bool((own > 0).all())
    own = GradientDot().fit(problem).scores(losses(problem, torch.arange(30))).values[:30].diagonal()
    assert bool((own > 0).all())


def keep(gradients: Tensor) -> Tensor:
    """A projection that loses nothing."""
    return gradients.clone()


def test_store_features_multiply_to_gradient_products() -> None:
    problem, query = stochastic(), pair_scores(PAIRS)
    rows = gradient_features(problem, keep)(torch.arange(20))  # pyright: ignore[reportArgumentType]
    asked = query_features(problem, query, keep)  # pyright: ignore[reportArgumentType]
    torch.testing.assert_close(rows @ asked.T, GradientDot().fit(problem).scores(query).values[:20], **EXACT64)


def test_gradients_are_projected_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = stochastic()
    expected = gradient_features(problem, keep)(torch.arange(20))  # pyright: ignore[reportArgumentType]
    held: list[int] = []

    def counted(gradients: Tensor) -> Tensor:
        held.append(len(gradients))
        return keep(gradients)

    monkeypatch.setattr(features, "_BLOCK", 8 * flatten(problem.params).numel())
    rows = gradient_features(problem, counted)(torch.arange(20))  # pyright: ignore[reportArgumentType]
    assert held == [8, 8, 4]
    torch.testing.assert_close(rows, expected, **EXACT64)


def test_parameters_that_a_query_does_not_reach_have_a_gradient_of_zero() -> None:
    options = TrainingOptions(epochs=1)
    problem = RecommenderProblem.build(
        tiny_data(), model="ngcf", objective=BPR(), options=options, dtype=torch.float64, dim=4
    ).fit()
    rows = gradient_features(problem, keep)(torch.arange(20))  # pyright: ignore[reportArgumentType]
    size = problem.params["table"].numel()

    def query(_: Problem, params: Params) -> Tensor:
        return params["table"].reshape(-1)[:2].square()

    asked = query_features(problem, query, keep)  # pyright: ignore[reportArgumentType]
    expected = torch.zeros_like(asked)
    expected[:, :2] = 2 * problem.params["table"].reshape(-1)[:2].diag()
    assert next(iter(problem.params)) == "table" and asked.shape[1] > size
    torch.testing.assert_close(asked, expected, **EXACT64)
    assert rows.shape[1] == asked.shape[1]
    none = query_features(problem, lambda _, params: params["table"].new_zeros(0), keep)  # pyright: ignore[reportArgumentType]
    assert none.shape == (0, asked.shape[1])


def test_adam_directions_are_the_steps_that_adam_takes() -> None:
    problem = stochastic()
    state = problem.history.optimizer
    assert state is not None
    # After many steps bias no longer counts, and where v is large against epsilon its place under the root does not.
    state = AdamState(state.mean, {name: value + 1e-2 for name, value in state.square.items()}, 10**6, state.rates)
    (gradient,) = torch.randn(1, flatten(problem.params).numel(), dtype=torch.float64)
    parameter = torch.zeros_like(gradient).requires_grad_()
    optimizer = torch.optim.Adam([parameter], lr=1.0)
    optimizer.state[parameter] = {
        "step": torch.tensor(1e6),
        "exp_avg": flatten(state.mean).clone(),
        "exp_avg_sq": flatten(state.square).clone(),
    }
    parameter.grad = gradient
    optimizer.step()
    torch.testing.assert_close(adam_direction(gradient[None], state)[0], -parameter.detach(), rtol=1e-5, atol=1e-7)
    rows = gradient_features(problem, lambda g: g.clone(), adam=state)(torch.arange(3))  # pyright: ignore[reportArgumentType]
    gradients = gradient_features(problem, lambda g: g.clone())(torch.arange(3))  # pyright: ignore[reportArgumentType]
    torch.testing.assert_close(rows, -adam_direction(-gradients, state), **EXACT64)


def test_checkpoints_without_an_optimiser_are_the_start_and_count_for_nothing() -> None:
    problem = stochastic()
    start = Checkpoint(0, problem.history.checkpoints[0].params)
    longer = replace(problem.history, checkpoints=(start, *problem.history.checkpoints))
    query = pair_scores(PAIRS)
    found = TracIn().fit(problem.with_params(problem.params, history=longer)).scores(query).values
    assert torch.equal(found, TracIn().fit(problem).scores(query).values)
