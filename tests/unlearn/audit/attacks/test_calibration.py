"""Every metric with a verdict: silent where nothing is left, loud where nothing was done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from math import isnan

import pytest

from tests.unlearn.audit.attacks.ridges import Sizes, draw
from unlearn.audit.attacks import Evidence, Metric, metrics
from unlearn.audit.chance import Relabelling
from unlearn.audit.finding import Finding

DRAWS, MOST = 200, 16
NAMES = [name for name, kind in metrics().items() if kind.judged]
# Figures that take more models: the bins 64 of each kind for an example, a rate of .1 % a thousand negatives.
MANY, OF_MANY = Sizes(models=272), ("klom_20_bins", "u_lira")
POOLED = ("forget_auc", "swap", "epsilon", "f_ine", "one_run")  # every kind of reading, and of the cheap ones
# Those that must see doing nothing on this problem; the bounds need more models than a test has time for.
SEE = {
    "forget_auc": "forget_auc",
    "u_lira": "u_lira_auc",
    "rmia": "rmia_auc",
    "klom": "klom_forget_mean",
    "swap": "swap_quality",
    "reinsertion": "reinsertion_auc",
    "two_snapshot": "two_snapshot_auc",
    "corrective": "corrective_effect_left",
}


def built(name: str, draws: int) -> Metric:
    kind = metrics()[name]
    return kind(**({"draws": draws} if "draws" in {one.name for one in fields(kind)} else {}))


def figures(names: Iterable[str], *evidence: Evidence) -> dict[str, Finding]:
    """Those of the metrics that the evidence is enough for."""
    found = [one for name in names for one in built(name, 39).findings(*evidence)]
    return {one.metric: one for one in found if not isnan(one.value)}


def raised(draws: Iterable[Mapping[str, Finding]]) -> Counter[str]:
    """How often each figure raised an alarm."""
    found: Counter[str] = Counter()
    for each in draws:
        found.update({name: one.verdict == "fail" for name, one in each.items()})
    return found


@pytest.fixture(scope="module")
def alarms() -> Counter[str]:
    """Between retrains, in 200 independent draws.

    A draw is a problem, halves and training noise of its own, asked by every metric; no model serves two draws. Each
    metric is looked at by itself, so that those of one draw sharing their models is of no consequence.
    """
    few = [name for name in NAMES if name != "klom_20_bins"]
    return raised(figures(few, draw(seed)) for seed in range(DRAWS))


@pytest.fixture(scope="module")
def alarms_of_many() -> Counter[str]:
    """The same with eleven times the models, for what needs them."""
    return raised(figures(OF_MANY, draw(10_000 + seed, sizes=MANY, relearning=0)) for seed in range(DRAWS))


def test_every_figure_with_a_verdict_is_among_those_counted(alarms: Counter[str], alarms_of_many: Counter[str]) -> None:
    known = {one.metric for name in NAMES if name != "klom_20_bins" for one in built(name, 39).findings(draw(0))}
    known |= figures(OF_MANY, draw(0, sizes=MANY)).keys()
    # It reads other evidence by the attack of `u_lira`, and here both are the same.
    same = {"reinsertion_tpr_at_0.1_percent"}
    assert known == {*alarms, *alarms_of_many, *same}
    both = figures(("u_lira", "reinsertion"), draw(0, sizes=MANY))
    assert both["reinsertion_tpr_at_0.1_percent"].value == both["u_lira_tpr_at_0.1_percent"].value
    # What has no verdict cannot raise a false alarm, whatever it reads.
    assert [name for name, kind in metrics().items() if not kind.judged] == ["challenge_uncalibrated"]
    assert figures(["challenge_uncalibrated"], draw(0, left=1.0))["challenge_uncalibrated"].verdict == "inconclusive"


def test_every_seed_relabels_apart_from_the_others() -> None:
    one = draw(0)
    for name in (name for name, kind in metrics().items() if "draws" in {field.name for field in fields(kind)}):
        if name == "klom_20_bins":
            continue
        drawn = [next(iter(built(name, 39).readings(replace(one, seed=seed)).values())) for seed in (1, 1, 2)]
        first, again, other = (each.null.tolist() for each in drawn if isinstance(each, Relabelling))
        assert first == again != other, name


def test_retrains_against_retrains_raise_no_more_alarms_than_5_percent_allow(
    alarms: Counter[str], alarms_of_many: Counter[str]
) -> None:
    assert {name: count for name, count in alarms.items() if count > MOST} == {}
    assert {name: count for name, count in alarms_of_many.items() if count > MOST} == {}
    assert alarms_of_many["klom_20_bins_forget_mean"] > 0  # exact, so it errs


def test_three_seeds_judged_together_raise_no_more_alarms_either() -> None:
    sizes = Sizes(forget=24, retain=6)  # of so many, every model has had some
    pooled = raised(
        figures(POOLED, *(replace(draw(20_000 + 3 * number + k, sizes=sizes, relearning=0), seed=k) for k in range(3)))
        for number in range(DRAWS)
    )
    assert pooled.keys() == {"forget_auc", "swap_quality", "epsilon", "f_ine_mu", "one_run_epsilon"}
    assert all(count <= MOST for count in pooled.values())
    assert pooled["forget_auc"] > 0


def test_seeds_that_tell_nothing_by_themselves_tell_it_together() -> None:
    """Some of the effect is left: most of six draws are inconclusive by themselves, and all together fail."""
    left, control = ([replace(draw(30_000 + k, left=share), seed=k) for k in range(6)] for share in (0.3, 1.0))
    metric = built("rmia", 199)
    alone = [metric.findings(one)[0] for one in left]
    together = metric.findings(*left, control=control)[0]
    assert [one.verdict for one in alone].count("fail") <= 2
    assert together.verdict == "fail"
    assert together.value == pytest.approx(sum(one.value for one in alone) / 6)
    assert together.by_seed == tuple(one.value for one in alone)
    assert together.resolution < min(one.resolution for one in alone)
    assert not together.low <= together.null_floor <= together.high
    (clean,) = metric.findings(*(draw(40_000 + k) for k in range(6)), control=control)
    assert clean.verdict == "pass"


def test_the_tests_do_raise_alarms_by_chance(alarms: Counter[str]) -> None:
    """Tests by relabelling are exact: one that never errs is no test. (`swap` has ties, and errs less.)"""
    assert all(alarms[SEE[name]] > 0 for name in ("forget_auc", "u_lira", "rmia", "klom", "reinsertion"))


@pytest.mark.parametrize("name", SEE)
def test_doing_nothing_is_flagged(name: str) -> None:
    metric = built(name, 199)
    sizes = Sizes(models=48)
    verdicts = [
        next(one for one in metric.findings(draw(seed, left=1.0, sizes=sizes)) if one.metric == SEE[name]).verdict
        for seed in range(1_000, 1_004)
    ]
    assert verdicts.count("fail") >= 3


@pytest.mark.parametrize("name", ["forget_auc", "u_lira", "rmia", "klom", "swap"])
def test_a_retrain_passes_where_doing_nothing_is_seen(name: str) -> None:
    metric, sizes = built(name, 199), Sizes(models=48)
    findings = metric.findings(draw(2_000, sizes=sizes), control=[draw(2_000, left=1.0, sizes=sizes)])
    (found,) = [one for one in findings if one.metric == SEE[name]]
    assert found.verdict == "pass"
    assert found.low <= found.null_floor <= found.high


def test_every_metric_says_what_it_needs_and_what_it_does_not_show() -> None:
    for name in NAMES:
        evidence = draw(3_000, sizes=MANY if name in OF_MANY else Sizes(models=48))
        for one in built(name, 39).findings(evidence):
            assert one.requires and all(part in evidence.parts for part in one.requires)
            assert len(one.does_not_show) > 20
            assert one.resolution >= 0 or isnan(one.value)
