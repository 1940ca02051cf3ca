"""The graph filter against its dense formula; deletion against a refit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor

from recsys.closed_form import GraphFilter
from recsys.data import Interactions, Vocabulary, read, synthetic, temporal_user
from recsys.evaluate import evaluate_scores
from tests.recsys.closed_form.requests import REQUESTS, request_for
from tests.tolerances import CONVERGED64
from unlearn.forget import ForgetSet

HISTORIES = csr_array(np.random.default_rng(5).random((4, 15)) < 0.4)


def dense_scores(data: Interactions, histories: Tensor, *, rank: int, alpha: float) -> Tensor:
    """The formula of the paper, in dense float64."""
    matrix = torch.from_numpy(data.csr().toarray()).double()
    roots = [side.clamp_min(1.0).sqrt() for side in (matrix.sum(1), matrix.sum(0))]
    normalized = matrix / roots[0][:, None] / roots[1]
    basis = torch.linalg.svd(normalized, full_matrices=False).Vh[:rank].T
    present = matrix.sum(0) > 0
    low = (histories * present / roots[1]) @ basis @ basis.T * roots[1] * present
    return histories @ normalized.T @ normalized + alpha * low


def fitted(data: Interactions, *, rank: int) -> GraphFilter:
    return GraphFilter(data=data, rank=rank, alpha=0.4, tolerance=1e-11, dtype=torch.float64).fit()


@pytest.mark.parametrize("rank", [0, 3])
def test_scores_are_the_dense_formula(data: Interactions, rank: int) -> None:
    model = fitted(data, rank=rank)
    users = np.array([7, 0, 11])
    own = torch.from_numpy(data.csr()[users].toarray()).double()
    strange = torch.from_numpy(HISTORIES.toarray()).double()
    for found, histories in ((model.scores(users), own), (model.fold_in(HISTORIES), strange)):
        expected = dense_scores(data, histories, rank=rank, alpha=0.4)
        torch.testing.assert_close(found, expected, **CONVERGED64)


def error(model: GraphFilter, users: int = 300) -> float:
    """Of the scores of the first users, relative to the dense formula."""
    own = torch.from_numpy(model.data.csr()[:users].toarray()).double()
    expected = dense_scores(model.data, own, rank=model.rank, alpha=model.alpha)
    return float((model.scores(np.arange(len(own))).double() - expected).norm() / expected.norm())


@pytest.mark.parametrize(
    ("n_users", "n_items", "count"),
    [(40, 30, 400), (500, 200, 8_000), (300, 260, 6_000), (700, 400, 9_000), (100, 900, 4_000), (800, 700, 16_000)],
)
def test_in_single_precision_nothing_is_lost_at_any_size(n_users: int, n_items: int, count: int) -> None:
    model = GraphFilter(data=synthetic(n_users, n_items, count, seed=0)).fit()
    assert error(model) < 1e-3
    row = int(model.data.degrees()[0].argmax())
    after = model.forget(ForgetSet(users=tuple(model.data.users.take([row]))))
    assert error(after) < (1e-3 if after.history.removed == 0 else 0.05)


def test_where_items_are_few_forgetting_is_what_a_refit_gives() -> None:
    model = GraphFilter(data=synthetic(150, 90, 2_000, seed=0), rank=12).fit()
    for kind in REQUESTS:
        after = model.forget(request_for(model.data, kind))
        assert torch.equal(after.params["basis"], after.fit().params["basis"])
        assert after.history.removed == 0


def test_on_movielens_the_low_pass_is_that_of_the_formula(data_dir: Path) -> None:
    split = temporal_user(read(data_dir / "ml-100k"))  # pyright: ignore[reportArgumentType]
    model = GraphFilter(data=split.refit()).fit()
    assert error(model) < 1e-3
    metrics = evaluate_scores(model.scores, train=model.data, test=split.test, ks=(20,)).summary()
    assert metrics["recall_at_20"] >= 0.207
    assert metrics["ndcg_at_20"] >= 0.160


@pytest.mark.parametrize("kind", REQUESTS)
def test_forgetting_from_the_item_filter_is_the_downdate_and_the_refit(data: Interactions, kind: str) -> None:
    forget = request_for(data, kind)
    model = fitted(data, rank=0)
    after = model.forget(forget)
    strange = torch.from_numpy(HISTORIES.toarray()).double()
    torch.testing.assert_close(
        after.fold_in(HISTORIES), dense_scores(after.data, strange, rank=0, alpha=0.0), **CONVERGED64
    )
    assert torch.equal(after.fold_in(HISTORIES), model.without(forget).fit().fold_in(HISTORIES))
    assert after.history.removed == 0 and not torch.equal(after.fold_in(HISTORIES), model.fold_in(HISTORIES))

    # The downdate written out, for whole users: their rank-1 terms leave and the degrees of their items fall.
    if kind == "two users":
        matrix = torch.from_numpy(data.csr().toarray()).double()
        users, items = matrix.sum(1).clamp_min(1), matrix.sum(0).clamp_min(1)
        gram = (matrix / users[:, None]).T @ matrix
        for row in (1, 4):
            gram -= torch.outer(matrix[row], matrix[row]) / users[row]
            items -= matrix[row]
        scale = items.clamp_min(1).rsqrt()
        torch.testing.assert_close(after.fold_in(HISTORIES), strange @ (scale[:, None] * gram * scale), **CONVERGED64)


@pytest.mark.parametrize("kind", REQUESTS)
def test_the_low_pass_is_followed_closely(kind: str) -> None:
    data = synthetic(150, 240, 2_000, seed=0)
    forget = request_for(data, kind)
    model = GraphFilter(data=data, rank=12, alpha=0.4, tolerance=1e-11, dtype=torch.float64).fit()
    after, stale, refit = model.forget(forget), model.without(forget), model.without(forget).fit()
    users = np.flatnonzero(refit.data.users.alive & (refit.data.degrees()[0] > 0))
    expected = refit.scores(users)
    effect = (model.scores(users) - expected).norm()
    gap = (after.scores(users) - expected).norm() / effect
    assert gap < 0.05
    assert gap < 0.5 * (stale.scores(users) - expected).norm() / effect  # the old basis on the new graph is no match
    assert after.history.removed == len(data) - len(after.data) > 0
    assert refit.history.removed == 0


def test_who_rescales_more_columns_than_the_sketch_has_directions_is_followed_as_closely() -> None:
    data = synthetic(500, 400, 12_000, seed=0)
    model = GraphFilter(data=data, rank=64, tolerance=1e-9, dtype=torch.float64).fit()
    busiest = int(np.argmax(data.degrees()[0]))
    forget = ForgetSet(users=tuple(data.users.take([busiest])))
    after, refit = model.forget(forget), model.without(forget).fit()
    users = np.flatnonzero(refit.data.users.alive)
    expected = refit.scores(users)
    assert (after.scores(users) - expected).norm() < 0.01 * (model.scores(users) - expected).norm()


def test_the_seed_draws_in_which_directions_a_request_is_looked_for() -> None:
    model = GraphFilter(data=synthetic(150, 240, 2_000, seed=0), rank=12, dtype=torch.float64).fit()
    forget = request_for(model.data, "a user")
    one, same, other = (m.forget(forget).params["basis"] for m in (model, replace(model), replace(model, seed=1)))
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_a_hundred_requests_do_not_drift() -> None:
    data = synthetic(150, 240, 2_000, seed=0)
    after = model = GraphFilter(data=data, rank=12, alpha=0.4, tolerance=1e-11, dtype=torch.float64).fit()
    for row in range(100):
        after = after.forget(ForgetSet(users=tuple(data.users.take([row]))))
    left = np.flatnonzero(after.data.users.alive)
    expected = after.fit().scores(left)
    stale = replace(after, params=model.params).scores(left)
    assert (after.scores(left) - expected).norm() < 0.1 * (stale - expected).norm()


def of_few_users(n_users: int, dtype: torch.dtype) -> GraphFilter:
    """Of fewer users than the rank, of whom the second half have what the first half have."""
    seen = np.tile(np.random.default_rng(n_users // 2).random((n_users // 2, 300)) < 0.1, (2, 1))
    users, items = np.nonzero(seen)
    data = Interactions.from_frame(pd.DataFrame({"user": users, "item": items}), items=Vocabulary(range(300)))
    return GraphFilter(data=data, rank=30, tolerance=1e-4 if dtype == torch.float32 else 1e-9, dtype=dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_of_fewer_users_than_the_rank_new_ones_get_what_the_formula_gives(dtype: torch.dtype) -> None:
    for half in range(1, 7):
        model = of_few_users(2 * half, dtype).fit()
        strange = torch.rand(4, model.data.n_items, generator=torch.Generator().manual_seed(0)).double().round()
        expected = dense_scores(model.data, strange, rank=half, alpha=model.alpha)
        found = model.fold_in(csr_array(strange.numpy())).double()
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3 * float(expected.max()))


def test_a_start_from_data_of_a_lower_rank_holds_nothing_back() -> None:
    model = of_few_users(20, torch.float64).fit()
    data = model.data
    ends = data.indptr[1:11] - 1  # the last interaction of ten users, whose twins keep theirs
    pairs = tuple(zip(data.users.take(np.arange(10)), data.items.take(data.indices[ends]), strict=True))
    left = model.without(ForgetSet(interactions=pairs))
    own = torch.from_numpy(left.data.csr().toarray()).double()
    rank = int(torch.linalg.matrix_rank(own))
    assert int(model.params["basis"].any(0).sum()) == 10 < rank
    expected = dense_scores(left.data, own, rank=rank, alpha=left.alpha)
    torch.testing.assert_close(left.fit(model.params).scores(np.arange(20)), expected, rtol=1e-3, atol=1e-3)


def test_forgotten_items_leave_the_basis_and_requests_compose(data: Interactions) -> None:
    model = fitted(data, rank=3)
    start = model.params["basis"].clone()
    for kind in ("an item", "a user", "interactions"):
        model = model.forget(request_for(data, kind))
    assert not model.params["basis"][2].any() and start[2].any()
    together = fitted(data, rank=3).forget(request_for(data, "mixed"))
    assert together.data.digest() == model.data.digest()
    again = fitted(model.data, rank=3)
    torch.testing.assert_close(again.scores(np.arange(6)), model.fit().scores(np.arange(6)), **CONVERGED64)
    torch.testing.assert_close(model.fit(model.params).scores(np.arange(6)), again.scores(np.arange(6)), **CONVERGED64)


def test_a_start_does_not_depend_on_who_else_is_there(data: Interactions) -> None:
    model = fitted(data, rank=3)
    width = model.params["basis"].shape[1]
    left = model.without(ForgetSet(items=(data.items.ids[2],)))
    before, after = (m._start(width) for m in (model, left))
    ratio = (before / after)[[0, 1, 3, 4]]
    torch.testing.assert_close(ratio, ratio[:1].expand(4, -1), **CONVERGED64)


def test_arguments_are_checked_all_at_once(data: Interactions) -> None:
    with pytest.raises(ValueError, match="`rank` must be at least 0.*\n`alpha` must be at least 0"):
        GraphFilter(data=data, rank=-1, alpha=-0.5)
    with pytest.raises(ValueError, match="`options` must be None for `graph_filter`"):
        replace(GraphFilter(data=data), rank=0).fit(options=3)  # pyright: ignore[reportArgumentType]
