"""The comparison of models chooses on validation, tests what it chose, and judges a relation by its whole interval."""

from __future__ import annotations

from typing import Any

import pytest

from recsys.models.base import registered
from recsys.objectives import objective


@pytest.fixture
def module(load: Any) -> Any:
    return load("models")


def test_runs_from_end_to_end(run: Any) -> None:
    names = ("lightgcn, bpr", "simgcl, bpr", "mf, whole_data", "mf, rel_mf")
    result = run("models", "--seeds", "2", "--contenders", *names)
    assert result["benchmark"] == "models" and result["quick"] is True
    assert [row["contender"] for row in result["runs"]] == list(result["test"]) == list(names)
    for row in result["runs"]:
        tested = result["test"][row["contender"]]
        assert (tested["settings"], tested["epoch"]) == (row["settings"], row["epoch"])
        assert len(tested["ndcg_at_20"]["values"]) == 2 and 0 < tested["ndcg_at_20"]["mean"] < 1
    assert [row["epoch"] is None for row in result["runs"]] == [False, False, True, True]
    (contrast, propensity) = result["relations"]
    assert (contrast["contender"], contrast["baseline"]) == ("simgcl, bpr", "lightgcn, bpr")
    own, other = (result["test"][contrast[key]]["ndcg_at_20"]["values"] for key in ("contender", "baseline"))
    assert contrast["ratio"]["values"] == pytest.approx([a / b for a, b in zip(own, other, strict=True)])
    assert (propensity["contender"], propensity["paper"]) == ("mf, rel_mf", "above")


def test_every_model_and_its_settings_are_there(module: Any) -> None:
    names = {contender.name for contender in module.CONTENDERS}
    # It needs ties, which not every data set has, and no paper puts it above or below LightGCN.
    assert {contender.model for contender in module.CONTENDERS} == set(registered()) - {"social_lightgcn"}
    for contender in module.CONTENDERS:
        assert contender.baseline is None or contender.baseline in names
        tried = list(contender.settings())
        assert 6 <= len(tried) <= 9  # nobody gets many more chances than another
        for settings in tried:
            own = {k: v for k, v in settings.items() if k not in ("lr", "weight")}
            assert objective(contender.objective, **own).l2 == settings["l2"]


@pytest.mark.parametrize(
    ("own", "above", "verdict"),
    [
        ((0.22, 0.23, 0.225), True, "holds"),
        ((0.22, 0.23, 0.225), False, "contradicted"),
        ((0.17, 0.18, 0.175), True, "contradicted"),
        ((0.17, 0.18, 0.175), False, "holds"),
        ((0.15, 0.30, 0.21), True, "open"),
    ],
)
def test_a_relation_needs_the_whole_interval(module: Any, own: tuple[float, ...], above: bool, verdict: str) -> None:
    contender = module.Contender("simgcl", "bpr", {}, "lightgcn, bpr", above=above)
    tested = {
        "lightgcn, bpr": {"ndcg_at_20": {"values": [0.2, 0.2, 0.2]}},
        "simgcl, bpr": {"ndcg_at_20": {"values": list(own)}},
    }
    assert module.relation(contender, tested)["verdict"] == verdict
    assert module.relation(contender, {"simgcl, bpr": tested["simgcl, bpr"]}) is None
