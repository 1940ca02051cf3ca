"""Ranking metrics against PyG's and against a loop over users and places."""

from __future__ import annotations

from math import log2
from typing import Any, Never

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from recsys.data import Interactions, Vocabulary
from recsys.evaluate import evaluate, terciles
from recsys.ranking import chunks
from unlearn.forget import ForgetSet

N_USERS, N_ITEMS = 40, 60
KS = (1, 5, 20)


def interactions(pairs: NDArray[np.int64], n_users: int = N_USERS, n_items: int = N_ITEMS) -> Interactions:
    frame = pd.DataFrame(pairs, columns=["user", "item"])
    return Interactions.from_frame(frame, users=Vocabulary(range(n_users)), items=Vocabulary(range(n_items)))


@pytest.fixture(scope="module")
def split() -> tuple[Interactions, Interactions]:
    rng = np.random.default_rng(3)
    held = rng.random((N_USERS, N_ITEMS))
    held[7] = 1.0  # a user without test items
    held[8] = np.where(np.arange(N_ITEMS) < 58, 0.1, 0.2)  # one with fewer candidates than places
    return interactions(np.argwhere(held < 0.15)), interactions(np.argwhere((held >= 0.15) & (held < 0.25)))


@pytest.fixture(scope="module")
def tables() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(N_USERS, 8, generator=generator), torch.randn(N_ITEMS, 8, generator=generator)


def ranking(scores: NDArray[np.float32], seen: set[int]) -> list[int]:
    """The slow truth: candidates by falling score, then by row."""
    return sorted((i for i in range(len(scores)) if i not in seen), key=lambda i: (-scores[i], i))


def slow(scores: NDArray[np.float32], train: Interactions, test: Interactions, k: int) -> dict[str, dict[int, float]]:
    seen = [set(train.indices[train.indptr[u] : train.indptr[u + 1]]) for u in range(train.n_users)]
    wanted = [set(test.indices[test.indptr[u] : test.indptr[u + 1]]) for u in range(test.n_users)]
    found: dict[str, dict[int, float]] = {}
    for user in range(len(scores)):
        if not wanted[user]:
            continue
        places = ranking(scores[user], seen[user])[:k]
        hits = [item in wanted[user] for item in places]
        n = len(wanted[user])
        values = {
            "recall": sum(hits) / n,
            "precision": sum(hits) / k,
            "hit_rate": float(any(hits)),
            "mrr": max([hit / (j + 1) for j, hit in enumerate(hits)], default=0.0),
            "map": sum(hit * sum(hits[: j + 1]) / (j + 1) for j, hit in enumerate(hits)) / min(n, k),
            "ndcg": sum(hit / log2(j + 2) for j, hit in enumerate(hits))
            / sum(1 / log2(j + 2) for j in range(min(n, k))),
            "popularity": float(np.mean([(train.indices == item).sum() for item in places])),
        }
        for name, value in values.items():
            found.setdefault(name, {})[user] = value
    return found


@pytest.mark.parametrize("k", KS)
def test_equals_the_slow_truth(split: tuple[Interactions, Interactions], tables: tuple[Tensor, Tensor], k: int) -> None:
    train, test = split
    metrics = evaluate(*tables, train=train, test=test, ks=KS)
    truth = slow((tables[0] @ tables[1].T).numpy(), train, test, k)
    assert 7 not in metrics.rows
    for name, values in truth.items():
        got = dict(zip(metrics.rows.tolist(), metrics.per_user[f"{name}_at_{k}"].tolist(), strict=True))
        assert got == pytest.approx(values), name
        assert metrics.summary()[f"{name}_at_{k}"] == pytest.approx(np.mean(list(values.values())))


@pytest.mark.parametrize("k", KS)
@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # while importing PyG
def test_equals_pyg(split: tuple[Interactions, Interactions], tables: tuple[Tensor, Tensor], k: int) -> None:
    from torch_geometric.metrics import (
        LinkPredAveragePopularity,
        LinkPredCoverage,
        LinkPredHitRatio,
        LinkPredMAP,
        LinkPredMRR,
        LinkPredNDCG,
        LinkPredPrecision,
        LinkPredRecall,
    )

    train, test = split
    # PyG takes lists of full length only.
    rows = np.array([u for u in range(N_USERS) if u not in (7, 8)])
    scores = (tables[0] @ tables[1].T).clone()
    scores[torch.from_numpy(train.user_rows()), torch.from_numpy(train.indices)] = -torch.inf
    lists = scores[rows].topk(k, dim=1).indices
    user = test.user_rows()
    kept = np.isin(user, rows)
    label = torch.from_numpy(np.stack([np.searchsorted(rows, user[kept]), test.indices[kept]]))
    popularity = torch.from_numpy(train.degrees()[1]).float()
    theirs = {
        "recall": LinkPredRecall(k),
        "ndcg": LinkPredNDCG(k),
        "precision": LinkPredPrecision(k),
        "map": LinkPredMAP(k),
        "mrr": LinkPredMRR(k),
        "hit_rate": LinkPredHitRatio(k),
        "popularity": LinkPredAveragePopularity(k, popularity),
        "coverage": LinkPredCoverage(k, N_ITEMS),
    }
    ours = evaluate(*tables, train=train, test=test, ks=KS, users_subset=rows).summary()
    for name, metric in theirs.items():
        metric.update(lists, label)
        assert ours[f"{name}_at_{k}"] == pytest.approx(float(metric.compute()), rel=1e-5), name


