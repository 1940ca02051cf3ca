"""The evaluation as a whole, on a small recommender: what it finds, and that its raw values say the same."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from recsys.data import ratio, synthetic
from recsys.errors import UnknownIds
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.requests import requests
from recsys.scorer import RankingScorer
from tests.unlearn.audit.compared import KEY, Diverging, Memory, render
from unlearn.audit import Comparison, compare, record
from unlearn.audit.figures import _kept, of_retrain
from unlearn.audit.measures import auc
from unlearn.audit.reference import Reference, reference
from unlearn.audit.runner import _with_baselines
from unlearn.forget import ForgetSet
from unlearn.methods.base import method
from unlearn.methods.retrain import OTHER_START
from unlearn.problem import Problem

FIGURES = {
    "recall_at_20", "ndcg_at_20", "recall_at_20_low", "ndcg_at_20_high", "forget_auc", "retrain_auc", "retrain_gap",
    "gap_floor", "original_drift", "below_floor", "overlap", "overlap_floor", "residual_ratio", "effect", "score_bound",
    "rows_changed", "seconds", "prepare_seconds", "prepare_mb", "speedup_vs_retrain", "speedup_amortised_100",
    "fallback",
}  # fmt: skip


def row(content: Mapping[str, Any], name: str) -> dict[str, Any]:
    (there,) = [entry for entry in content["methods"] if entry["name"] == name]
    return {figure: value["mean"] if isinstance(value, dict) else value for figure, value in there.items()}


def test_every_baseline_is_there_and_every_figure(content: dict[str, Any]) -> None:
    names = [entry["name"] for entry in content["methods"]]
    assert names == ["no_op", "graph_drop", "row_drop", "reconverge", "prepared", "diverging", "retrain", "placebo"]
    for name in names[:-1]:
        assert set(row(content, name)) >= FIGURES, name
    assert (content["seeds"], content["statistic"]) == ([0], "interval")
    assert set(content["digests"]) == {"train", "test"}
    assert content["settings"]["methods"]["reconverge"] == method("reconverge").arguments()


def test_the_measures_order_the_methods(content: dict[str, Any]) -> None:
    nothing, dropped, reconverged, retrained = (
        row(content, name) for name in ("no_op", "graph_drop", "reconverge", "retrain")
    )
    assert nothing["retrain_gap"] == 1.0
    assert retrained["retrain_gap"] == retrained["gap_floor"] < 0.01
    assert retrained["gap_floor"] < reconverged["retrain_gap"] < dropped["retrain_gap"] < 1.0
    distance = [abs(entry["forget_auc"] - entry["retrain_auc"]) for entry in (reconverged, dropped, nothing)]
    assert distance == sorted(distance)
    assert distance[2] > 0.05
    assert nothing["overlap"] < reconverged["overlap"] <= 1.0
    assert 0.0 < retrained["residual_ratio"] < reconverged["residual_ratio"] < 1.0 == nothing["residual_ratio"]
    assert retrained["rows_changed"] == 200 + 120  # all: those of the forgotten are cleared
    assert nothing["below_floor"] == 0.0
    assert reconverged["original_drift"] < 0.01


def test_the_bound_holds_and_only_what_worked_is_bounded(found: Comparison, content: dict[str, Any]) -> None:
    reconverged, retrained = row(content, "reconverge"), row(content, "retrain")
    assert row(content, "no_op")["score_bound"] is None
    # The gap is over affected users; the bound is over everyone, and so at least as large.
    raw = {m.method: m.raw for m in found.measurements}
    norm = found.requests[0].raw["reference_norm"]
    assert raw["reconverge"]["distance_after"] <= reconverged["score_bound"] * norm * 1.5
    assert 0 < retrained["score_bound"] < reconverged["score_bound"]


def test_raw_values_score_the_same(found: Comparison) -> None:
    for one in found.measurements:
        if one.method == "diverging":
            continue
        positive, negative = (torch.tensor(one.raw[side], dtype=torch.float64) for side in ("positive", "negative"))
        assert auc(positive, negative) == pytest.approx(one.values["forget_auc"], abs=1e-4)
        assert (len(positive), len(negative)) == (one.raw["n_positive"], one.raw["n_negative"])
        if one.method != "placebo":
            gap = one.raw["distance_after"] / found.requests[0].raw["distance_before"]
            assert gap == pytest.approx(one.values["retrain_gap"])


def test_of_many_scores_an_even_choice_is_kept() -> None:
    kept = _kept(torch.arange(9_999.0).flip(0))
    assert kept == list(range(0, 9_999, 2))
    many = 2**24 + 4  # float32 has no number for the last place
    assert _kept(torch.zeros(many)) == [0.0] * 5_000


def test_speed_is_a_cold_retrains_time_to_the_same_gap(found: Comparison) -> None:
    trajectory = found.requests[0].raw["trajectory"]
    assert trajectory[-1][1] == pytest.approx(found.measurements[0].values["gap_floor"])
    looks = [point[0] for point in trajectory]
    assert looks == sorted(looks) and all(later >= 1.1 * earlier for earlier, later in pairwise(looks[:-1]))
    for one in found.measurements:
        if one.method not in ("reconverge", "prepared"):
            continue
        values = {name: value or 0.0 for name, value in one.values.items()}
        target = max(values["retrain_gap"], values["gap_floor"])
        after = next(i for i, (_, gap) in enumerate(trajectory) if gap <= target)
        assert trajectory[after - 1][1] > target >= trajectory[after][1]
        falling = trajectory[after : after - 2 : -1]
        cold = np.interp(math.log(target), [math.log(gap) for _, gap in falling], [when for when, _ in falling])
        assert values["speedup_vs_retrain"] == pytest.approx(cold / values["seconds"])
        price = values["seconds"] + values["prepare_seconds"] / 100
        assert values["speedup_amortised_100"] == pytest.approx(cold / price)
    retrain, prepared = (next(one for one in found.measurements if one.method == m) for m in ("retrain", "prepared"))
    assert retrain.values["seconds"] == trajectory[-1][0]
    own = ("prepare_seconds", "prepare_mb", "speedup_vs_retrain", "speedup_amortised_100", "fallback")
    assert [retrain.values[name] for name in own] == [0.0, 0.0, 1.0, 1.0, 0.0]
    assert (prepared.values["prepare_seconds"], prepared.values["prepare_mb"]) == (50.0, 3.0)


@pytest.mark.parametrize(("gap", "seconds"), [(0.9, 1.0), (0.4, 2.0), (0.2, 3.0), (0.1, 4.0), (0.0, 4.0)])
def test_a_retrain_comes_as_near_as_it_ever_came_exponentially_between_looks(gap: float, seconds: float) -> None:
    watched: Any = SimpleNamespace(trajectory=((1.0, 0.8), (2.0, 0.4), (4.0, 0.1)))
    assert Reference.seconds_until(watched, gap) == pytest.approx(seconds)
    coupled: Any = SimpleNamespace(trajectory=((1.0, 0.8), (3.0, 0.0)))  # nothing falls to 0 exponentially
    assert Reference.seconds_until(coupled, gap) == (1.0 if gap > 0.8 else 3.0)


def test_a_gap_is_of_the_affected_and_the_effect_of_all_who_remain() -> None:
    split = ratio(synthetic(40, 30, 400, seed=0), seed=0)
    problem = RecommenderProblem.build(split.train, objective=WholeData(l2=0.5, a=0.1), dtype=torch.float64, dim=8)
    problem = problem.fit()
    (forget,), scorer = requests("random:0.1", problem.data, seed=0), RankingScorer(split.test)
    panel = scorer.panel(problem, forget, seed=0)
    few = replace(panel, affected=panel.affected[:3])
    found = reference(problem, problem, forget, scorer, few, seed=3)
    before, after, other = (one.scores(np.arange(problem.data.n_users)) for one in (problem, found.cold, found.other))
    everybody, unit = panel.remaining, float((before - after)[few.affected].norm())
    assert found.effect == pytest.approx(float((before - after)[everybody].norm() / after[everybody].norm()))
    assert found.distance == pytest.approx(unit)
    assert found.gap_floor == pytest.approx(float((after - other)[few.affected].norm()) / unit, rel=1e-2)
    assert (found.original_drift, found.gap(problem)) == (0.0, pytest.approx(1.0))
    assert isinstance(found.cold, Problem) and found.cold.history.seed == 3 + OTHER_START
    # What further training moves the original by is as good a reason to see nothing in a gap.
    drifting = replace(found, original_drift=2.0 * found.gap_floor)
    assert [of_retrain(one)[0]["below_floor"] for one in (found, drifting)] == [0.0, 1.0]
    left = problem.without(forget)
    warm = left.fit(left.settled(forget), options=problem.options.polished())  # the other one goes on from the original
    assert isinstance(found.other, Problem) and torch.equal(found.other.params["table"], warm.params["table"])


def test_rows_are_dropped_where_a_request_names_somebody_or_something(problem: RecommenderProblem) -> None:
    def names(forget: ForgetSet) -> list[str]:
        return [one.name for one in _with_baselines([], [forget], problem)]

    user, item = problem.data.users.ids[0], problem.data.items.ids[0]
    assert names(ForgetSet(interactions=((user, item),))) == ["no_op", "graph_drop"]
    for whole in (ForgetSet(users=(user,)), ForgetSet(items=(item,))):
        assert names(whole) == ["no_op", "graph_drop", "row_drop"]


def test_a_method_that_ends_in_no_number_is_a_row_without_figures(content: dict[str, Any]) -> None:
    diverged = row(content, "diverging")
    for name in ("retrain_gap", "forget_auc", "recall_at_20", "score_bound", "speedup_vs_retrain"):
        assert diverged[name] is None
    assert diverged["below_floor"] == 0.0


def test_the_placebo_forgets_others(content: dict[str, Any]) -> None:
    placebo, nothing = row(content, "placebo"), row(content, "no_op")
    assert "retrain_gap" not in placebo
    assert abs(placebo["forget_auc"] - nothing["forget_auc"]) < 0.5 * abs(
        nothing["forget_auc"] - placebo["retrain_auc"]
    )
    assert placebo["recall_at_20"] == pytest.approx(nothing["recall_at_20"], rel=0.1)
    assert 0.1 * nothing["effect"] < placebo["effect"] < 10 * nothing["effect"]


def test_nothing_names_a_user(found: Comparison, problem: RecommenderProblem) -> None:
    text = found.to_json()
    assert not any(user in text for user in problem.data.users.take(range(problem.data.n_users)))
    assert found.requests[0].digest == requests("users:10", problem.data, seed=0)[0].digest(KEY)


def test_many_requests_give_quantiles(problem: RecommenderProblem, scorer: RankingScorer) -> None:
    asked = requests("one-user:3", problem.data, seed=1)
    found = compare(problem, asked, [method("reconverge")], scorer, seed=1)
    (entry,) = [entry for entry in json.loads(found.to_json())["methods"] if entry["name"] == "reconverge"]
    gaps = sorted(m.values["retrain_gap"] or 0.0 for m in found.measurements if m.method == "reconverge")
    assert entry["retrain_gap"]["median"] == pytest.approx(gaps[1])
    assert entry["retrain_gap"]["p90"] == pytest.approx(0.2 * gaps[1] + 0.8 * gaps[2])
    assert entry["retrain_gap"]["n"] == 3
    assert [m.request for m in found.measurements if m.method == "placebo"] == [0]
    assert "(" in render(found)


def test_seeds_give_intervals(found: Comparison) -> None:
    def moved(seed: int) -> Comparison:
        return Comparison(
            tuple(type(m)(m.method, seed, 0, m.values | {"seconds": float(seed)}, m.raw) for m in found.measurements),
            tuple(type(r)(seed, 0, r.counts, r.digest, r.raw) for r in found.requests),
            found.settings,
            found.digests,
        )

    joined = Comparison.join([moved(1), moved(2), moved(3)])
    entry = json.loads(joined.to_json())["methods"][3]
    assert joined.seeds == (1, 2, 3)
    assert entry["seconds"]["mean"] == 2.0
    assert entry["seconds"]["high"] == pytest.approx(2.0 + 4.302652729696 / math.sqrt(3))
    assert "2.000 ± 2.48" in render(joined)
    with pytest.raises(ValueError, match="different seeds"):
        Comparison.join([moved(1), moved(1)])
    with pytest.raises(ValueError, match="2 different data"):
        Comparison.join([moved(1), replace(moved(2), digests={"train": "another"})])


def test_a_mean_over_survivors_says_so_everywhere(found: Comparison) -> None:
    def moved(seed: int) -> Comparison:
        lost: dict[str, dict[str, float | None]] = {"prepared": {"retrain_gap": None}} if seed else {}
        rows = tuple(type(m)(m.method, seed, 0, m.values | lost.get(m.method, {}), m.raw) for m in found.measurements)
        facts = tuple(type(r)(seed, 0, r.counts, r.digest, r.raw) for r in found.requests)
        return Comparison(rows, facts, found.settings, found.digests)

    joined = Comparison.join([moved(seed) for seed in range(3)])
    assert joined.survivors("prepared") == {"retrain_gap": 1} and joined.survivors("reconverge") == {}
    (entry,) = [one for one in json.loads(joined.to_json())["methods"] if one["name"] == "prepared"]
    assert (entry["retrain_gap"]["n"], entry["seconds"]["n"]) == (1, 3)
    text = render(joined)
    assert "n=1" in next(line for line in text.splitlines() if "prepared" in line)
    assert "n: only so many of the seeds" in text and "n=" not in render(found)
    tracker = Memory()
    record(joined, tracker)
    told = dict(tracker.told)
    assert told["prepared"]["metrics"]["retrain_gap_n"] == 1.0
    assert not any(name.endswith("_n") for name in told["reconverge"]["metrics"])


def test_the_figures_of_both_retrains_are_kept(found: Comparison, problem: RecommenderProblem) -> None:
    first, second = found.requests[0].raw["retrains"]
    (retrain,) = [m for m in found.measurements if m.method == "retrain"]
    assert {"recall_at_20", "ndcg_at_20", "forget_auc"} <= second.keys()
    assert first == {name: retrain.values[name] for name in second}
    assert first == pytest.approx(second, abs=0.01)  # both converged to the same scores


def test_unknown_ids_stop_it_before_any_work(problem: RecommenderProblem, scorer: RankingScorer) -> None:
    with pytest.raises(UnknownIds, match="nobody"):
        compare(problem, [ForgetSet(users=("nobody",))], [Diverging()], scorer, seed=0)


def test_methods_of_one_name_are_told_apart(problem: RecommenderProblem, scorer: RankingScorer) -> None:
    both = [method("reconverge", max_iterations=n) for n in (1, 2)]
    found = compare(problem, requests("random:0.05", problem.data, seed=0), both, scorer, seed=0)
    assert "row_drop" not in found.names
    named = [name for name in found.names if name.startswith("reconverge")]
    assert named == ["reconverge:max_iterations=1", "reconverge:max_iterations=2"]
