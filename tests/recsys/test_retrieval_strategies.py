"""Which part of a history is retrieved: each strategy against its definition, counted out by hand or in loops."""

from __future__ import annotations

from itertools import combinations, product
from math import exp

import numpy as np
import pytest
from scipy.special import softmax

from recsys.data import Interactions
from recsys.retrieval import ByAttention, ByDiversity, ByPreference, Evidence, Strategy
from tests.recsys.conftest import tiny_interactions
from tests.recsys.item_cosine import cosine
from unlearn.forget import ForgetSet

NONE = np.empty(0, dtype=np.int64)
GROUPS = np.arange(15) % 3


@pytest.fixture
def dense() -> Interactions:
    return tiny_interactions(density=0.6)


def test_similarity_is_the_cosine_of_sets_of_remaining_users(dense: Interactions) -> None:
    data = dense.without(ForgetSet(users=("u02",), items=(103,), interactions=(("u05", 100),)))
    rows = np.arange(data.n_items)
    expected = [[cosine(data, left, right) for right in rows.tolist()] for left in rows.tolist()]
    np.testing.assert_allclose(Evidence(data).similarity(rows, rows), expected, rtol=1e-12)
    assert expected != [[cosine(dense, left, right) for right in rows.tolist()] for left in rows.tolist()]


@pytest.mark.parametrize("user", range(4))
def test_preference_keeps_the_shares_of_groups_as_well_as_any_choice(dense: Interactions, user: int) -> None:
    history = Evidence(dense).history(user)
    groups = np.where(np.arange(15) < 2, 1, np.where(np.arange(15) < 5, 2, 0))
    groups = np.searchsorted(np.unique(groups[history]), groups)  # without groups that the user has nothing of
    n_groups = groups[history].max() + 1
    sizes = np.bincount(groups[history])
    for limit in range(1, len(history)):
        chosen = ByPreference(groups=groups)(Evidence(dense), user, NONE, limit)
        assert len(set(chosen.tolist()) & set(history.tolist())) == limit
        counts = np.bincount(groups[chosen], minlength=n_groups)
        # Sainte-Lague's apportionment has the least sum of (seats - fair share)^2 / fair share of all.
        share = limit * sizes / sizes.sum()
        options = [np.array(c) for c in product(*(range(n + 1) for n in sizes)) if sum(c) == limit]
        least = min(((option - share) ** 2 / share).sum() for option in options)
        assert ((counts - share) ** 2 / share).sum() == pytest.approx(least)


def test_diversity_gives_groups_equal_parts_until_one_is_used_up(dense: Interactions) -> None:
    history = Evidence(dense).history(0)
    groups = np.where(np.arange(15) < 2, 1, 0)
    sizes = np.bincount(groups[history], minlength=2)
    assert sizes.min() < sizes.max()
    for limit in range(1, len(history) + 1):
        counts = np.bincount(groups[ByDiversity(groups=groups)(Evidence(dense), 0, NONE, limit)], minlength=2)
        assert counts.sum() == limit
        assert abs(counts[0] - counts[1]) <= 1 or (counts == sizes).any()


@pytest.mark.parametrize("temperature", [0.02, 0.5])
def test_attention_chooses_what_the_candidates_attend_to(dense: Interactions, temperature: float) -> None:
    history, candidates = Evidence(dense).history(4).tolist(), np.array([14, 1, 3])
    weights = dict.fromkeys(history, 0.0)
    for candidate in candidates.tolist():
        powers = {item: exp(cosine(dense, candidate, item) / temperature) for item in history}
        weights = {item: weights[item] + powers[item] / sum(powers.values()) for item in history}
    expected = sorted(history, key=lambda item: (-round(weights[item], 12), item))
    chosen = ByAttention(temperature=temperature)(Evidence(dense), 4, candidates, 4)
    assert chosen.tolist() == expected[:4]
    assert len(history) > 4 and sorted(expected) != expected


def test_attention_at_a_temperature_near_nothing_goes_to_the_nearest(dense: Interactions) -> None:
    evidence = Evidence(dense)
    history, candidates = evidence.history(4), np.array([1])
    nearest = history[np.argmax(evidence.similarity(candidates, history))]
    assert ByAttention(temperature=1e-6)(evidence, 4, candidates, 1).tolist() == [nearest]


def test_a_candidate_near_nothing_attends_evenly_and_takes_nothing_from_the_others(dense: Interactions) -> None:
    evidence, candidates = Evidence(dense), np.array([14, 1, 3])  # nobody has 14
    history = evidence.history(4)
    weights = softmax(evidence.similarity(candidates, history) / 1e-3, axis=1).sum(axis=0)
    chosen = ByAttention(temperature=1e-3)(evidence, 4, candidates, 4)
    assert not evidence.similarity(candidates[:1], history).any()
    assert chosen.tolist() == history[np.argsort(-weights, kind="stable")[:4]].tolist()


STRATEGIES: list[Strategy] = [ByPreference(groups=GROUPS), ByDiversity(groups=GROUPS), ByAttention()]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: type(s).__name__)
def test_the_profile_is_part_of_what_remains(dense: Interactions, strategy: Strategy) -> None:
    gone = dense.items.take(Evidence(dense).history(2)[:2])
    left = dense.without(ForgetSet(interactions=(("u02", gone[0]), ("u02", gone[1]))))
    frame = left.frame()
    brute = set(frame.loc[frame["user"] == "u02", "item"])
    candidates = np.array([1, 14])
    whole = strategy(Evidence(dense), 2, candidates, 100)
    chosen = strategy(Evidence(left), 2, candidates, 100)
    assert set(gone) <= set(dense.items.take(whole))
    assert sorted(left.items.take(chosen)) == sorted(brute)
    # u11 has no history.
    assert strategy(Evidence(dense), 11, candidates, 100).tolist() == []


@pytest.mark.parametrize("kind", [ByPreference, ByDiversity])
def test_within_a_group_the_order_is_the_others_own(
    dense: Interactions, kind: type[ByPreference] | type[ByDiversity]
) -> None:
    history = Evidence(dense).history(0)
    order = kind(groups=np.zeros(15, dtype=np.int64))(Evidence(dense), 0, NONE, 100).tolist()
    assert order != sorted(order)
    assert order != kind(groups=np.zeros(15, dtype=np.int64), seed=1)(Evidence(dense), 0, NONE, 100).tolist()
    for pair in combinations(history.tolist(), 2):
        left = dense.without(ForgetSet(interactions=tuple(("u00", item) for item in dense.items.take(pair))))
        remaining = kind(groups=np.zeros(15, dtype=np.int64))(Evidence(left), 0, NONE, 100).tolist()
        assert remaining == [item for item in order if item not in pair]


def test_bad_arguments_are_refused(dense: Interactions) -> None:
    with pytest.raises(ValueError, match=r"`groups` must have shape \(15,\).*got \(3,\)"):
        ByPreference(groups=GROUPS[:3])(Evidence(dense), 0, NONE, 5)
    with pytest.raises(ValueError, match="`temperature` must be positive"):
        ByAttention(temperature=0.0)
