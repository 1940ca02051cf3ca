"""Sharding as a method: what it serves, what it keeps, and where it does not apply."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys.methods.sharding import Sharding
from recsys.problem import RecommenderProblem
from recsys.sharding import Attention, Clustered, Hashed, Mean, ShardedRecommender
from tests.unlearn.toys import ridge, tiny_recommender
from unlearn.forget import ForgetSet
from unlearn.methods import MissingRequirement, method


@pytest.fixture(scope="module")
def problem() -> RecommenderProblem:
    return tiny_recommender()


def same_scores(left: ShardedRecommender, right: ShardedRecommender) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left.factors(), right.factors(), strict=True))


@pytest.mark.parametrize(
    ("unlearner", "partition", "aggregation"),
    [
        (Sharding(shards=3), Hashed(shards=3, seed=1), Mean()),
        (
            Sharding(shards=3, by="items", partition="clusters", aggregation="attention", refresh=False),
            Clustered(shards=3, by="items", seed=1, refresh=False),
            Attention(),
        ),
    ],
)
def test_the_ensemble_is_what_is_served_and_what_forgets(
    problem: RecommenderProblem, unlearner: Sharding, partition: Hashed | Clustered, aggregation: Mean | Attention
) -> None:
    expected = ShardedRecommender.of(problem, partition=partition, aggregation=aggregation).fit()
    state = unlearner.prepare(problem)
    served = unlearner.subject(problem, state)
    assert isinstance(served, ShardedRecommender)
    assert same_scores(served, expected)
    requests = [ForgetSet(users=(problem.data.users.ids[row],)) for row in (4, 9)]
    first = unlearner.forget(problem, requests[0], state)
    second = unlearner.forget(first.problem, requests[1], first.state)
    assert isinstance(second.problem, ShardedRecommender)
    assert same_scores(first.problem, expected.forget(requests[0]))
    assert same_scores(second.problem, expected.forget(requests[0]).forget(requests[1]))
    assert second.state is not None
    assert second.state.payload is second.problem  # what an earlier state held of the forgotten is not carried on
    assert unlearner.subject(second.problem, second.state) is second.problem
    # The ensemble brings the same rule itself.
    assert same_scores(method("native").forget(served, requests[0]).problem, first.problem)


def test_what_the_problem_learned_is_not_taken_over(problem: RecommenderProblem) -> None:
    ruined = problem.with_params({name: torch.full_like(value, torch.nan) for name, value in problem.params.items()})
    states = [Sharding(shards=3).prepare(one) for one in (problem, ruined)]
    assert same_scores(*(state.payload for state in states))


def test_memory_is_stated(problem: RecommenderProblem) -> None:
    state = Sharding(shards=3).prepare(problem)
    shards = state.payload.shards
    tables = sum(shard.problem.params["table"].nbytes for shard in shards)
    rows = sum(len(shard.users) + len(shard.items) for shard in shards)
    assert tables == rows * 6 * 8
    assert tables < 1e6 * state.megabytes < tables + 200 * len(problem.data) + 100 * rows
    assert state.seconds > 0


def test_models_of_another_kind_are_refused_before_any_work() -> None:
    with pytest.raises(MissingRequirement, match="works on a FittedRecommender"):
        Sharding().prepare(ridge())


@pytest.mark.parametrize("name", ["sharding", "unlearnrec"])
def test_weights_that_what_is_trained_would_pass_over_are_refused(name: str, problem: RecommenderProblem) -> None:
    request = ForgetSet(users=("u0",))
    weighted = problem.weighted("interaction", torch.full((problem.n_records,), 0.5))
    with pytest.raises(MissingRequirement, match=f"`{name}` needs interactions that all count alike"):
        method(name).forget(weighted, request)
    with pytest.raises(ValueError, match="must count all interactions alike"):
        ShardedRecommender.of(weighted)


def test_arguments_are_checked_together() -> None:
    with pytest.raises(ValueError, match="shards") as raised:
        Sharding(shards=0, by="taste", partition="luck", aggregation="vote")
    assert all(f"`{name}` must be" in str(raised.value) for name in ("shards", "by", "partition", "aggregation"))


def test_random_requests_reach_as_many_shards_as_is_stated(problem: RecommenderProblem) -> None:
    """K (1 - (1 - 1 / K)^r) of K shards for r users, on average over seeds of the division."""
    data, shards, asked = problem.data, 5, 4
    rows = data.user_rows()
    reached = [
        len(set(Hashed(shards=shards, seed=seed).assign(data)[np.isin(rows, [1, 6, 11, 16])])) for seed in range(200)
    ]
    assert np.mean(reached) == pytest.approx(shards * (1 - (1 - 1 / shards) ** asked), rel=0.05)
