"""Ties as what is forgotten: where a deletion reaches, what is asked about it, and that nothing of it is left."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from recsys.data import Interactions, Split, from_parquet, ratio, synthetic, to_parquet
from recsys.fitted import FittedRecommender
from recsys.likeness import TiedPairs
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.requests import requests
from recsys.scorer import RankingScorer, affected_users
from recsys.sharding import ShardedRecommender
from recsys.store import load, save
from recsys.train import TrainingOptions
from tests.tolerances import EXACT64
from unlearn.forget import ForgetSet
from unlearn.methods import Reconverge, method
from unlearn.problem import Fitted

DIM = 64


@functools.cache
def split() -> Split:
    return ratio(synthetic(150, 100, 2500, ties_per_user=4.0, seed=4), seed=0)


@functools.cache
def trained() -> RecommenderProblem:
    options = TrainingOptions(seed=2, tolerance=1e-9, max_iterations=5000)
    return RecommenderProblem.build(
        split().refit(), model="social_lightgcn", objective=WholeData(a=0.1, l2=0.3), options=options, dim=DIM,
        dtype=torch.float64, tie_weight=0.5,
    ).fit()  # fmt: skip


def some(kind: str) -> ForgetSet:
    problem = trained()
    found = {
        "one tie": lambda: requests("ties:1", problem.data, seed=3)[0],
        "ties": lambda: requests("ties:30", problem.data, seed=0)[0],
        "user": lambda: ForgetSet(users=(popular(problem.data),)),
        "user and ties": lambda: (
            ForgetSet(users=(popular(problem.data),)) | requests("ties:5", problem.data, seed=1)[0]
        ),
    }
    return problem.resolve(found[kind]())


def popular(data: Interactions) -> str:
    """The user of most ties."""
    assert data.ties is not None
    return data.users.take([int(np.bincount(data.ties[:, 0]).argmax())])[0]


def distance(one: Fitted, other: Fitted) -> float:
    assert isinstance(one, RecommenderProblem) and isinstance(other, RecommenderProblem)
    (users, items), (more_users, more_items) = one.readout(), other.readout()
    return float((users @ items.T - more_users @ more_items.T).norm())


@pytest.mark.parametrize("kind", ["one tie", "ties", "user", "user and ties"])
def test_a_settled_deletion_is_a_cold_retrain_from_another_seed(kind: str) -> None:
    problem, forget = trained(), some(kind)
    served = Reconverge(accuracy=0.0, max_iterations=4000).forget(problem, forget)
    cold = problem.without(forget).fit(options=replace(problem.options, seed=9))
    effect = distance(problem.without(forget), cold)
    assert effect > 1e-3  # with the ties cut out of the model, a deletion of ties would have none
    assert distance(served.problem, cold) < 1e-3 * effect
    assert served.residual_ratio is not None and served.residual_ratio < 1e-4


@pytest.mark.parametrize("kind", ["one tie", "user"])
def test_a_small_request_moves_few_directions_and_comes_near_the_retrain(kind: str) -> None:
    problem, forget = trained(), some(kind)
    remaining = problem.without(forget)
    local = remaining.locality(problem, forget, problem.survey(), tail=0.01)
    assert local.start.numel() <= remaining.graph.n_nodes * DIM // 2
    cold = remaining.fit(remaining.settled(forget))
    served = Reconverge(accuracy=0.1).forget(problem, forget)
    assert distance(served.problem, cold) < 0.4 * distance(remaining, cold)


def test_a_request_of_ties_ages_the_history_and_removes_no_record() -> None:
    kept = replace(trained().history, residual=1.0)
    problem = trained().with_params(trained().params, history=kept)
    served = method("graph_drop").forget(problem, some("ties"))
    assert served.records_removed == 0
    assert served.problem.history.residual not in (None, 1.0)


def test_one_of_two_directions_leaves_the_tie_and_both_cut_it() -> None:
    problem = trained()
    both = some("one tie").ties
    assert len(both) == 2 and both[0] == both[1][::-1]
    one = problem.without(ForgetSet(ties=both[:1]))
    torch.testing.assert_close(one.readout()[0], problem.readout()[0], **EXACT64)
    assert one.data.digest() != problem.data.digest()
    assert one.units("tie").forget_set(np.arange(10**3)[: len(one.units("tie"))]).ties  # the other is still counted
    assert len(problem.without(ForgetSet(ties=both)).units("tie")) == len(problem.units("tie")) - 1


def test_units_keep_their_keys_and_take_both_directions_along() -> None:
    problem = trained()
    units = problem.units("tie")
    assert len(set(units.keys.tolist())) == len(units) == len(np.unique(np.sort(problem.data.ties, axis=1), axis=0))
    assert units.owners.tolist() == [-1] * len(problem.data) and units.counts.sum() == 0
    chosen = np.array([2, 5])
    forget = units.forget_set(chosen)
    assert len(forget.ties) == 4
    left = problem.without(forget).units("tie")
    assert left.keys.tolist() == np.delete(units.keys, chosen).tolist()
    assert not set(left.forget_set(np.arange(len(left))).ties) & set(forget.ties)


def test_a_tie_is_a_hop_where_the_model_uses_it() -> None:
    problem, forget = trained(), some("one tie")
    data = problem.data
    a, b = data.users.rows(forget.ties[0]).tolist()
    near = np.zeros(problem.graph.n_nodes, dtype=bool)
    near[[a, b]] = True
    adjacency = problem.graph.normalized.to_dense().numpy() > 0
    layers = problem.touched(forget, hops=2)["table"]
    assert layers[0].tolist() == sorted((a, b))
    for layer in layers[1:]:
        beyond = adjacency[near].any(0) & ~near
        assert layer.tolist() == np.flatnonzero(beyond).tolist()
        near |= beyond
    found = affected_users(problem, data.without(forget), forget, seed=0)
    assert found.tolist() == np.flatnonzero(near[: data.n_users]).tolist()
    plain = RecommenderProblem.build(data, dim=4)
    assert set(affected_users(plain, data.without(forget), forget, seed=0)) < set(found)
    # A forgotten user's friends lost a tie, as the items lost an interaction.
    user = some("user")
    friends = data.ties[data.ties[:, 0] == data.users.rows(user.users)[0], 1]
    assert set(friends.tolist()) <= set(problem.touched(user, hops=0)["table"][0].tolist())
    assert set(FittedRecommender.touched(problem, user, hops=0)["users"][0].tolist()) >= set(friends.tolist())


def test_a_request_of_ties_is_asked_about_ties() -> None:
    problem, forget = trained(), some("ties")
    scorer = RankingScorer(split().test)
    panel = scorer.panel(problem, forget, seed=0)
    cut, never = panel.forget_scores(problem)
    assert panel.tied is not None and cut.shape == (30,) and never.shape == (60,)
    users, items = problem.readout()
    scores = users @ items.T
    for pairs, told in ((panel.tied.cut, cut), (panel.tied.never, never)):
        assert told.tolist() == pytest.approx(
            [float(torch.cosine_similarity(scores[a], scores[b], dim=0)) for a, b in pairs.tolist()], rel=1e-9
        )
    ties = set(map(tuple, np.sort(problem.data.ties, axis=1).tolist()))
    assert all(tuple(sorted(pair)) in ties for pair in panel.tied.cut.tolist())
    assert not any(tuple(sorted(pair)) in ties or pair[0] == pair[1] for pair in panel.tied.never.tolist())
    assert panel.tied.never[:, 0].tolist() == panel.tied.cut.T.flatten().tolist()
    assert scorer.panel(problem, some("user and ties"), seed=0).tied is None
    one_way = ForgetSet(ties=forget.ties[:1])
    assert not len(TiedPairs.drawn(problem.data, problem.data.without(one_way), one_way, seed=0).cut)


def test_the_seed_draws_whom_they_were_not_tied_to_and_some_were_tied_to_everybody() -> None:
    data, forget = trained().data, some("ties")
    one, other = (TiedPairs.drawn(data, data.without(forget), forget, seed=seed).never for seed in (0, 1))
    assert torch.equal(one[:, 0], other[:, 0]) and not torch.equal(one[:, 1], other[:, 1])
    ties = np.array([(a, b) for a in range(3) for b in range(3) if a != b])
    friends = replace(synthetic(3, 8, 9, ties_per_user=0.0), ties=ties)
    cut = friends.units("tie").forget_set(np.array([0]))
    found = TiedPairs.drawn(friends, friends.without(cut), cut, seed=0)
    assert found.cut.tolist() == [[0, 1]] and found.never.shape == (0, 2)


def test_ends_are_less_alike_once_their_tie_is_forgotten() -> None:
    problem, forget = trained(), some("ties")
    panel = RankingScorer(split().test).panel(problem, forget, seed=0)
    before, after = (panel.forget_scores(one)[0] for one in (problem, problem.without(forget).fit()))
    assert float((before - after).mean()) > 0.01


def test_a_placebo_is_as_many_other_ties() -> None:
    problem, forget = trained(), some("ties")
    instead = RankingScorer(split().test).placebo(problem, forget, seed=0)
    assert len(instead.ties) == len(forget.ties) and not set(instead.ties) & set(forget.ties)
    assert problem.resolve(instead) == instead


def test_a_model_that_uses_no_ties_is_not_asked_about_them() -> None:
    plain = RecommenderProblem.build(split().refit(), dim=4)
    with pytest.raises(ValueError, match="more than ties for a model that does not use them"):
        RankingScorer(split().test).panel(plain, some("ties"), seed=0)


def test_someone_new_is_folded_in_among_the_ties_of_the_others() -> None:
    problem = trained()
    histories = problem.data.csr()[[3]]
    wider = np.zeros((problem.graph.n_nodes + 1,) * 2)
    n = problem.data.n_users
    old = np.r_[np.arange(n), np.arange(n, problem.graph.n_nodes) + 1]  # the newcomer is the last user
    between = problem.graph.adjacency(torch.ones_like(problem.graph.values)).to_dense().numpy()
    between[:n, :n] *= 0.5
    wider[np.ix_(old, old)] = between
    items = n + 1 + problem.data.indices[problem.data.indptr[3] : problem.data.indptr[4]]
    wider[n, items] = wider[items, n] = 1.0
    root = 1 / np.sqrt(np.maximum(wider.sum(1), 1e-300))
    a = root[:, None] * wider * root
    table = np.zeros((len(a), DIM))
    table[old] = problem.params["table"].numpy()
    final = sum(c * np.linalg.matrix_power(a, power) @ table for power, c in enumerate(problem.model.polynomial()))  # pyright: ignore
    torch.testing.assert_close(
        problem.fold_in(histories)[0], torch.from_numpy(final[n] @ final[n + 1 :].T), rtol=1e-8, atol=1e-9
    )


def test_a_shard_has_the_ties_of_its_own_users_and_is_trained_again_without_them() -> None:
    data = split().refit()
    small = RecommenderProblem.build(
        data, model="social_lightgcn", objective=WholeData(a=0.1, l2=1.0), dim=4, dtype=torch.float64
    )
    ensemble = ShardedRecommender.of(small).fit()
    held = sum(len(shard.problem.data.ties) for shard in ensemble.shards)
    assert 0 < held < len(data.ties)
    shard = next(shard for shard in ensemble.shards if len(shard.problem.units("tie")))
    forget = shard.problem.units("tie").forget_set(np.array([0]))
    after = ensemble.forget(forget)
    assert after.retrained == 1
    fresh = ShardedRecommender.of(small.without(forget)).fit()
    assert all(torch.equal(one, other) for one, other in zip(after.factors(), fresh.factors(), strict=True))
    assert not torch.equal(after.factors()[0], ensemble.factors()[0])
    plain = ShardedRecommender.of(RecommenderProblem.build(data, dim=4)).fit()
    assert plain.forget(forget).retrained == 0


@pytest.mark.parametrize("kind", ["ties", "user and ties"])
def test_what_is_forgotten_is_in_no_file(kind: str, tmp_path: Path) -> None:
    problem, forget = trained(), some(kind)
    after = method("reconverge").forget(problem, forget).problem
    assert isinstance(after, RecommenderProblem)
    assert not after.resolve(forget, unknown="skip")
    save(after, tmp_path / "model")
    to_parquet(after.data, tmp_path / "data.parquet")
    back = load(tmp_path / "model", from_parquet(tmp_path / "data.parquet"))
    assert isinstance(back, RecommenderProblem)
    assert torch.equal(back.graph.values, after.graph.values)
    assert back.model.arguments() == problem.model.arguments()
    assert all(torch.equal(a, b) for a, b in zip(back.readout(), after.readout(), strict=True))
    kept = set(zip(*(back.data.users.take(side) for side in back.data.ties.T), strict=True))
    assert not kept & set(forget.ties) and not {user for tie in kept for user in tie} & set(forget.users)
    files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(user.encode() in content for user in forget.users for content in files)
