"""Exponential draws against the distribution they should have, tail and all."""

from __future__ import annotations

import numpy as np

from graph_influence.coins import GOLDEN, mixed
from graph_influence.rrsets.exponential import _AREA, _HEIGHT, _TAIL, _edges, exponential
from unlearn.compiled import kernel


@kernel
def _draws(count: int, out: np.ndarray) -> None:
    state = mixed(np.uint64(7))
    for k in range(count):
        out[k], state = exponential(state)
        state = mixed(state + GOLDEN)


def test_layers_are_of_one_size_and_end_at_the_top_of_the_curve():
    assert np.allclose(_edges[1:256] * np.diff(_HEIGHT[1:]), _AREA, rtol=1e-9, atol=0)
    assert np.isclose((_TAIL + 1) * np.exp(-_TAIL), _AREA, rtol=1e-12)  # the lowest, with the tail
    assert _HEIGHT[256] == 1.0


def test_draws_are_exponential():
    count = 4_000_000
    drawn = np.empty(count)
    _draws(count, drawn)
    # Cells of one probability, and the tail beyond what any layer reaches.
    cells = np.bincount((-np.expm1(-drawn) * 1_000).astype(int), minlength=1_000)
    expected = count / 1_000
    assert abs(((cells - expected) ** 2 / expected).sum() - 999) < 4 * np.sqrt(2 * 999)
    tail = count * np.exp(-_TAIL)
    assert abs((drawn > _TAIL).sum() - tail) < 4 * np.sqrt(tail)
    beyond = drawn[drawn > _TAIL] - _TAIL
    assert abs(beyond.mean() - 1) < 4 / np.sqrt(tail)
    # One draw after another: no two depend on each other.
    pairs = np.bincount((-np.expm1(-drawn[:-1]) * 30).astype(int) * 30 + (-np.expm1(-drawn[1:]) * 30).astype(int))
    assert abs(((pairs - count / 900) ** 2 / (count / 900)).sum() - 899) < 4 * np.sqrt(2 * 899)
