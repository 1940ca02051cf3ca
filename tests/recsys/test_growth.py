"""Columns added where the bound says that the rank is short, against the dense solution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from recsys.data import Interactions
from recsys.growth import grow
from tests.recsys.convexity import CASES, TIGHT, built, convex, gram, small_data


@pytest.fixture(scope="module")
def small() -> Interactions:
    return small_data()


def test_growing_from_below_the_rank_reaches_the_solution(small: Interactions) -> None:
    problem = built(small, CASES[1], dim=1).fit()
    oracle = convex(problem)
    best = oracle.solve()
    rank = int((np.linalg.eigvalsh(best) > 1e-6).sum())
    assert rank >= 3, "the case is too easy to show growth"
    first = found = problem.optimality(resolution=TIGHT)
    assert first is not None
    assert first.relative > 0.05
    while found is not None and found.relative > 1e-3:
        wider = grow(problem, found)
        assert wider.params["table"].shape[1] == problem.params["table"].shape[1] + 1 == wider.model.dim
        assert float(wider.objective(wider.params)) < float(problem.objective(problem.params))
        problem = wider.fit(wider.params)
        assert problem.model.dim <= 2 * rank, "growth does not end"
        found = problem.optimality(resolution=TIGHT)
    np.testing.assert_allclose(oracle.scores(gram(problem.params)), oracle.scores(best), atol=1e-4)
    assert problem.model.dim >= rank


def test_growth_takes_the_exact_best_step(small: Interactions) -> None:
    problem = built(small, CASES[2], dim=1).fit()
    found = problem.optimality()
    assert found is not None
    oracle, wider = convex(problem), grow(problem, found)
    w, column = gram(problem.params), wider.params["table"][:, -1:].numpy()
    values = [oracle.value(w + t * column @ column.T) for t in np.linspace(0.0, 2.0, 41)]
    assert int(np.argmin(values)) == 20


def test_growth_without_a_direction_says_so(small: Interactions) -> None:
    problem = built(small, CASES[2])
    found = problem.optimality()
    assert found is not None
    with pytest.raises(ValueError, match="negative curvature"):
        grow(problem, replace(found, ascent=None))
