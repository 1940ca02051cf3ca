"""What an evaluation asks of a recommender: affected users, halves of a history, folding in, utility."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array

from recsys.closed_form import closed_form
from recsys.data import Interactions
from recsys.evaluate import evaluate
from recsys.fitted import FittedRecommender
from recsys.foldin import split_history
from recsys.membership import PairExamples
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.recommend import ScoreRanker
from recsys.scorer import RankingScorer, affected_users
from tests.recsys.conftest import tiny_interactions
from tests.tolerances import EXACT64
from unlearn.forget import ForgetSet
from unlearn.history import History

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
def test_affected_users_are_those_within_two_hops(train: Interactions, problem: RecommenderProblem, kind: str) -> None:
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
    found = affected_users(problem, train.without(forget), forget, seed=0)
    assert found.tolist() == sorted(expected)
    assert 0 < len(found) < train.n_users - 1


def test_affected_users_are_drawn_by_seed(
    train: Interactions, problem: RecommenderProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.scorer._MOST_AFFECTED", 3)
    forget = ForgetSet(users=(BUSY,))
    drawn = [affected_users(problem, train.without(forget), forget, seed=seed).tolist() for seed in (0, 0, 1, 2)]
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


def dense_readout(problem: RecommenderProblem, extra: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
    """The slow truth: final embeddings over the dense graph with more users [q, m], then more items [p, n]."""
    data = problem.data
    dense = torch.from_numpy(data.csr().todense()).double()
    dense = torch.cat([dense, extra.double()])
    dense = torch.cat([dense, torch.cat([items.double(), torch.zeros(len(items), len(extra)).double()], 1).T], 1)
    block = dense / dense.sum(1).clamp_min(1).sqrt()[:, None] / dense.sum(0).clamp_min(1).sqrt()
    n, m = dense.shape
    a = torch.zeros(n + m, n + m, dtype=torch.float64)
    a[:n, n:], a[n:, :n] = block, block.T
    table = problem.params["table"]
    of_users, of_items = table[: data.n_users], table[data.n_users :]
    blank = table.new_zeros
    power = torch.cat([of_users, blank(len(extra), 6), of_items, blank(len(items), 6)])
    total = power.clone()
    for _ in range(3):
        power = a @ power
        total = total + power
    return total / 4


def test_folding_in_is_the_propagation_of_the_new_edges(problem: RecommenderProblem, train: Interactions) -> None:
    forget = ForgetSet(users=(BUSY,), items=(103,))
    remaining = problem.without(forget)
    after = remaining.with_params(remaining.settled(forget))
    histories = torch.zeros(2, train.n_items)
    histories[0, [2, 5, 7]] = histories[1, [1, 5]] = 1.0
    n = train.n_users
    truth = dense_readout(after, histories, torch.zeros(0, n))
    expected = truth[n : n + 2] @ truth[n + 2 :].T
    torch.testing.assert_close(after.fold_in(csr_array(histories.numpy())), expected, **EXACT64)
    assert expected.abs().max() > 0.01

    of_items = torch.zeros(1, n)
    of_items[0, [0, 3, 4]] = 1.0
    truth = dense_readout(after, torch.zeros(0, train.n_items), of_items)
    torch.testing.assert_close(after.fold_in_items(csr_array(of_items.numpy())), truth[:n] @ truth[-1:].T, **EXACT64)


def test_without_a_graph_the_mean_of_the_folded_items_stands_in(train: Interactions) -> None:
    problem = trained(train, "mf")
    histories = torch.zeros(1, train.n_items)
    histories[0, [2, 5, 7]] = 1.0
    items = problem.readout()[1]
    expected = items[[2, 5, 7]].mean(0) @ items.T
    torch.testing.assert_close(problem.fold_in(csr_array(histories.numpy()))[0], expected, **EXACT64)


@pytest.mark.parametrize("kind", ["user", "item"])
def test_the_forgotten_are_asked_about_half_their_history_after_folding_in_the_other(
    scorer: RankingScorer, problem: RecommenderProblem, train: Interactions, kind: str
) -> None:
    forget = ForgetSet(users=(BUSY,)) if kind == "user" else ForgetSet(items=(103,))
    halves = split_history(train, forget, seed=0)
    panel = scorer.panel(problem, forget, seed=0)
    after = problem.without(forget)
    after = after.with_params(after.settled(forget))
    matrix = np.zeros((train.n_users, train.n_items), dtype=np.float32)
    matrix[halves.folded] = 1.0
    if kind == "user":
        row = int(train.users.rows([BUSY])[0])
        expected = after.fold_in(csr_array(matrix[[row]]))[0, halves.asked[1]]
    else:
        column = int(train.items.rows([103])[0])
        found = after.fold_in_items(csr_array(matrix[:, [column]].T))
        expected = found[halves.asked[0], 0]
    assert len(expected) > 0
    torch.testing.assert_close(panel.forget_scores(after)[0], expected, **EXACT64)
    # A model that still holds them is asked as it is.
    scores = problem.scores(halves.asked[0])[torch.arange(len(expected)), halves.asked[1]]
    torch.testing.assert_close(panel.forget_scores(problem)[0], scores, **EXACT64)


@dataclass(frozen=True, eq=False)
class Remembering(FittedRecommender):
    """Scores from a table, without factors, and nothing folded in for items."""

    data: Interactions
    table: torch.Tensor
    history: History

    def fit(self, init: object = None, *, options: object = None) -> Remembering:
        return self

    def without(self, forget: ForgetSet) -> Remembering:
        return replace(self, data=self.data.without(forget))

    def scores(self, users: np.ndarray) -> torch.Tensor:
        return self.table[torch.from_numpy(users)].clone()

    def fold_in(self, histories: csr_array) -> torch.Tensor:
        return torch.from_numpy(histories.toarray()).double()


def test_what_a_forgotten_item_scores_is_no_distance(scorer: RankingScorer, problem: RecommenderProblem) -> None:
    """Nobody is ever shown it: how far a method leaves its column says nothing of what the others are recommended."""
    item = int(np.argmax(problem.data.degrees()[1]))
    forget = ForgetSet(items=tuple(problem.data.items.take([item])))
    panel = scorer.panel(problem, forget, seed=0)
    left = [row for row in range(problem.data.n_items) if row != item]
    retrained = problem.without(forget).fit()
    rows = panel.affected
    users, items = retrained.readout()
    formed = users @ items.T
    wild = formed.clone()
    wild[:, item] += 100.0
    expected = float((problem.scores(rows.numpy()) - formed[rows])[:, left].norm())
    before, after = panel.answers(problem), panel.answers(retrained)
    assert panel.distance(before, after, rows) == pytest.approx(expected, rel=1e-9)
    assert panel.norm(after, rows) == pytest.approx(float(formed[rows][:, left].norm()), rel=1e-9)
    other = panel.answers(Remembering(problem.data, wild, History()))  # without factors
    assert panel.distance(other, before, rows) == pytest.approx(expected, rel=1e-9)
    assert panel.distance(other, after, rows) < 1e-9 * expected
    assert panel.norm(other, rows) == pytest.approx(panel.norm(after, rows), rel=1e-9)


def test_a_model_without_factors_is_asked_the_same(
    scorer: RankingScorer, problem: RecommenderProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recsys.ranking._CHUNK_ENTRIES", 2 * problem.data.n_items)
    users, items = problem.readout()
    other = Remembering(problem.data, users @ items.T, History())
    forget = ForgetSet(users=(BUSY,), items=(103,))
    panel = scorer.panel(problem, forget, seed=0)
    moved = problem.with_params({"table": 1.1 * problem.params["table"]})
    rows = panel.affected
    theirs = panel.answers(other)
    assert panel.distance(panel.answers(moved), theirs, rows) == pytest.approx(
        panel.distance(panel.answers(moved), panel.answers(problem), rows), rel=1e-9
    )
    assert panel.distance(theirs, panel.answers(problem), rows) < 1e-9 * panel.norm(theirs, rows)
    assert panel.norm(theirs, rows) == pytest.approx(panel.norm(panel.answers(problem), rows), rel=1e-9)
    assert panel.utility(other) == pytest.approx(panel.utility(problem), nan_ok=True)
    assert torch.equal(panel.lists(other), panel.lists(problem))
    pairs = torch.tensor([[3, 1], [0, 2], [3, 4], [0, 2]])
    torch.testing.assert_close(other.outputs(pairs), problem.outputs(pairs), **EXACT64)
    assert other.outputs(pairs[:0]).shape == (0,)
    # What cannot be folded in cannot be asked about.
    only_users = scorer.panel(problem, ForgetSet(items=(103,)), seed=0).forget_scores(
        other.without(ForgetSet(items=(103,)))
    )
    assert only_users[0].numel() == 0 < only_users[1].numel()
    assert isinstance(other.ranker(), ScoreRanker)
    user = problem.data.users.take([0])[0]
    assert other.ranker().recommend(user, k=4).ids.tolist() == problem.ranker().recommend(user, k=4).ids.tolist()


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


@pytest.mark.parametrize("name", ["als", "ease", "graph_filter"])
def test_a_closed_form_is_retrained_by_the_seed_where_it_has_one(
    name: str, scorer: RankingScorer, train: Interactions
) -> None:
    model = closed_form(name, train, **({"seed": 3, "dim": 2, "l2": 0.1} if name == "als" else {}))
    users = np.arange(train.n_users)
    own, same, other = (one.scores(users) for one in (model.fit(), *(scorer.polish(model, seed=s) for s in (3, 4))))
    if name == "als":  # below the rank of the optimum two starts end apart
        assert same.equal(own) and (other - own).norm() > 0.01 * own.norm()
    else:
        torch.testing.assert_close(other, own)


def test_the_placebo_is_of_equal_size_and_disjoint(scorer: RankingScorer, problem: RecommenderProblem) -> None:
    forget = ForgetSet(users=(BUSY, "u03"), items=(103,), interactions=(pair(problem.data, 0),))
    placebo = scorer.placebo(problem, forget, seed=0)
    assert placebo.counts() == forget.counts()
    assert not set(placebo.users) & set(forget.users)
    assert not set(placebo.items) & set(forget.items)
    assert not set(placebo.interactions) & set(forget.interactions)


def test_people_who_are_each_others_items_are_drawn_pair_by_pair() -> None:
    """A user and an item of one id have one key: what the two ends make together must not depend on their order."""
    ends = np.argwhere(np.random.default_rng(0).random((40, 40)) < 0.15)
    both = np.unique(np.concatenate([ends, ends[:, ::-1]]), axis=0)
    data = Interactions.from_frame(pd.DataFrame(both, columns=["user", "item"]))
    forget = ForgetSet(interactions=((int(both[0, 0]), int(both[0, 1])),))
    problem = RecommenderProblem.build(data, dim=2)
    many = replace(forget, interactions=tuple((int(a), int(b)) for a, b in both[:60]))
    scorer = RankingScorer(data.take(np.arange(len(data), step=3)))
    placebo = {(a, b) for a, b in scorer.placebo(problem, many, seed=0).interactions}
    asked = scorer.examples(problem, forget, seed=0, most=60)
    assert isinstance(asked, PairExamples)
    retained = {(int(a), int(b)) for a, b in np.column_stack(asked.pairs)[asked.groups["retain"]]}
    held_out = {(int(a), int(b)) for a, b in np.column_stack(asked.pairs)[asked.groups["held_out"]]}
    for drawn in (placebo, retained, held_out):
        assert len(drawn) == 60
        assert 0 < sum((b, a) in drawn for a, b in drawn) < 36
