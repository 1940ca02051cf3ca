"""What an evaluation asks of a recommender: affected users, halves of a history, folding in, utility."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys.data import Interactions
from recsys.evaluate import evaluate
from recsys.foldin import folded_readout, split_history
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.scorer import RankingScorer, affected_users
from tests.recsys.conftest import tiny_interactions
from tests.tolerances import EXACT64
from unlearn.forget import ForgetSet

BUSY = "u10"


def trained(data: Interactions, model: str = "lightgcn") -> RecommenderProblem:
    return RecommenderProblem.build(
        data, model=model, objective=WholeData(l2=0.1, a=0.2), dtype=torch.float64, dim=6
    ).fit()


@pytest.fixture(scope="module")
def train() -> Interactions:
    return tiny_interactions(density=0.15)


@pytest.fixture(scope="module")
def scorer(train: Interactions) -> RankingScorer:
    test = tiny_interactions(density=0.3, seed=9)
    return RankingScorer(test.take(np.flatnonzero(~train.contains(test.user_rows(), test.indices))))


@pytest.fixture(scope="module")
def problem(train: Interactions) -> RecommenderProblem:
    return trained(train)


def pair(data: Interactions, position: int) -> tuple[str, int]:
    return data.users.take([data.user_rows()[position]])[0], data.items.take([data.indices[position]])[0]


@pytest.mark.parametrize("kind", ["user", "item", "interaction", "mixed"])
def test_affected_users_are_those_within_two_hops(train: Interactions, kind: str) -> None:
    forget = {
        "user": ForgetSet(users=(BUSY,)),
        "item": ForgetSet(items=(103,)),
        "interaction": ForgetSet(interactions=(pair(train, 5),)),
        "mixed": ForgetSet(users=(BUSY,), interactions=(pair(train, 5),)),
    }[kind]
    items_of = {u: set(train.indices[train.indptr[u] : train.indptr[u + 1]]) for u in range(train.n_users)}
    start = {int(row) for row in train.users.rows(forget.users)}
    start |= {int(train.users.rows([user])[0]) for user, _ in forget.interactions}
    reached = set().union(*(items_of[u] for u in start)) | {int(row) for row in train.items.rows(forget.items)}
    expected = {u for u in items_of if items_of[u] & reached} | start
    expected -= {int(row) for row in train.users.rows(forget.users)}
    found = affected_users(train, train.without(forget), forget, seed=0)
    assert found.tolist() == sorted(expected)
    assert 0 < len(found) < train.n_users - 1


def test_affected_users_are_drawn_by_seed(train: Interactions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recsys.scorer._MOST_AFFECTED", 3)
    forget = ForgetSet(users=(BUSY,))
    drawn = [affected_users(train, train.without(forget), forget, seed=seed).tolist() for seed in (0, 0, 1, 2)]
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 3
    assert len(set(map(tuple, drawn))) > 1


def test_halves_of_a_history_are_disjoint_and_even(train: Interactions) -> None:
    forget = ForgetSet(users=(BUSY, "u05"), interactions=(pair(train, 0),))
    halves = split_history(train, forget, seed=0)
    asked, folded = (
        set(zip(*(part.tolist() for part in pairs), strict=True)) for pairs in (halves.asked, halves.folded)
    )
    gone = train.positions(forget)
    assert asked | folded == set(zip(train.user_rows()[gone].tolist(), train.indices[gone].tolist(), strict=True))
    assert not asked & folded
    for row in train.users.rows(forget.users).tolist():
        sides = [sum(user == row for user, _ in part) for part in (asked, folded)]
        assert sides[0] - sides[1] in (0, 1)
    assert (int(train.user_rows()[0]), int(train.indices[0])) in asked


def test_folding_in_is_the_propagation_of_half_the_edges(problem: RecommenderProblem, train: Interactions) -> None:
    forget = ForgetSet(users=(BUSY,))
    halves = split_history(train, forget, seed=0)
    remaining = problem.without(forget)
    after = remaining.with_params(remaining.settled(forget))
    users, items = folded_readout(after, problem, forget, halves)
    # The slow truth: the dense graph with the remaining edges and the folded ones, and a zero row.
    dense = torch.from_numpy(remaining.data.csr().todense()).double()
    dense[halves.folded[0], halves.folded[1]] = 1.0
    du, di = dense.sum(1).clamp_min(1), dense.sum(0).clamp_min(1)
    block = dense / du.sqrt()[:, None] / di.sqrt()
    n = train.n_users
    a = torch.zeros(n + train.n_items, n + train.n_items, dtype=torch.float64)
    a[:n, n:], a[n:, :n] = block, block.T
    table = problem.params["table"].clone()
    row = int(train.users.rows([BUSY])[0])
    table[row] = 0.0
    power, total = table, table
    for _ in range(3):
        power = a @ power
        total = total + power
    torch.testing.assert_close(torch.cat([users, items]), total / 4, **EXACT64)
    assert users[row].abs().sum() > 0


def test_a_model_that_still_holds_the_user_is_asked_as_it_is(problem: RecommenderProblem, train: Interactions) -> None:
    forget = ForgetSet(users=(BUSY,))
    found = folded_readout(problem, problem, forget, split_history(train, forget, seed=0))
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, problem.readout(), strict=True))


def test_without_a_graph_the_mean_of_the_folded_items_stands_in(train: Interactions) -> None:
    problem, forget = trained(train, "mf"), ForgetSet(users=(BUSY,))
    remaining = problem.without(forget)
    halves = split_history(train, forget, seed=0)
    users, _ = folded_readout(remaining.with_params(remaining.settled(forget)), problem, forget, halves)
    expected = problem.readout()[1][halves.folded[1]].mean(0)
    torch.testing.assert_close(users[train.users.rows([BUSY])[0]], expected, **EXACT64)


def test_forget_scores_are_those_of_the_readout(
    scorer: RankingScorer, problem: RecommenderProblem, train: Interactions
) -> None:
    forget = ForgetSet(interactions=(pair(train, 0), pair(train, 7)))
    positive, negative = scorer.panel(problem, forget, seed=0).forget_scores(problem)
    scores = problem.readout()[0] @ problem.readout()[1].T
    rows = train.user_rows()[[0, 7]]
    torch.testing.assert_close(positive.sort().values, scores[rows, train.indices[[0, 7]]].sort().values, **EXACT64)
    held = [
        scores[u, i] for u in set(rows.tolist()) for i in scorer.test.indices[slice(*scorer.test.indptr[u : u + 2])]
    ]
    torch.testing.assert_close(negative.sort().values, torch.stack(held).sort().values, **EXACT64)


def test_utility_is_that_of_remaining_users_by_stratum(scorer: RankingScorer, problem: RecommenderProblem) -> None:
    forget = ForgetSet(users=(BUSY,))
    panel = scorer.panel(problem, forget, seed=0)
    found = panel.utility(problem.without(forget))
    left = problem.data.without(forget)
    expected = evaluate(*problem.without(forget).readout(), train=left, test=scorer.test)
    assert problem.data.users.rows([BUSY])[0] not in expected.rows
    assert found["recall_at_20"] == expected.summary()["recall_at_20"]
    assert {f"ndcg_at_20_{part}" for part in ("low", "middle", "high")} < set(found)
    broken = problem.with_params({"table": problem.params["table"] * torch.nan})
    assert np.isnan(panel.utility(broken)["recall_at_20"])
    assert (panel.lists(broken) == -1).all()


def test_lists_leave_out_what_remains_and_let_the_deleted_compete(
    scorer: RankingScorer, problem: RecommenderProblem, train: Interactions
) -> None:
    forget = ForgetSet(items=(103,), interactions=(pair(train, 0),))
    panel = scorer.panel(problem, forget, seed=0)
    lists = panel.lists(problem.without(forget))
    left = train.without(forget)
    dead = int(train.items.rows([103])[0])
    for row, places in zip(panel.affected.tolist(), lists.tolist(), strict=True):
        kept = set(left.indices[left.indptr[row] : left.indptr[row + 1]].tolist())
        assert {place for place in places if place >= 0} == set(range(train.n_items)) - kept - {dead}


def test_the_placebo_is_of_equal_size_and_disjoint(scorer: RankingScorer, problem: RecommenderProblem) -> None:
    forget = ForgetSet(users=(BUSY, "u03"), items=(103,), interactions=(pair(problem.data, 0),))
    placebo = scorer.placebo(problem, forget, seed=0)
    assert placebo.counts() == forget.counts()
    assert not set(placebo.users) & set(forget.users)
    assert not set(placebo.items) & set(forget.items)
    assert not set(placebo.interactions) & set(forget.interactions)
