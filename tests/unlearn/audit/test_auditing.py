"""An audit as a whole: what is corrected for what, and what its table says of it."""

from __future__ import annotations

import hashlib
import re

import pytest
from rich.console import Console

from tests.unlearn.audit.attacks.ridges import Sizes, draw
from unlearn.audit.attacks import CannotMeasure, Challenge, Evidence, ForgetAUC, RetainAUC, Swap
from unlearn.audit.auditing import Audit, audit
from unlearn.audit.chance import DRAWS
from unlearn.audit.finding import Finding


def claim(metric: str, p_value: float | None) -> Finding:
    return Finding(
        metric=metric, value=0.6, low=0.55, high=0.65, null_floor=0.5, resolution=0.05, requires=(), verdict="fail",
        does_not_show="", p_value=p_value,
    )  # fmt: skip


def test_the_draws_leave_room_for_holms_correction() -> None:
    assert 50 * 2 / (DRAWS + 1) <= 0.05  # more figures than there are


def test_what_is_not_judged_is_in_no_family() -> None:
    evidence = draw(1, left=1.0, sizes=Sizes(models=48))
    found = audit({"no_op": [evidence]}, [Challenge(draws=39), ForgetAUC()])
    rows = {row["metric"]: row for row in found.content()["findings"]["no_op"]}
    assert rows["challenge_uncalibrated"]["p_value"] is rows["challenge_uncalibrated"]["p_holm"] is None
    assert rows["forget_auc"]["p_holm"] == rows["forget_auc"]["p_value"] <= 0.05


def test_methods_are_judged_as_by_the_metrics_themselves() -> None:
    nothing, clean = (draw(2, left=share, sizes=Sizes(models=48)) for share in (1.0, 0.0))
    metrics = [ForgetAUC(draws=99), Swap(draws=99), RetainAUC(draws=99)]
    found = audit({"no_op": [nothing], "method": [clean]}, metrics)
    expected = [one for metric in metrics for one in metric.findings(clean, control=[nothing])]
    assert found.findings["method"] == expected
    assert "pass" in {one.verdict for one in expected}


def test_what_cannot_be_measured_is_a_reason_or_where_it_is_asked_for_an_error() -> None:
    whole = draw(2, sizes=Sizes(models=48))
    lacking = Evidence({name: part for name, part in whole.parts.items() if not name.startswith("retrained")})
    evidence = {"no_op": [whole], "method": [lacking]}
    found = audit(evidence, [ForgetAUC(draws=39), Swap(draws=39)])
    assert {name: [one.metric for one in claims] for name, claims in found.findings.items()} == {
        "no_op": ["forget_auc", "swap_quality"], "method": ["swap_quality"]
    }  # fmt: skip
    assert list(found.reasons) == ["method"] and "retrained.forget" in found.reasons["method"]["forget_auc"]
    with pytest.raises(CannotMeasure, match="retrained.forget"):
        audit(evidence, [ForgetAUC(draws=39)], strict=True)


def test_a_figure_carries_the_digest_of_what_it_was_read_from() -> None:
    seeds = [draw(seed, sizes=Sizes(models=48)) for seed in (2, 3)]
    state = hashlib.sha256()
    for one in seeds:
        told = one["unlearned.forget"]
        state.update(b"unlearned.forget" + told.values.numpy().tobytes() + told.member.numpy().tobytes())
    found = audit({"no_op": seeds}, [Swap(draws=39)]).with_findings({"no_op": [claim("recall", None)]})
    swap, recall = found.content()["findings"]["no_op"]
    assert (swap["metric"], swap["raw"]) == ("swap_quality", state.hexdigest())
    assert (recall["metric"], recall["raw"]) == ("recall", None)  # of the comparison


def test_a_failure_that_does_not_survive_holm_is_starred() -> None:
    figures = [claim("strong", 0.001), claim("weak", 0.03), claim("weaker", 0.04), claim("bound", None)]
    found = Audit({"method": figures}, {})
    console = Console(width=160)
    with console.capture() as captured:
        console.print(found.table())
    lines = captured.get().splitlines()
    starred = {
        name: "fail *" in next(line for line in lines if f" {name} " in line) for name in ("strong", "weak", "bound")
    }
    assert starred == {"strong": False, "weak": True, "bound": False}
    assert any("Holm" in line for line in lines)


def test_80_columns_show_names_and_figures_whole() -> None:
    metrics = ("recall_at_20_minus_retrain", "u_lira_tpr_at_0.1_percent")
    found = Audit({"reconverge:accuracy=0.05": [claim(metric, 0.001) for metric in metrics]}, {})
    console = Console(width=80)
    with console.capture() as captured:
        console.print(found.table())
    text = captured.get()
    assert max(map(len, text.splitlines())) <= 80 and "…" not in text
    figures = [re.findall(r"\b0\.\d{3}\b", line) for line in text.splitlines() if "fail" in line]
    assert figures == [["0.600", "0.550", "0.650", "0.500", "0.050"]] * 2
    assert all(f" {name} " in text for name in ("reconverge:accuracy=0.05", *metrics))
