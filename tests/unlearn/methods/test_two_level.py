"""The difference of two short trainings, against the coupled retrain it stands in for."""

from __future__ import annotations

import functools

import pytest
import torch

from recsys.data import synthetic
from recsys.objectives import BPR
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.unlearn.toys import tiny_recommender
from unlearn.forget import ForgetSet
from unlearn.methods import MissingRequirement, TwoLevel, method
from unlearn.problem import Fitted


@functools.cache
def trained(seed: int) -> RecommenderProblem:
    data = synthetic(n_users=150, n_items=100, n_interactions=2500, seed=seed)
    options = TrainingOptions(seed=seed, epochs=60, batch_size=500, lr=0.01)
    return RecommenderProblem.build(data, objective=BPR(), options=options, dim=16).fit()


def request(problem: RecommenderProblem, part: int = 0) -> ForgetSet:
    """Every twentieth interaction."""
    frame = problem.data.frame().iloc[part::20]
    return ForgetSet(interactions=tuple(zip(frame["user"], frame["item"], strict=True)))


def scores(problem: Fitted) -> torch.Tensor:
    assert isinstance(problem, RecommenderProblem)
    users, items = problem.readout()
    return users @ items.T


def test_the_whole_training_at_its_own_rate_is_the_coupled_retrain() -> None:
    problem = trained(0)
    served = TwoLevel(share=1.0, lr_factor=1.0).forget(problem, request(problem)).problem
    torch.testing.assert_close(scores(served), scores(problem.without(request(problem)).fit()), rtol=0, atol=1e-4)


def test_requests_one_after_the_other_end_where_one_request_does() -> None:
    problem, unlearner = trained(0), TwoLevel()
    first = unlearner.forget(problem, request(problem), unlearner.prepare(problem))
    rest = request(problem, 7)
    second = unlearner.forget(first.problem, rest, first.state)
    once = unlearner.forget(problem, request(problem) | rest)
    torch.testing.assert_close(scores(second.problem), scores(once.problem), rtol=0, atol=1e-4)


def test_it_is_nearer_to_the_coupled_retrain_than_dropping_edges_or_training_on() -> None:
    nearer = {"graph_drop": 0, "fine_tune": 0}
    for seed in range(3):
        problem = trained(seed)
        forget = request(problem)
        reference = scores(problem.without(forget).fit())
        served = (scores(TwoLevel().forget(problem, forget).problem) - reference).norm()
        for name in nearer:
            nearer[name] += bool(served < (scores(method(name).forget(problem, forget).problem) - reference).norm())
        drawn_otherwise = problem.without(forget).fit(
            options=TrainingOptions(seed=seed + 100, epochs=60, batch_size=500, lr=0.01)
        )
        assert served < (scores(drawn_otherwise) - reference).norm()
    assert nearer == {"graph_drop": 3, "fine_tune": 3}


def test_training_that_converges_has_nothing_to_shorten() -> None:
    problem = tiny_recommender().fit()
    with pytest.raises(MissingRequirement, match="use `reconverge`"):
        TwoLevel().prepare(problem)


def test_arguments_out_of_range_are_named_together() -> None:
    with pytest.raises(ValueError, match=r"`share` must be above 0[\s\S]*`lr_factor` must be positive"):
        TwoLevel(share=0.0, lr_factor=-1.0)
