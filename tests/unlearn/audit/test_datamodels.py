"""The linear datamodelling score against SciPy, a linear problem whose attribution is known, and its own promises."""

from __future__ import annotations

from math import asin, pi
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import f_oneway, spearmanr
from torch import Tensor

from tests.unlearn.toys import RIDGE_PENALTY, regression, ridge, ridge_solution
from unlearn.audit.datamodels import grouped, lds
from unlearn.audit.pool import ModelPool, Plan
from unlearn.problem import Problem


def attribution() -> tuple[Tensor, Tensor]:
    """By how much each record [40] lowers the loss of each of 20 queries, to first order; and the queries.

    theta(w) = argmin sum_r w_r loss_r + penalty, so that d(-loss_q) / d w_r = g_q . H^-1 g_r.
    """
    x, y = regression()
    queries, answers = regression(20, seed=7)
    theta = ridge_solution(x, y)
    hessian = x.T @ x + RIDGE_PENALTY * torch.eye(5, dtype=x.dtype)
    of_records = (x @ theta - y)[:, None] * x
    of_queries = (queries @ theta - answers)[:, None] * queries
    return of_records @ torch.linalg.solve(hessian, of_queries.T), torch.cat([queries, answers[:, None]], 1)


def outputs_of(folder: Path, plan: Plan, queries: Tensor) -> Tensor:
    """Minus the loss of every query under every model."""

    def told(model: Problem) -> Tensor:
        return -0.5 * (model.outputs(queries[:, :-1]).squeeze(-1) - queries[:, -1]).square()

    nowhere = torch.full((len(queries),), -1)
    return ModelPool(ridge(), plan, folder, jobs=1).signals(told, units=nowhere).values


def test_exact_attribution_of_a_linear_problem_comes_near_one_and_its_negative_near_minus_one(tmp_path: Path) -> None:
    plan = Plan.halves(40, 60, seed=1, share=0.8)
    scores, queries = attribution()
    outputs = outputs_of(tmp_path, plan, queries)
    found = lds(scores, outputs, plan.member)
    assert 0.9 < found.low <= found.value <= found.high
    negative = lds(-scores, outputs, plan.member)
    assert negative.value == pytest.approx(-found.value) and negative.high < -0.9
    shuffled = lds(scores[torch.randperm(40, generator=torch.Generator().manual_seed(0))], outputs, plan.member)
    assert shuffled.value < 0.5 * found.value
    assert "ceiling from seed noise unknown" in str(found) and found.subsets == found.models == 60


def test_every_query_is_scipys_rank_correlation_ties_included() -> None:
    generator = torch.Generator().manual_seed(0)
    member = torch.rand(30, 50, generator=generator) < 0.5
    scores = torch.randn(50, 6, generator=generator)
    outputs = member.float() @ scores + 3.0 * torch.randn(30, 6, generator=generator)
    outputs[:, 2] = (outputs[:, 2] > 0).float()  # ties, as hits have
    found = lds(scores, outputs, member)
    predicted = member.double() @ scores.double()
    expected = [spearmanr(predicted[:, q], outputs[:, q]).statistic for q in range(6)]
    np.testing.assert_allclose(found.by_query.numpy(), expected, atol=1e-12)
    assert found.value == pytest.approx(float(np.mean(expected)))


def test_seeds_of_one_subset_are_averaged_and_units_may_stand_for_their_records() -> None:
    generator = torch.Generator().manual_seed(1)
    plan = Plan.halves(12, 20, seed=0, unit="user").repeated(3)
    owners = torch.randint(12, (80,), generator=generator)
    scores = torch.randn(80, 4, generator=generator)
    outputs = torch.randn(60, 4, generator=generator)
    by_record = lds(scores, outputs, plan.member[:, owners])
    by_user = lds(grouped(scores, owners, 12), outputs, plan.member)
    averaged = lds(scores, outputs.view(20, 3, 4).mean(1), plan.member[::3, owners])
    assert (by_record.subsets, by_record.models, averaged.models) == (20, 60, 20)
    torch.testing.assert_close(by_record.by_query, by_user.by_query)
    torch.testing.assert_close(by_record.by_query, averaged.by_query)


