"""Signals of pairs against explicit softmaxes and ranks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys.data import Interactions, ratio, synthetic
from recsys.foldin import split_history
from recsys.membership import PairExamples, pair_examples
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.requests import requests
from unlearn.forget import ForgetSet


@pytest.fixture(scope="module")
def parts() -> tuple[Interactions, Interactions]:
    split = ratio(synthetic(60, 40, 900, seed=5), seed=0)
    return split.refit(), split.test


@pytest.fixture(scope="module")
def problem(parts: tuple[Interactions, Interactions]) -> RecommenderProblem:
    return RecommenderProblem.build(parts[0], objective=WholeData(a=0.1, l2=1.0), dtype=torch.float64, dim=8).fit()


def explicit(problem: RecommenderProblem, examples: PairExamples, scores: torch.Tensor) -> list[float]:
    """log softmax of every pair, one at a time."""
    return [float(scores[u].log_softmax(0)[i]) for u, i in zip(*examples.pairs, strict=True)]


def test_of_single_interactions_it_is_the_log_softmax_over_the_items(
    parts: tuple[Interactions, Interactions], problem: RecommenderProblem
) -> None:
    data, test = parts
    (forget,) = requests("random:0.1", data, seed=0)
    examples = pair_examples(data, test, forget, seed=0, most=25)
    assert {name: where.stop - where.start for name, where in examples.groups.items()} == {
        "forget": 25, "retain": 25, "held_out": 25
    }  # fmt: skip
    assert examples.unit == "interaction"
    scores = problem.scores(np.arange(data.n_users))
    assert examples.signal(problem).tolist() == pytest.approx(explicit(problem, examples, scores))
    # Units are positions of interactions; held-out ones are nobody's.
    units = examples.units.numpy()
    assert set(units[examples.groups["forget"]]) <= set(data.positions(forget))
    assert not set(units[examples.groups["retain"]]) & set(data.positions(forget))
    assert (units[examples.groups["held_out"]] == -1).all()
    rows, columns = examples.pairs
    held = examples.groups["held_out"]
    assert test.contains(rows[held], columns[held]).all()
    trained = slice(0, held.start)
    assert (data.user_rows()[units[trained]] == rows[trained]).all()


def test_the_rank_is_the_share_of_items_below(
    parts: tuple[Interactions, Interactions], problem: RecommenderProblem
) -> None:
    data, test = parts
    (forget,) = requests("random:0.1", data, seed=0)
    examples = pair_examples(data, test, forget, seed=0, most=10, kind="rank")
    scores = problem.scores(np.arange(data.n_users))
    expected = [float((scores[u] < scores[u, i]).double().mean()) for u, i in zip(*examples.pairs, strict=True)]
    assert examples.signal(problem).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("level", ["mean", "max"])
def test_of_users_it_is_the_mean_or_the_largest_of_half_their_items(
    parts: tuple[Interactions, Interactions], problem: RecommenderProblem, level: str
) -> None:
    data, test = parts
    (forget,) = requests("users:5", data, seed=0)
    examples = pair_examples(data, test, forget, seed=0, most=8, level=level)
    assert examples.unit == "user" and examples.groups["forget"] == slice(0, 5)
    remaining = problem.without(forget)
    for model in (problem, remaining):  # one that holds them, one that folds them in
        found = examples.signal(model)
        for place, user in enumerate(examples.units[:5].tolist()):
            asked = split_history(data, ForgetSet(users=tuple(data.users.take([user]))), seed=0).asked[1]
            scores = model.scores(np.array([user]))[0]
            if model is remaining:
                gone = data.users.rows(forget.users)
                everyone = np.sort(np.concatenate([gone]))
                scores = model.fold_in(examples.histories[everyone])[np.searchsorted(everyone, user)]
            told = scores.double().log_softmax(0)[torch.from_numpy(asked)]
            assert float(found[place]) == pytest.approx(float(told.mean() if level == "mean" else told.max()))


def test_the_unknown_part_is_a_group_of_its_own(parts: tuple[Interactions, Interactions]) -> None:
    data, test = parts
    (all_of_it,) = requests("random:0.1", data, seed=0)
    pairs = all_of_it.interactions
    known, unknown = (ForgetSet(interactions=part) for part in (pairs[:20], pairs[20:]))
    examples = pair_examples(data, test, known, seed=0, most=1_000, unknown=unknown)
    units = examples.units.numpy()
    assert set(units[examples.groups["unknown"]]) == set(data.positions(unknown))
    assert set(units[examples.groups["forget"]]) == set(data.positions(known))
    assert not set(units[examples.groups["retain"]]) & set(data.positions(all_of_it))


def test_items_have_no_score_to_attack(parts: tuple[Interactions, Interactions]) -> None:
    data, test = parts
    (forget,) = requests("items:2", data, seed=0)
    with pytest.raises(ValueError, match="no score to attack"):
        pair_examples(data, test, forget, seed=0, most=5)
