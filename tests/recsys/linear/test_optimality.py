"""The proven bound against a dense convex solve."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from recsys.data import Interactions, read
from recsys.linear import optimality
from recsys.linear.optimality import Certificate, bound
from recsys.models import LightGCN
from recsys.objectives import Multinomial, WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.recsys.conftest import tiny_interactions
from tests.recsys.convexity import CASES, TIGHT, built, convex, gram, small_data
from tests.tolerances import EXACT64
from unlearn.forget import ForgetSet
from unlearn.params import Params


@pytest.fixture(scope="module")
def small() -> Interactions:
    return small_data()


def trajectory(problem: RecommenderProblem) -> list[Params]:
    """The parameters after every iteration of a training from the start, the start included."""
    seen = [problem.params]
    final = problem.fit(monitor=lambda _iteration, _seconds, current: seen.append(current()))
    return [*seen, final.params]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_certificate_equals_the_dense_one(small: Interactions, case: tuple[str, dict[str, Any]]) -> None:
    """Fails if a sign of G is flipped, the graph is cut or the propagation left out."""
    problem, oracle = built(small, case), convex(built(small, case))
    point = Certificate.at(problem.loss, problem.params, scaled=False)
    w = gram(problem.params)
    dense = torch.from_numpy(oracle.certificate(w))
    columns = torch.stack([point.product(unit) for unit in torch.eye(point.size, dtype=torch.float64)], dim=1)
    torch.testing.assert_close(columns, dense, **EXACT64)
    assert point.value == pytest.approx(oracle.value(w), rel=1e-12)
    assert point.trace == pytest.approx(np.trace(w), rel=1e-12)
    assert point.slope_norm == pytest.approx(np.linalg.norm(oracle.slope(w)), rel=1e-10)
    assert point.first_order == pytest.approx((dense.numpy() * w).sum(), rel=1e-10)
    assert point.score_norm == pytest.approx(np.linalg.norm(oracle.scores(w)), rel=1e-10)


def test_scaling_is_the_exact_minimum_over_multiples(small: Interactions) -> None:
    problem, oracle = built(small, CASES[2]), convex(built(small, CASES[2]))
    w, point = gram(problem.params), Certificate.at(problem.loss, problem.params)
    scale = point.trace / np.trace(w)
    assert point.value == pytest.approx(oracle.value(scale * w), rel=1e-12)
    assert all(point.value <= oracle.value(t * w) + 1e-12 for t in np.linspace(0.0, 4.0 * scale, 81))
    assert (oracle.certificate(scale * w) * w).sum() == pytest.approx(0.0, abs=1e-9)
    assert point.gained == pytest.approx(oracle.value(w) - point.value, rel=1e-9)
    assert point.scale == pytest.approx(scale, rel=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_bound_is_the_derivation_step_by_step(small: Interactions, case: tuple[str, dict[str, Any]]) -> None:
    """Each inequality against the dense solution, then the bound that they give against the one returned."""
    problem = built(small, case)
    oracle = convex(problem)
    best = oracle.solve()
    mu, l2 = 2.0 * oracle.a, oracle.l2
    for params in trajectory(problem)[::5]:
        w = gram(params)
        scale = Certificate.at(problem.loss, params).scale
        q, slope = oracle.certificate(scale * w), oracle.slope(scale * w)
        delta = max(0.0, -np.linalg.eigvalsh(q)[0])
        distance = np.linalg.norm(oracle.scores(scale * w) - oracle.scores(best))
        trace, size = scale * np.trace(w), np.linalg.norm(slope)
        simple = min(oracle.value(scale * w), 0.5 * oracle.observed.sum()) / l2
        assert mu * distance**2 <= -(q * best).sum() + 1e-9
        assert -(q * best).sum() <= delta * np.trace(best) + 1e-9
        assert l2 * np.trace(best) <= l2 * trace + size * distance - mu * distance**2 + 1e-9
        assert np.trace(best) <= simple
        found = problem.with_params(params).optimality(resolution=TIGHT)
        assert found is not None
        lowest = float(np.linalg.eigvalsh(q)[0])
        assert lowest - 0.12 * abs(lowest) - 1e-9 <= found.curvature <= lowest + 1e-9
        delta = max(0.0, -found.curvature)
        root = np.roots([mu * (1.0 + delta / l2), -delta / l2 * size, -delta * trace]).real.max()
        moved = abs(1.0 - scale) * np.linalg.norm(oracle.scores(w))
        radius = min(root, np.sqrt(delta * simple / mu))
        assert found.score_distance == pytest.approx(radius + moved, rel=1e-6, abs=1e-5)
        gap = delta * min(simple, trace + size * radius / l2) + oracle.value(w) - oracle.value(scale * w)
        assert found.objective_gap == pytest.approx(gap, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("dim", [1, 8], ids=["below the rank", "above the rank"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_bound_holds_for_every_iterate(small: Interactions, case: tuple[str, dict[str, Any]], dim: int) -> None:
    problem = built(small, case, dim=dim)
    oracle = convex(problem)
    best = oracle.solve()
    scores, value = oracle.scores(best), oracle.value(best)
    ratios: list[float] = []
    last = None
    for number, params in enumerate(trajectory(problem)):
        # Alternately as tight as can be and as loose as by default: both must hold.
        last = problem.with_params(params).optimality(seed=number, resolution=TIGHT if number % 2 else 0.015)
        assert last is not None
        w = gram(params)
        distance = float(np.linalg.norm(oracle.scores(w) - scores))
        assert distance <= last.score_distance + 1e-9
        assert oracle.value(w) - value <= last.objective_gap + 1e-10
        if distance > 1e-4:
            ratios.append(last.score_distance / distance)
    assert last is not None
    if dim == 8:
        assert np.median(ratios) < 30.0, "the bound is no longer within a small factor of the truth"
        assert last.relative < 1e-3
        assert last.curvature > -1e-6
    else:
        assert last.relative > 0.02, "below the rank nothing can be certified"
        assert last.ascent is not None


def test_bound_holds_from_zero_and_from_far(small: Interactions) -> None:
    problem = built(small, CASES[1])
    oracle = convex(problem)
    best = oracle.scores(oracle.solve())
    for factor in (0.0, 1e-3, 1.0, 100.0):
        table = factor * problem.params["table"]
        found = problem.with_params({"table": table}).optimality()
        assert found is not None
        distance = np.linalg.norm(oracle.scores(gram({"table": table})) - best)
        assert distance <= found.score_distance
        # tr(W*) <= F(0) / (2 l2) keeps it finite and of the solution's own order, wherever it starts
        assert found.score_distance <= distance + 30.0 * np.linalg.norm(best)
    assert problem.with_params({"table": 0.0 * problem.params["table"]}).optimality().relative == np.inf


@pytest.mark.parametrize("dim", [9, 12])
def test_bound_holds_in_a_table_that_spans_everything(dim: int) -> None:
    """As many columns as rows: no direction is left over for an eigenvalue to be looked for in."""
    problem = built(tiny_interactions(4, 5, density=0.5), CASES[1], dim=dim)
    oracle = convex(problem)
    found = problem.optimality()
    assert found is not None and int(torch.linalg.matrix_rank(problem.params["table"])) == 9
    best, w = oracle.solve(), gram(problem.params)
    assert np.linalg.norm(oracle.scores(w) - oracle.scores(best)) <= found.score_distance
    assert oracle.value(w) - oracle.value(best) <= found.objective_gap


def test_bound_holds_where_users_say_something_and_items_nothing() -> None:
    """No score, and yet a trace: the best multiple is 0."""
    problem = built(tiny_interactions(4, 5, density=0.5), CASES[0])
    table = problem.params["table"].clone()
    table[4:] = 0.0
    found = problem.with_params({"table": table}).optimality()
    assert found is not None
    oracle = convex(problem)
    best = oracle.solve()
    assert found.relative == np.inf
    assert np.linalg.norm(oracle.scores(best)) <= found.score_distance
    assert oracle.value(gram({"table": table})) - oracle.value(best) <= found.objective_gap


@pytest.mark.parametrize("a", [0.05, 0.9])
@pytest.mark.parametrize("l2", [0.01, 0.3, 0.6])
def test_retrains_that_are_too_narrow_differ_and_lie_within_twice_the_bound(a: float, l2: float) -> None:
    """Two pairs in one column: turning the signs of one of them gives another table that is as good."""
    data = Interactions.from_frame(pd.DataFrame({"user": ["u", "v"], "item": ["i", "j"]}))
    problem = built(data, CASES[0], dim=1).with_options(TrainingOptions(tolerance=1e-9, max_iterations=600))
    problem = replace(problem, objective_function=WholeData(a=a, l2=l2)).fit()
    table = problem.params["table"].clone()
    table[[1, 3]] *= -1.0
    other = problem.with_params({"table": table})
    assert float(other.objective(other.params)) == pytest.approx(float(problem.objective(problem.params)), rel=1e-12)
    (users, items), (turned, with_them) = problem.readout(), other.readout()
    distance = float((users @ items.T - turned @ with_them.T).norm())
    found = problem.optimality(resolution=TIGHT)
    assert found is not None
    assert found.score_distance < distance < 2.0 * found.score_distance


def test_bound_sees_a_deletion(small: Interactions) -> None:
    """At a converged table the bound is small; on a graph with interactions cut it must exceed what they did."""
    problem = built(small, CASES[2]).fit()
    before = problem.optimality(resolution=TIGHT)
    frame = problem.data.user_rows()[:3], problem.data.item_rows()[:3]
    pairs = tuple(zip(problem.data.users.take(frame[0]), problem.data.items.take(frame[1]), strict=True))
    remaining = problem.without(ForgetSet(interactions=pairs))
    after = remaining.optimality(resolution=TIGHT)
    assert before is not None
    assert after is not None
    oracle = convex(remaining)
    effect = np.linalg.norm(oracle.scores(gram(remaining.params)) - oracle.scores(oracle.solve()))
    assert before.score_distance < 0.01 * effect
    assert after.score_distance > effect
    again = remaining.fit(remaining.params).optimality(resolution=TIGHT)
    assert again is not None
    assert again.score_distance < 0.01 * effect


class _Flipped(WholeData):
    def slopes(self, y: Tensor, graph: Any) -> Tensor:
        return -super().slopes(y, graph)


def test_a_wrong_certificate_does_not_pass(small: Interactions) -> None:
    """The solution passes; with the sign of its slopes flipped, or another propagation, it does not."""
    problem = built(small, CASES[2]).fit()
    right = problem.optimality(resolution=TIGHT)
    flipped = replace(problem, objective_function=_Flipped(a=0.1, l2=0.15)).optimality(resolution=TIGHT)
    shallower = LightGCN(problem.data.n_users, problem.data.n_items, dim=8, layers=2)
    cut = replace(problem, model=shallower).optimality(resolution=TIGHT)
    assert right is not None
    assert flipped is not None
    assert cut is not None
    assert right.relative < 1e-3
    assert min(flipped.relative, cut.relative) > 0.05


def test_weights_enter_the_bound(small: Interactions) -> None:
    """Weights of one are no weights; an interaction of weight (almost) zero is a deleted one."""
    problem = built(small, CASES[1])
    n = len(problem.data)
    plain = problem.optimality(resolution=TIGHT)
    ones = problem.weighted("interaction", torch.ones(n, dtype=torch.float64)).optimality(resolution=TIGHT)
    assert plain is not None
    assert ones is not None
    assert ones.score_distance == pytest.approx(plain.score_distance, rel=1e-9)
    weights = torch.ones(n, dtype=torch.float64)
    user, item = problem.data.user_rows()[1], problem.data.item_rows()[1]
    weights[1] = 1e-12
    pair = (problem.data.users.take([user])[0], problem.data.items.take([item])[0])
    faded = problem.weighted("interaction", weights).optimality(resolution=TIGHT)
    gone = problem.without(ForgetSet(interactions=(pair,))).optimality(resolution=TIGHT)
    assert faded is not None
    assert gone is not None
    assert faded.score_distance == pytest.approx(gone.score_distance, rel=1e-5)
    assert faded.score_distance != pytest.approx(plain.score_distance, rel=1e-3)


def test_where_no_bound_is_known(small: Interactions) -> None:
    problem = built(small, CASES[0])
    assert replace(problem, objective_function=WholeData(a=0.1, l2=0.0)).optimality() is None
    other = replace(problem, objective_function=Multinomial(l2=1.0))
    assert other.optimality() is None
    with pytest.raises(ValueError, match="whole_data"):
        bound(other.loss, other.params)


def test_problem_reports_the_bound(small: Interactions) -> None:
    problem = built(small, CASES[2]).fit()
    single = problem.with_params({"table": problem.params["table"].float()})
    for each in (problem, single):
        found = each.optimality(probability=0.999, seed=3)
        assert found is not None
        assert found.probability == 0.999
        assert found.relative < 0.1
        assert found.seconds > 0.0


def test_both_eigenvalue_iterations_draw_by_the_seed_and_share_the_chance_to_be_wrong(
    small: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int, float]] = []

    def noted(name: str, then: Any) -> None:
        def call(*arguments: Any, **named: Any) -> Any:
            asked.append((name, named["seed"], named["probability"]))
            return then(*arguments, **named)

        monkeypatch.setattr(optimality, name, call)

    noted("smallest_eigenvalue_near", lambda *_, **__: None)  # which leads to the other one
    noted("smallest_eigenvalue", optimality.smallest_eigenvalue)
    found = built(small, CASES[2]).optimality(probability=0.9, seed=7)
    assert found is not None and found.probability == 0.9
    assert [(name, seed) for name, seed, _ in asked] == [("smallest_eigenvalue_near", 7), ("smallest_eigenvalue", 7)]
    assert sum(1.0 - chance for *_, chance in asked) == pytest.approx(0.1)


def test_lastfm(data_dir: Path) -> None:
    """On real data the bound proves a warm re-convergence: well below the effect of the deletion it served."""
    data = read(data_dir / "lastfm" / "data1.txt")
    options = TrainingOptions(seed=0, tolerance=1e-4, max_iterations=400)
    problem = RecommenderProblem.build(data, objective=WholeData(a=0.2, l2=2.0), options=options, dim=64, layers=3)
    problem = problem.fit()
    gone = np.random.default_rng(0).choice(len(data), len(data) // 20, replace=False)
    pairs = zip(data.users.take(data.user_rows()[gone]), data.items.take(data.item_rows()[gone]), strict=True)
    remaining = problem.without(ForgetSet(interactions=tuple(pairs)))
    solved = remaining.fit(remaining.params)
    before, after = remaining.optimality(), solved.optimality()
    assert before is not None
    assert after is not None
    (users, items), (users_before, items_before) = solved.readout(), problem.readout()
    scores = users @ items.T
    effect = float((users_before @ items_before.T - scores).norm() / scores.norm())
    assert effect > 0.05
    assert before.relative > effect
    assert after.relative < 0.5 * effect
