from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.sparse.linalg import svds

from recsys.data import ratio, synthetic


def test_sizes_ids_and_canonical_order():
    data = synthetic(300, 200, 6_000, seed=3)
    assert (data.n_users, data.n_items, len(data)) == (300, 200, 6_000)
    assert data.users.take([12]) == ["u000012"]
    assert data.items.take([199]) == ["i000199"]
    keys = data.user_rows() * data.n_items + data.indices
    assert (np.diff(keys) > 0).all()
    assert data.indices.max() < 200
    assert data.degrees()[0].min() >= 5


def test_the_same_arguments_give_the_same_data():
    assert synthetic(100, 80, 1_000, seed=1).digest() == synthetic(100, 80, 1_000, seed=1).digest()
    assert synthetic(100, 80, 1_000, seed=1).digest() != synthetic(100, 80, 1_000, seed=2).digest()


def test_tails_are_heavy():
    users, items = synthetic().degrees()
    for degrees in (users, items):
        top = np.sort(degrees)[::-1]
        assert top[: len(top) // 10].sum() > 0.22 * top.sum()
        assert top[0] > 6 * np.median(top)


def test_ties_are_mutual_and_join_people_alike():
    data = synthetic()
    pairs = set(map(tuple, data.ties.tolist()))
    assert {(b, a) for a, b in pairs} == pairs
    assert not any(a == b for a, b in pairs)
    assert data.ties.tolist() == sorted(data.ties.tolist())
    dense = data.csr().toarray()
    dense /= np.linalg.norm(dense, axis=1, keepdims=True)
    tied = (dense[data.ties[:, 0]] * dense[data.ties[:, 1]]).sum(1).mean()
    shuffled = np.random.default_rng(0).permutation(data.ties[:, 1])
    assert tied > 1.5 * (dense[data.ties[:, 0]] * dense[shuffled]).sum(1).mean()


def test_popularity_is_a_power_law():
    """Of one theme, items are drawn by their popularity alone."""
    counts = np.sort(synthetic(2_000, 1_000, 20_000, latent_dim=1).degrees()[1])[::-1]
    law = (np.arange(1_000) + 10.0) ** -0.8
    for top in (10, 100, 500):
        assert counts[:top].sum() / counts.sum() == pytest.approx(law[:top].sum() / law.sum(), rel=0.1)


def test_four_ties_of_five_join_people_of_one_cluster_and_the_others_anybody():
    data = synthetic()
    cluster = np.random.default_rng(0).integers(0, 40, data.n_users)  # the first that is drawn
    within = cluster[data.ties[:, 0]] == cluster[data.ties[:, 1]]
    assert 0.75 < within.mean() < 0.83
    degrees, others = (np.bincount(ties[:, 0]) for ties in (data.ties, data.ties[~within]))
    assert others.max() < 0.02 * others.sum()
    top = np.sort(degrees)[::-1]
    assert top[: len(top) // 10].sum() > 0.22 * top.sum()


def test_taste_is_there_to_be_learned():
    """A rank-16 approximation ranks held-out items far better than popularity does."""
    split = ratio(synthetic())
    train, test = (part.csr().toarray() for part in (split.refit(), split.test))
    users, items = (np.maximum(train.sum(axis), 1.0) for axis in (1, 0))
    left, values, right = svds(train / np.sqrt(np.outer(users, items)), k=16, rng=np.random.default_rng(0))
    factors = (left * values) @ right * np.sqrt(items)

    def recall(scores):
        top = np.argpartition(-np.where(train > 0, -np.inf, scores), 20, axis=1)[:, :20]
        found, wanted = np.take_along_axis(test, top, axis=1).sum(1), test.sum(1)
        return (found[wanted > 0] / wanted[wanted > 0]).mean()

    assert recall(factors) > 1.5 * recall(np.broadcast_to(items, train.shape))


def test_users_who_exhaust_their_themes_are_filled_up():
    data = synthetic(20, 60, 600, n_clusters=2, latent_dim=8)
    assert len(data) == 600
    assert data.degrees()[0].max() <= 30


def test_a_million_interactions_in_seconds():
    start = time.process_time()
    assert len(synthetic(20_000, 10_000, 1_000_000)) == 1_000_000
    assert time.process_time() - start < 10


def test_arguments_are_checked_together():
    with pytest.raises(ValueError, match="`n_items`") as caught:
        synthetic(10, 0, 5, seed=-1, latent_dim=0, ties_per_user=10)
    text = str(caught.value)
    assert [name in text for name in ("`seed`", "`latent_dim`", "`n_interactions`", "`ties_per_user`")] == [True] * 4
