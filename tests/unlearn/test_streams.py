"""Counter-based streams: pinned, coupled, and random enough."""

from __future__ import annotations

import math

import numpy as np
import pytest

from unlearn.streams import _mix, bits, integers, normals, permutation, uniforms

N = 20_000
SIGMAS = 5.0
"""A fair stream fails a bound of five standard errors less than once in a million runs, and the seed is fixed."""


def test_the_mixing_function_is_splitmix64() -> None:
    # First outputs of the published generator from state 1234567.
    gamma, state, found = np.uint64(0x9E3779B97F4A7C15), np.uint64(1234567), []
    with np.errstate(over="ignore"):
        for _ in range(3):
            state = state + gamma
            found.append(int(_mix(state)))
    assert found == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_draws_stay_what_they_are_from_release_to_release() -> None:
    pinned = [5183400441318382022, 12852859331362948018]
    assert bits(7, "rows", np.arange(2), 5).tolist() == pinned


def test_a_draw_depends_on_its_own_key_alone() -> None:
    users = np.arange(50)
    everybody = uniforms(1, "negatives", 3, users[:, None], np.arange(4)[None, :])
    kept = np.delete(users, [4, 30])
    assert np.array_equal(uniforms(1, "negatives", 3, kept[:, None], np.arange(4)[None, :]), everybody[kept])
    assert uniforms(1, "negatives", 3, 17, 2)[0] == everybody[17, 2]
    assert everybody.shape == (50, 4)


def test_a_permutation_without_some_keys_leaves_the_others_in_their_order() -> None:
    keys = np.arange(100, 150)
    everybody = keys[permutation(1, "draw", keys)]
    assert sorted(everybody) == keys.tolist() != everybody.tolist()
    kept = np.delete(keys, [4, 30])
    assert kept[permutation(1, "draw", kept)].tolist() == [key for key in everybody.tolist() if key in kept]
    assert permutation(1, "draw", keys[:0]).tolist() == []
    same = permutation(1, "draw", np.arange(5_000) % 2)  # two draws, between whose owners nothing decides
    assert all((np.diff(same[same % 2 == odd]) > 0).all() for odd in (0, 1))


@pytest.mark.parametrize("draw", [uniforms, normals])
def test_keys_that_differ_give_unrelated_draws(draw) -> None:
    counters = np.arange(N)
    base = draw(0, "a", counters)
    # Another seed, purpose, neighbouring counter, order of counters or number of counters.
    for other in (
        draw(1, "a", counters),
        draw(0, "b", counters),
        draw(0, "a", counters + 1),
        draw(0, "a", 0, counters),
        draw(0, "a", counters, 0),
    ):
        correlation = np.corrcoef(base, other)[0, 1]
        assert abs(correlation) < SIGMAS / math.sqrt(N)
    assert not np.array_equal(draw(0, "a", 1, counters), draw(0, "a", counters, 1))


def test_uniforms_are_uniform() -> None:
    values = uniforms(0, "u", np.arange(N))
    assert 0 <= values.min() <= values.max() < 1
    counts = np.bincount((values * 50).astype(int), minlength=50)
    chi2 = ((counts - N / 50) ** 2 / (N / 50)).sum()
    assert abs(chi2 - 49) < SIGMAS * math.sqrt(2 * 49)


def test_every_bit_is_fair() -> None:
    values = bits(0, "b", np.arange(N))
    ones = np.array([((values >> np.uint64(k)) & np.uint64(1)).sum() for k in range(64)])
    assert np.abs(ones - N / 2).max() < SIGMAS * math.sqrt(N) / 2
    assert len(np.unique(values)) == N


def test_normals_have_the_moments_of_the_normal() -> None:
    values = normals(0, "n", np.arange(N))
    assert np.isfinite(values).all()
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs((values**power).mean() - moment) < SIGMAS * math.sqrt(variance / N)


def test_integers_stay_below_and_reach_everything() -> None:
    values = integers(0, "i", 7, np.arange(N))
    counts = np.bincount(values, minlength=7)
    assert len(counts) == 7
    assert np.abs(counts - N / 7).max() < SIGMAS * math.sqrt(N / 7)
    assert integers(0, "i", 1, np.arange(5)).tolist() == [0] * 5
    with pytest.raises(ValueError, match=r"`high` must be a positive integer for `integers` \(got 0\)"):
        integers(0, "i", 0, 1)


def test_large_and_negative_counters_are_counters_too() -> None:
    keys = np.array([2**64 - 1, 2**63, 0], dtype=np.uint64)
    assert len(set(bits(0, "k", keys).tolist())) == 3
    assert bits(0, "k", np.array([-1]))[0] == bits(0, "k", keys[:1])[0]
