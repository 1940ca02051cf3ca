"""What repeated comparisons prove: offsets of a known size, on requests that differ far more than methods do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from unlearn.audit.comparison import Comparison, Measurement, RequestFacts
from unlearn.audit.finding import Finding
from unlearn.audit.repeated import findings

FIGURES = {"forget_auc": 0.5, "recall_at_20": 0.2, "ndcg_at_20": 0.15}


def drawn(
    offset: float = 0.0,
    *,
    seeds: int = 8,
    requests: int = 1,
    noise: float = 0.0005,
    of_retrains: float = 0.0,
    of_seeds: float = 0.0,
    seed: int = 0,
    figures: tuple[str, ...] = ("forget_auc",),
) -> Comparison:
    """A method off by `offset` of the figure's size; requests differ by 20 % of it, whatever the method.

    `noise` is of a request, `of_seeds` what all requests of a seed have in common, `of_retrains` how far the second
    retrain lies from the first.
    """
    rng = np.random.default_rng(seed)
    rows: list[Measurement] = []
    facts: list[RequestFacts] = []
    for s in range(seeds):
        common = of_seeds * rng.normal()
        for number in range(requests):
            retrain = {one: FIGURES[one] * (1 + 0.2 * rng.normal()) for one in figures}
            second = {one: value + of_retrains * rng.normal() for one, value in retrain.items()}
            method = {
                one: value + offset * FIGURES[one] + common + noise * rng.normal() for one, value in retrain.items()
            }
            rows += [
                Measurement("retrain", s, number, {**retrain}, {}),
                Measurement("method", s, number, {**method}, {}),
            ]
            facts.append(RequestFacts(s, number, {"users": 1}, None, {"retrains": [retrain, second]}))
    return Comparison(tuple(rows), tuple(facts), {"methods": {}}, {})


def judged(comparison: Comparison) -> dict[str, Finding]:
    (found,) = findings(comparison).values()
    return {one.metric: one for one in found}


def only(comparison: Comparison) -> Finding:
    (found,) = judged(comparison).values()
    return found


def test_an_offset_beyond_the_margin_is_not_passed_however_much_requests_differ() -> None:
    found = only(drawn(0.03))
    assert (found.verdict, found.resolution) == ("fail", 0.01)
    assert found.value == pytest.approx(0.015, abs=0.001)


def test_an_offset_within_the_margin_passes_although_the_test_sees_it() -> None:
    found = only(drawn(0.01))
    assert found.verdict == "pass"
    assert found.p_value is not None and found.p_value < 0.05


def test_retrains_that_differ_widen_the_margin() -> None:
    quiet, noisy = (only(drawn(0.03, of_retrains=spread)) for spread in (0.001, 0.05))
    assert (quiet.verdict, quiet.resolution) == ("fail", 0.01)
    assert noisy.verdict == "pass"
    assert 0.025 < noisy.resolution < 0.1
    assert "two retrains" in noisy.does_not_show and f"{noisy.resolution:.3g}" in noisy.does_not_show


def test_the_least_margin_of_utility_is_a_share_of_the_retrains() -> None:
    comparison = drawn(figures=tuple(FIGURES))
    found = judged(comparison)
    for name in ("recall_at_20", "ndcg_at_20"):
        mean = np.mean([one.values[name] or 0.0 for one in comparison.measurements if one.method == "retrain"])
        assert found[f"{name}_minus_retrain"].resolution == pytest.approx(0.01 * mean)
    assert found["forget_auc_minus_retrain"].resolution == 0.01
    assert "1% of the retrain's" in found["ndcg_at_20_minus_retrain"].does_not_show


def test_three_figures_fail_from_seven_seeds_on_and_six_say_so() -> None:
    six, seven = (judged(drawn(0.2, seeds=n, figures=tuple(FIGURES))).values() for n in (6, 7))
    assert {one.verdict for one in six} == {"inconclusive"}
    assert all("needs 7 pairs" in one.does_not_show for one in six)
    assert {one.verdict for one in seven} == {"fail"}


def test_requests_of_one_seed_are_no_independent_runs() -> None:
    """What a seed does to all of its requests is no difference of the method, as often as it is seen."""
    failed = [
        only(drawn(seeds=8, requests=15, of_seeds=0.05, noise=0.05, seed=seed)).verdict == "fail" for seed in range(200)
    ]
    assert np.mean(failed) <= 0.085
    two = [only(drawn(seeds=2, requests=15, of_seeds=0.05, noise=0.05, seed=seed)) for seed in range(40)]
    assert {one.p_value for one in two} == {None}
    assert len(two[0].by_seed) == 2 and "got 2" in two[0].does_not_show
    assert only(drawn(0.2, seeds=1, requests=30)).verdict == "inconclusive"


def test_without_a_second_retrain_the_least_margin_is_left() -> None:
    whole = drawn(0.03, of_retrains=0.05)
    facts = tuple(RequestFacts(one.seed, one.request, one.counts, None, {}) for one in whole.requests)
    found = only(Comparison(whole.measurements, facts, whole.settings, whole.digests))
    assert (found.verdict, found.resolution) == ("fail", 0.01)


def test_what_is_left_where_a_method_ended_in_no_numbers_does_not_pass() -> None:
    whole = drawn()
    assert only(whole).verdict == "pass"
    for method, verdict in (("method", "inconclusive"), ("retrain", "pass")):  # what a retrain lacks, nobody has
        rows = tuple(
            replace(one, values={"forget_auc": None}) if (one.method, one.seed) == (method, 2) else one
            for one in whole.measurements
        )
        found = only(replace(whole, measurements=rows))
        assert (found.verdict, len(found.by_seed)) == (verdict, 7)
        assert ("of the 1 request(s) after which" in found.does_not_show) == (method == "method")
    shifted = drawn(0.2)
    rows = tuple(
        replace(one, values={}) if (one.method, one.seed) == ("method", 2) else one for one in shifted.measurements
    )
    assert only(replace(shifted, measurements=rows)).verdict == "fail"


@pytest.mark.parametrize(("seeds", "requests"), [(3, 1), (3, 10)])
def test_a_95_percent_interval_holds_the_difference_in_95_of_100_evaluations(seeds: int, requests: int) -> None:
    """With the three seeds of a default run, too, and however many requests of a seed have its difference in common."""
    found = [
        only(drawn(0.01, seeds=seeds, requests=requests, of_seeds=0.01, noise=0.01, seed=seed)) for seed in range(400)
    ]
    assert 0.92 <= np.mean([one.low <= 0.01 * FIGURES["forget_auc"] <= one.high for one in found]) <= 0.98
    alone = only(drawn(seeds=1, requests=requests))
    assert np.isnan(alone.low) and np.isnan(alone.high)
