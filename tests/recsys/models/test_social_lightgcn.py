"""LightGCN with ties: its objective, its proof, and what it says of ties."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recsys.data import Interactions, synthetic
from recsys.linear.landscape import WholeDataLandscape
from recsys.linear.optimality import Certificate
from recsys.models import build
from recsys.objectives import BPR, Multinomial, Objective, WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.recsys.convexity import TIGHT, convex, gram
from tests.recsys.derivatives import assert_derivatives_match
from tests.tolerances import EXACT64
from unlearn.forget import ForgetSet
from unlearn.params import flatten

S = 0.7


@pytest.fixture(scope="module")
def data() -> Interactions:
    return synthetic(10, 12, 45, ties_per_user=2.0, seed=4)


def built(data: Interactions, objective: Objective | None = None, **options: float) -> RecommenderProblem:
    return RecommenderProblem.build(
        data,
        model="social_lightgcn",
        objective=objective or WholeData(a=0.1, l2=0.15),
        options=TrainingOptions(seed=5, tolerance=1e-9, max_iterations=1000),
        dtype=torch.float64,
        dim=12,
        layers=2,
        tie_weight=S,
        **options,
    )


@pytest.mark.parametrize("objective", [WholeData(l2=0.3), Multinomial(), BPR(negatives=2)], ids=lambda one: one.name)
def test_derivatives_match_finite_differences(data: Interactions, objective: Objective) -> None:
    assert_derivatives_match(built(data, objective))


def test_the_landscape_is_the_objective(data: Interactions) -> None:
    problem = built(data)
    landscape = problem.landscape()
    assert isinstance(landscape, WholeDataLandscape)
    value, gradient = problem.value_and_gradient(problem.params)
    assert landscape.start(flatten(problem.params)) == pytest.approx(value, rel=1e-12)
    torch.testing.assert_close(landscape.gradient(), gradient["table"].view(-1), **EXACT64)


@pytest.mark.parametrize("objective", [WholeData(l2=0.3), Multinomial()], ids=lambda one: one.name)
@pytest.mark.parametrize("unit", ["tie", "user"])
def test_weights_are_differentiable_and_zero_means_removed(data: Interactions, objective: Objective, unit: str) -> None:
    problem = built(data, objective)
    units = problem.units(unit)
    weights = torch.rand(len(units), dtype=torch.float64).clamp_min(0.2).requires_grad_()
    (gradient,) = torch.autograd.grad(problem.weighted(unit, weights).objective(problem.params), weights)
    for probe in range(3):
        step = torch.zeros_like(weights)
        step[probe] = 1e-5  # below it, what rounding leaves of the difference shows
        with torch.no_grad():
            ahead, behind = (
                float(problem.weighted(unit, weights + sign * step).objective(problem.params)) for sign in (1, -1)
            )
        assert float(gradient[probe]) == pytest.approx((ahead - behind) / 2e-5, rel=1e-4, abs=1e-8)
    gone = torch.ones(len(units), dtype=torch.float64)
    gone[1] = 0.0
    faded, remaining = problem.weighted(unit, gone), problem.without(units.forget_set(np.array([1])))
    assert len(remaining.units("tie")) < len(problem.units("tie"))
    if isinstance(objective, WholeData):
        torch.testing.assert_close(faded.objective(problem.params), remaining.objective(problem.params), **EXACT64)
    for one, other in zip(faded.readout(), remaining.readout(), strict=True):
        torch.testing.assert_close(one, other, **EXACT64)


def test_the_certificate_is_the_dense_one_and_the_bound_holds(data: Interactions) -> None:
    """With the ties left out of the propagation it would be another matrix."""
    start = built(data)
    point, oracle = Certificate.at(start.loss, start.params, scaled=False), convex(start)
    columns = torch.stack([point.product(unit) for unit in torch.eye(point.size, dtype=torch.float64)], dim=1)
    torch.testing.assert_close(columns, torch.from_numpy(oracle.certificate(gram(start.params))), **EXACT64)
    problem, best = start.fit(), oracle.scores(oracle.solve())
    found = problem.optimality(resolution=TIGHT)
    assert found is not None and found.relative < 1e-3
    assert np.linalg.norm(oracle.scores(gram(problem.params)) - best) <= found.score_distance + 1e-9
    # Of the remaining problem it exceeds what the lost tie did, until that is settled.
    remaining = problem.without(problem.units("tie").forget_set(np.arange(3)))
    after = convex(remaining)
    effect = np.linalg.norm(after.scores(gram(remaining.params)) - after.scores(after.solve()))
    cut, settled = remaining.optimality(resolution=TIGHT), remaining.fit(remaining.params).optimality(resolution=TIGHT)
    assert cut is not None and settled is not None
    assert 0.01 < effect <= cut.score_distance
    assert settled.score_distance < 0.05 * effect


def test_ties_are_told_by_the_likeness_of_scores(data: Interactions) -> None:
    problem = built(data).fit()
    users, items = problem.readout()
    scores = users @ items.T
    ends = problem.units("tie").ends
    assert ends is not None
    expected = 1 - torch.stack([torch.cosine_similarity(scores[a], scores[b], dim=0) for a, b in ends.tolist()])
    every = torch.arange(len(ends))
    torch.testing.assert_close(problem.tie_losses(problem.params, every), expected, **EXACT64)
    table = problem.params["table"].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(problem.tie_losses({"table": table}, every).sum(), table)
    assert gradient.abs().max() > 1e-3
    # Whose tie is gone is told less by it.
    cut = problem.without(problem.units("tie").forget_set(np.array([0])))
    u, i = cut.readout()
    a, b = ends[0]
    assert float(torch.cosine_similarity(u[a] @ i.T, u[b] @ i.T, dim=0)) < 1 - float(expected[0])


def test_what_cannot_be_built(data: Interactions) -> None:
    with pytest.raises(ValueError, match="`tie_weight` must be positive"):
        build("social_lightgcn", 3, 3, tie_weight=0.0)
    nobody = Interactions(data.users, data.items, data.indptr, data.indices)
    with pytest.raises(ValueError, match="`data` must have ties between users for `social_lightgcn`"):
        built(nobody)
    plain = RecommenderProblem.build(data, dim=4)
    for refused in (
        lambda: plain.units("tie"),
        lambda: plain.weighted("tie", torch.ones(3)),
        lambda: plain.tie_losses(plain.params, torch.arange(2)),
    ):
        with pytest.raises(ValueError, match=r"`unit` must be .*for lightgcn \(got 'tie'\).*social_lightgcn"):
            refused()
    with pytest.raises(ValueError, match=r"`weights` must have shape \(\d+,\) for 'tie'"):
        built(data).weighted("tie", torch.ones(2))


def test_forgetting_every_tie_leaves_lightgcn(data: Interactions) -> None:
    problem = built(data)
    everything = problem.units("tie").forget_set(np.arange(len(problem.units("tie"))))
    plain = RecommenderProblem.build(data, dim=12, layers=2, dtype=torch.float64).with_params(problem.params)
    for one, other in zip(problem.without(everything).readout(), plain.readout(), strict=True):
        torch.testing.assert_close(one, other, **EXACT64)
    assert problem.without(ForgetSet()).digest() == problem.digest() != problem.without(everything).digest()
