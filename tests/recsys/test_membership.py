"""Signals of pairs against explicit softmaxes and ranks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

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
    again, others = (pair_examples(data, test, forget, seed=seed, most=25) for seed in (0, 1))
    assert torch.equal(again.units, examples.units)
    for where in examples.groups.values():
        assert any((one[where] != other[where]).any() for one, other in zip(others.pairs, examples.pairs, strict=True))


def test_of_users_it_is_the_mean_of_half_their_items(
    parts: tuple[Interactions, Interactions], problem: RecommenderProblem
) -> None:
    data, test = parts
    (forget,) = requests("users:5", data, seed=0)
    examples = pair_examples(data, test, forget, seed=0, most=8)
    assert examples.unit == "user" and examples.groups["forget"] == slice(0, 5)
    gone = data.users.rows(forget.users)
    everyone = np.sort(gone)
    remaining = problem.without(forget)
    lost = ForgetSet(items=tuple(data.items.take(examples.histories[gone].indices[:1])))
    # One that holds them, one that folds them in, and one that does and lacks an item that one of them had.
    for model in (problem, remaining, remaining.without(lost)):
        found = examples.signal(model)
        for place, user in enumerate(examples.units[:5].tolist()):
            asked = split_history(data, ForgetSet(users=tuple(data.users.take([user]))), seed=0).asked[1]
            scores = model.scores(np.array([user]))[0]
            if model is not problem:
                had = examples.histories[everyone].toarray() * model.data.items.alive
                scores = model.fold_in(csr_array(had))[np.searchsorted(everyone, user)]
            told = scores.double().log_softmax(0)[torch.from_numpy(asked)]
            assert float(found[place]) == pytest.approx(float(told.mean()))


def test_of_whom_there_is_nothing_to_ask_nothing_is_asked(
    parts: tuple[Interactions, Interactions], problem: RecommenderProblem
) -> None:
    data, test = parts
    nobody, somebody = data.users.ids[:2]
    frame = data.frame()
    pairs = tuple((nobody, item) for item in frame["item"][frame["user"] == nobody])
    left = problem.without(ForgetSet(interactions=pairs))
    examples = pair_examples(left.data, test, ForgetSet(users=(nobody, somebody)), seed=0, most=5)
    assert examples.units[examples.groups["forget"]].tolist() == [1]
    assert examples.signal(left).isfinite().all()
    with pytest.raises(ValueError, match="must name users with interactions"):
        pair_examples(left.data, test, ForgetSet(users=(nobody,)), seed=0, most=5)


def test_what_was_forgotten_before_is_neither_candidate_nor_yardstick(
    parts: tuple[Interactions, Interactions], problem: RecommenderProblem
) -> None:
    data, test = parts
    left = problem.without(ForgetSet(users=tuple(data.users.ids[:5]), items=tuple(data.items.ids[:5])))
    scores = left.scores(np.arange(data.n_users))
    for specification in ("random:0.1", "items:4"):
        (forget,) = requests(specification, left.data, seed=0)
        examples = pair_examples(left.data, test, forget, seed=0, most=1_000)
        assert min(map(min, examples.pairs)) >= 5
        pairs = zip(*examples.pairs, strict=True)
        told = torch.tensor([float(scores[u, 5:].log_softmax(0)[i - 5]) for u, i in pairs])
        assert examples.signal(left).tolist() == pytest.approx(means(examples, told))


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


def test_of_items_it_is_the_mean_over_half_of_their_users_the_other_half_folded_in(
    parts: tuple[Interactions, Interactions], problem: RecommenderProblem
) -> None:
    data, test = parts
    (forget,) = requests("items:4", data, seed=0)
    examples = pair_examples(data, test, forget, seed=0, most=6)
    assert examples.unit == "item"
    rows, columns = examples.pairs
    units = examples.units.numpy()
    assert set(units[examples.groups["forget"]]) == set(data.items.rows(forget.items).tolist())
    held = np.flatnonzero(np.isin(examples.owner, np.arange(len(units))[examples.groups["held_out"]]))
    assert test.contains(rows[held], columns[held]).all()
    assert set(columns[held]) <= set(units[units >= 0])
    users, items = examples.histories.nonzero()
    asked = set(zip(rows.tolist(), columns.tolist(), strict=True))
    folded = set(zip(users.tolist(), items.tolist(), strict=True))
    assert not asked & folded
    for unit in units[units >= 0]:
        mine = [sum(item == unit for _, item in pairs) for pairs in (asked & pairs_of(data), folded)]
        assert mine[0] - mine[1] in (0, 1) and sum(mine) == data.degrees()[1][unit]
    # Where the model holds the items they are asked as they are, elsewhere as if they came back.
    scores = problem.scores(np.arange(data.n_users))
    kept = torch.tensor(explicit(problem, examples, scores))
    assert examples.signal(problem).tolist() == pytest.approx(means(examples, kept))
    without = problem.without(forget).fit()
    scores = without.scores(np.arange(data.n_users))
    gone = data.items.rows(forget.items)
    scores[:, gone] = without.fold_in_items(examples.histories[:, gone].T.tocsr())
    away = torch.tensor(explicit(without, examples, scores))
    assert examples.signal(without).tolist() == pytest.approx(means(examples, away))
    forgotten = examples.groups["forget"]
    assert (examples.signal(problem)[forgotten] > examples.signal(without)[forgotten]).all()


def pairs_of(data: Interactions) -> set[tuple[int, int]]:
    return set(zip(data.user_rows().tolist(), data.item_rows().tolist(), strict=True))


def means(examples: PairExamples, of_pairs: torch.Tensor) -> list[float]:
    return [float(of_pairs[examples.owner == k].mean()) for k in range(len(examples.units))]


def test_ties_and_mixed_requests_are_refused(parts: tuple[Interactions, Interactions]) -> None:
    data, test = parts
    ties, items, users = (requests(text, data, seed=0)[0] for text in ("ties:2", "items:1", "users:1"))
    for forget in (ties, items | users):
        with pytest.raises(ValueError, match="one of them alone"):
            pair_examples(data, test, forget, seed=0, most=5)