def test_the_ceiling_is_what_the_truth_itself_reaches() -> None:
    generator = torch.Generator().manual_seed(2)
    plan = Plan.halves(60, 400, seed=0).repeated(2)
    scores = torch.randn(60, 5, generator=generator, dtype=torch.float64)
    truth = plan.member.double() @ scores
    noise = 1.2 * truth.std(0) * torch.randn(truth.shape, generator=generator, dtype=torch.float64)
    found = lds(scores, truth + noise, plan.member)
    assert found.ceiling == pytest.approx((1.0 / (1.0 + 1.2**2 / 2.0)) ** 0.5, abs=0.03)
    assert found.value == pytest.approx(found.ceiling, abs=0.05)
    assert lds(scores, truth, plan.member).ceiling == pytest.approx(1.0)
    assert f"ceiling from seed noise {found.ceiling:.3f}" in str(found)


def test_the_ceiling_is_that_of_the_analysis_of_variance() -> None:
    """By SciPy's F, the variance over subsets in units of what is left of the noise in their means."""
    generator = torch.Generator().manual_seed(5)
    member = torch.tensor([[1, 0, 0, 1], [0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 1, 1]], dtype=torch.bool).repeat(3, 1)
    scores = torch.randn(4, 2, generator=generator, dtype=torch.float64)
    outputs = member.double() @ scores + 0.3 * torch.randn(12, 2, generator=generator, dtype=torch.float64)
    variances = [f_oneway(*(outputs[subset::4, query].numpy() for subset in range(4))).statistic for query in range(2)]
    assert min(variances) > 1.0
    expected = np.mean([(1.0 - 1.0 / f) ** 0.5 for f in variances])
    assert lds(scores, outputs, member).ceiling == pytest.approx(expected)
    # What was the same for all subsets has no ceiling, as it has no correlation.
    more = torch.cat([outputs, torch.ones(12, 1, dtype=torch.float64)], 1)
    assert lds(torch.cat([scores, scores[:, :1]], 1), more, member).ceiling == pytest.approx(expected)


def test_the_interval_ends_where_correlations_do() -> None:
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        member = torch.rand(8, 6, generator=generator) < 0.5
        scores = torch.randn(6, 3, generator=generator)
        found = lds(scores, member.float() @ scores + 0.5 * torch.randn(8, 3, generator=generator), member)
        assert -1.0 <= found.low <= found.value <= found.high <= 1.0


@pytest.mark.parametrize("share", [0.5, 0.75])
@pytest.mark.parametrize("rho", [0.0, 0.6, 0.95])
def test_the_interval_covers_the_truth_as_often_as_it_says(share: float, rho: float) -> None:
    """Correlation rho between predictions and outputs: 95 in 100 pools say so; complements are not two draws."""
    covered, n = 0, 200
    generator = torch.Generator().manual_seed(3)
    for seed in range(n):
        plan = Plan.halves(200, 24, seed, share=share)
        scores = torch.randn(200, 6, generator=generator, dtype=torch.float64)
        other = torch.randn(200, 6, generator=generator, dtype=torch.float64)
        other = other - scores * (scores * other).sum(0) / scores.square().sum(0)
        other = other * scores.norm(dim=0) / other.norm(dim=0)
        member = plan.member.double()
        outputs = rho * (member @ scores) + (1 - rho**2) ** 0.5 * (member @ other)
        found = lds(scores, outputs, plan.member)
        covered += found.low <= 6 / pi * asin(rho / 2) <= found.high
    assert 0.9 <= covered / n <= 0.99


def test_what_says_nothing_counts_as_nothing() -> None:
    generator = torch.Generator().manual_seed(4)
    member = torch.rand(12, 10, generator=generator) < 0.5
    scores, outputs = torch.randn(10, 3, generator=generator), torch.randn(12, 3, generator=generator)
    scores[:, 0], outputs[:, 1] = 0.0, 1.0
    found = lds(scores, outputs, member)
    assert found.by_query[0] == 0.0 and bool(found.by_query[1].isnan())
    assert found.value == pytest.approx(float(found.by_query[2]) / 2)
    with pytest.raises(ValueError, match="`outputs` must vary over subsets"):
        lds(scores, torch.ones(12, 3), member)


def test_what_does_not_fit_together_is_refused_with_all_that_is_wrong() -> None:
    with pytest.raises(ValueError) as caught:
        lds(torch.full((10, 3), torch.nan), torch.zeros(12, 2), torch.ones(12, 9))
    assert all(f"`{name}`" in str(caught.value) for name in ("scores", "outputs", "member"))
    with pytest.raises(ValueError, match=r"at least three different subsets .*\(got 1\)"):
        lds(torch.zeros(10, 3), torch.zeros(12, 3), torch.ones(12, 10, dtype=torch.bool))
    with pytest.raises(ValueError, match="two dimensions"):
        lds(torch.zeros(10), torch.zeros(12, 3), torch.ones(12, 10, dtype=torch.bool))
