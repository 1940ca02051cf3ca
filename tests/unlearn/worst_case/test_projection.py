"""Projection and rounding against a quadratic program's conditions, bisection and enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize
from torch import Tensor

from tests.tolerances import EXACT64
from unlearn.worst_case.projection import project, rounded

finite = st.floats(-5, 5, allow_nan=False).map(lambda value: round(value, 3))
entries = st.lists(st.tuples(finite, st.integers(1, 9)), min_size=1, max_size=12)


def vectors(pairs: list[tuple[float, int]]) -> tuple[Tensor, Tensor]:
    a, c = zip(*pairs, strict=True)
    return torch.tensor(a, dtype=torch.float64), torch.tensor(c, dtype=torch.float64)


@settings(max_examples=60)
@given(entries, st.floats(0, 1))
def test_the_conditions_of_a_nearest_point_hold(pairs: list[tuple[float, int]], share: float) -> None:
    """KKT: what is free moved by one multiple of its cost, what is at a bound wanted to go further."""
    a, c = vectors(pairs)
    total = share * float(c.sum())
    w = project(a, c, total)
    assert bool((w >= 0).all() and (w <= 1).all())
    assert float(c @ w) == pytest.approx(total, abs=1e-9)
    pull = (a - w) / c  # = mu + (multipliers of the bounds): above mu at 1, below mu at 0
    free, full, empty = (w > 0) & (w < 1), w == 1, w == 0
    at_most = torch.cat([pull[full], torch.tensor([torch.inf])]).min()
    at_least = torch.cat([pull[empty], torch.tensor([-torch.inf])]).max()
    for mu in pull[free].tolist():
        assert at_least - 1e-9 <= mu <= at_most + 1e-9
    if bool(free.any()):
        assert float(pull[free].max() - pull[free].min()) < 1e-9
    assert at_least <= at_most + 1e-9


def test_it_is_the_quadratic_program_and_the_root_by_bisection() -> None:
    draw = np.random.default_rng(0)
    a, c, total = draw.normal(size=8), draw.integers(1, 6, size=8).astype(float), 9.0
    solved = minimize(
        lambda w: 0.5 * ((w - a) ** 2).sum(), np.full(8, total / c.sum()), jac=lambda w: w - a, bounds=[(0, 1)] * 8,
        constraints={"type": "eq", "fun": lambda w: c @ w - total, "jac": lambda w: c}, method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    )  # fmt: skip
    mine = project(torch.from_numpy(a), torch.from_numpy(c), total).numpy()
    np.testing.assert_allclose(mine, solved.x, atol=1e-6)
    mu = brentq(lambda mu: c @ np.clip(a - mu * c, 0, 1) - total, -10, 10, xtol=1e-15)
    np.testing.assert_allclose(mine, np.clip(a - mu * c, 0, 1), atol=1e-10)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_many_units_at_any_scale(scale: float) -> None:
    """The rates that people try reach over ten orders of magnitude."""
    generator = torch.Generator().manual_seed(1)
    a = scale * torch.randn(20_000, generator=generator, dtype=torch.float64)
    c = torch.randint(1, 400, (20_000,), generator=generator).double()
    for costs, total in ((torch.ones_like(c), 200.0), (c, 0.01 * float(c.sum()))):
        w = project(a, costs, total)
        assert float(costs @ w) == pytest.approx(total, rel=1e-9)
        # Raising one weight at another's expense, a unit of cost each, brings the point no nearer.
        gain = (a - w) / costs
        assert float(gain[w < 1].max() - gain[w > 0].min()) <= 1e-9 * scale


def test_what_lies_inside_stays_and_ties_share() -> None:
    inside = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    torch.testing.assert_close(project(inside, torch.ones(3), 1.0), inside, **EXACT64)
    torch.testing.assert_close(project(torch.zeros(4), torch.ones(4), 1.0), torch.full((4,), 0.25).double(), **EXACT64)
    assert project(torch.tensor([7.0, -3.0]), torch.ones(2), 2.0).tolist() == [1.0, 1.0]


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="finite") as caught:
        project(torch.tensor([float("nan"), 1.0]), torch.tensor([0.0, 1.0]), 1.0)
    assert "`costs` must be positive" in str(caught.value)
    with pytest.raises(ValueError, match="`total` must lie in"):
        project(torch.zeros(2), torch.ones(2), 3.0)


# ---- rounding -------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 1), st.integers(1, 9)), min_size=1, max_size=10), st.integers(1, 30))
def test_rounding_fits_cannot_take_one_more_and_beats_the_greedy(pairs: list[tuple[float, int]], total: int) -> None:
    w, c = vectors(pairs)
    chosen = rounded(w, c, float(total))
    assert chosen.tolist() == sorted(set(chosen.tolist()))
    left = total - float(c[chosen].sum())
    others = torch.tensor([i for i in range(len(w)) if i not in chosen.tolist()], dtype=torch.int64)
    assert left >= 0 and not bool((c[others] <= left).any())
    sets = (subset for r in range(len(w) + 1) for subset in itertools.combinations(range(len(w)), r))
    best = max(float(w[list(s)].sum()) for s in sets if float(c[list(s)].sum()) <= total)
    greedy, room = 0.0, float(total)
    for i in torch.argsort(w / c, descending=True, stable=True).tolist():
        if c[i] <= room:
            greedy, room = greedy + float(w[i]), room - float(c[i])
    assert greedy - 1e-6 <= float(w[chosen].sum()) <= best + 1e-9


def test_by_count_it_is_the_largest_weights_the_earlier_of_equals() -> None:
    w = torch.tensor([0.1, 0.9, 0.5, 0.5, 0.9, 0.0])
    assert rounded(w, torch.ones(6), 3.0).tolist() == [1, 2, 4]


def test_the_tail_fills_the_budget_where_the_greedy_would_leave_it() -> None:
    w, c = torch.tensor([1.0, 0.9, 0.5, 0.5]), torch.tensor([5.0, 6.0, 5.0, 5.0])
    assert rounded(w, c, 15.0).tolist() == [0, 2, 3]  # the greedy takes the first two and has 4 left


def test_of_sets_that_are_worth_the_same_the_one_that_fills_more() -> None:
    assert rounded(torch.ones(2), torch.tensor([2.0, 3.0]), 3.0).tolist() == [1]
    assert rounded(torch.zeros(3), torch.tensor([2.0, 3.0, 3.0]), 6.0).tolist() == [1, 2]


@pytest.mark.parametrize("seed", range(5))
def test_of_many_units_those_at_the_edge_of_the_budget_fill_it(seed: int) -> None:
    """More than compete for the rest of it: most are taken as they come, and the budget is spent and no more."""
    draw = np.random.default_rng(seed)
    w, c = torch.from_numpy(draw.uniform(size=400)), torch.from_numpy(draw.integers(2, 30, size=400)).double()
    order = torch.argsort(w / c, descending=True, stable=True)
    for total in (1501.0, 3333.0):
        chosen = rounded(w, c, total)
        assert float(c[chosen].sum()) == total and len(chosen.unique()) == len(chosen)
        greedy = order[c[order].cumsum(0) <= total]
        certain = greedy[: len(greedy) - 32]
        assert bool(torch.isin(certain, chosen).all())
        # What units may be cut for is no less than any whole set comes to.
        most = float(w[greedy].sum()) + (total - float(c[greedy].sum())) * float((w / c)[order[len(greedy)]])
        assert float(w[greedy].sum()) <= float(w[chosen].sum()) <= most + 1e-9