def test_list_lengths_may_be_numpys(split: tuple[Interactions, Interactions], tables: tuple[Tensor, Tensor]) -> None:
    train, test = split
    one, other = (evaluate(*tables, train=train, test=test, ks=ks).summary() for ks in (KS, list(np.array(KS))))
    assert one == other


def test_equal_scores_rank_by_row(split: tuple[Interactions, Interactions]) -> None:
    train, test = split
    coarse = torch.ones(N_USERS, 1), torch.arange(N_ITEMS).remainder(3).float()[:, None]
    for tables in (coarse, (torch.zeros(N_USERS, 1), coarse[1])):
        metrics = evaluate(*tables, train=train, test=test)
        truth = slow((tables[0] @ tables[1].T).numpy(), train, test, 20)
        assert metrics.per_user["ndcg_at_20"].tolist() == pytest.approx(list(truth["ndcg"].values()))


def test_chunks_do_not_matter(
    split: tuple[Interactions, Interactions], tables: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    train, test = split
    whole = evaluate(*tables, train=train, test=test, ks=KS)
    for entries, size in ((7 * N_ITEMS, 7), (N_ITEMS - 1, 1)):
        monkeypatch.setattr("recsys.ranking._CHUNK_ENTRIES", entries)
        assert {len(chunk) for chunk in chunks(np.arange(7 * 5), N_ITEMS)} == {size}
        parts = evaluate(*tables, train=train, test=test, ks=KS)
        assert parts.coverage == whole.coverage
        for name, values in whole.per_user.items():
            np.testing.assert_allclose(parts.per_user[name], values, rtol=1e-12, atol=0)


def test_the_forgotten_neither_count_nor_compete(
    split: tuple[Interactions, Interactions], tables: tuple[Tensor, Tensor]
) -> None:
    train, test = split
    item = int(torch.argmax(tables[0][0] @ tables[1].T))
    forget = ForgetSet(users=(3,), items=(item,))
    metrics = evaluate(*tables, train=train.without(forget), test=test, ks=(N_ITEMS,))
    assert 3 not in metrics.rows
    assert test.contains(metrics.rows, np.full(len(metrics.rows), item)).any()
    np.testing.assert_array_equal(metrics.per_user[f"recall_at_{N_ITEMS}"], 1.0)  # of what can be recommended
    whole, cut = (evaluate(*tables, train=train.without(forget), test=t, ks=KS) for t in (test, test.without(forget)))
    np.testing.assert_array_equal(whole.rows, cut.rows)
    for name, values in cut.per_user.items():
        np.testing.assert_array_equal(whole.per_user[name], values)
    before = evaluate(*tables, train=train, test=test, ks=(N_ITEMS,))
    assert before.coverage[f"coverage_at_{N_ITEMS}"] == 1.0
    assert metrics.coverage[f"coverage_at_{N_ITEMS}"] == 1.0  # of those that can be shown


def test_summary_of_a_stratum(split: tuple[Interactions, Interactions], tables: tuple[Tensor, Tensor]) -> None:
    train, test = split
    metrics = evaluate(*tables, train=train, test=test)
    rows = np.array([0, 5, 7])
    chosen = metrics.per_user["recall_at_20"][np.isin(metrics.rows, [0, 5])]
    assert metrics.summary(rows)["recall_at_20"] == pytest.approx(chosen.mean())
    assert np.isnan(metrics.summary(np.array([7]))["recall_at_20"])


def test_progress_is_told_by_users(
    split: tuple[Interactions, Interactions], tables: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: list[tqdm[Never]] = []

    def shown(**arguments: Any) -> tqdm[Never]:
        bars.append(tqdm(**arguments | {"disable": False}))
        return bars[-1]

    monkeypatch.setattr("recsys.evaluate.tqdm", shown)
    found = evaluate(*tables, train=split[0], test=split[1])
    assert [(bar.n, bar.total) for bar in bars] == [(len(found.rows), len(found.rows))]


def test_terciles() -> None:
    degrees = np.array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    assert terciles(degrees).tolist() == [-1, 0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert terciles(np.array([5, 5, 5])).tolist() == [0, 0, 0]
    assert terciles(np.array([0, 0, 0, 0, 0, 0, 1, 2, 3])).tolist() == [-1, -1, -1, -1, -1, -1, 0, 1, 2]
    assert terciles(np.zeros(2, np.int64)).tolist() == [-1, -1]


def test_rows_that_stand_for_others_are_no_truth(tables: tuple[Tensor, Tensor]) -> None:
    frame = pd.DataFrame({"user": ["a", "b"], "item": ["x", "y"]})
    train, test = (Interactions.from_frame(frame.replace("b", name)) for name in "bc")
    users, items = torch.eye(2), torch.eye(2)
    with pytest.raises(ValueError, match="`test` must have the rows of `train`"):
        evaluate(users, items, train=train, test=test)
    # Who is forgotten on either side is no contradiction.
    gone = train.without(ForgetSet(users=("b",)))
    for left, right in ((gone, train), (train, gone), (gone, test)):
        evaluate(users, items, train=left, test=right)


def test_every_problem_at_once(split: tuple[Interactions, Interactions], tables: tuple[Tensor, Tensor]) -> None:
    train, test = split
    users = tables[0].clone()
    users[0, 0] = torch.nan
    with pytest.raises(ValueError) as caught:
        evaluate(
            users[1:], tables[1][:, :4] / 0, train=train, test=test, ks=(20, 0), users_subset=np.array([0, N_USERS])
        )
    text = str(caught.value)
    for part in ("`users` must have shape", "one width (got 8 and 4)", "`items` must hold finite", "(got [20, 0])"):
        assert part in text
    assert "rows of 0 to 39" in text
