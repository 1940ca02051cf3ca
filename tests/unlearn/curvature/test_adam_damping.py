"""The damping of an early-stopped Adam against a run of one step."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from recsys.objectives import BPR
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.tolerances import EXACT64
from tests.unlearn.toys import ridge, tiny_data
from unlearn.curvature import adam_damping

DTYPE = torch.float64
RATE = 0.02


def trained(*, epochs: int, keep: bool = True) -> RecommenderProblem:
    options = TrainingOptions(epochs=epochs, batch_size=10_000, lr=RATE, keep=frozenset({"optimizer"} if keep else ()))
    objective = BPR(l2=0.05)
    problem = RecommenderProblem.build(
        tiny_data(), model="mf", objective=objective, options=options, dtype=DTYPE, dim=3
    )
    return problem.fit()


def test_after_one_step_it_is_the_gradient_over_the_rate() -> None:
    """v' is then the square of the one gradient: of the objective as a sum, whatever the trainer divides it by."""
    problem = trained(epochs=1)
    objective, graph = problem.objective_function, problem.graph
    assert isinstance(objective, BPR)
    start = problem.model.initial(graph, problem.options.seed, std=problem.options.init_std)
    leaves = {name: value.clone().requires_grad_() for name, value in start.items()}
    users, items = problem.embed(leaves)
    losses = objective.sampled_losses(users, items, graph, torch.arange(graph.n_edges), epoch=1, batch=0)
    (gradient,) = torch.autograd.grad(losses.sum() + objective.penalty(leaves), leaves["table"])
    torch.testing.assert_close(adam_damping(problem), gradient.abs().reshape(-1) / RATE, **EXACT64)


def test_the_longer_the_training_the_weaker() -> None:
    short, long = adam_damping(trained(epochs=2)), adam_damping(trained(epochs=20))
    assert float(long.min()) >= 0.0
    assert float(short.mean()) > 3.0 * float(long.mean())


def test_it_weakens_with_the_sum_of_the_learning_rates() -> None:
    problem = trained(epochs=6)
    kept = problem.history.optimizer
    assert kept is not None and kept.steps == 6
    assert kept.rates == pytest.approx(6 * RATE)
    longer = replace(problem.history, optimizer=replace(kept, rates=3 * kept.rates))
    weaker = adam_damping(problem.with_params(problem.params, history=longer))
    torch.testing.assert_close(3 * weaker, adam_damping(problem), **EXACT64)


def test_what_is_missing_is_named() -> None:
    for problem in (trained(epochs=1, keep=False), ridge()):
        with pytest.raises(ValueError, match="`history.optimizer` must be kept"):
            adam_damping(problem)
