"""What every metric owes: references that are named, verdicts that mean something."""

from __future__ import annotations

import pytest

from tests.unlearn.audit.attacks.gaussians import halves
from tests.unlearn.audit.attacks.ridges import Sizes, draw
from unlearn.audit.attacks import (
    RMIA,
    Evidence,
    KLoM,
    MissingReference,
    Swap,
    TooFew,
    ULiRA,
    metrics,
)
from unlearn.audit.auditing import audit


def test_a_missing_reference_is_an_error_that_names_it() -> None:
    with pytest.raises(MissingReference, match="retrained.forget"):
        KLoM().findings(Evidence({"unlearned.forget": halves(16, 4, 0.0)}))


def test_models_that_depend_on_the_retrains_are_no_second_group() -> None:
    signals = halves(16, 4, 0.0)
    with pytest.raises(TooFew, match="none of them on both"):
        KLoM().findings(Evidence({"unlearned.forget": signals, "retrained.forget": signals}))


@pytest.mark.parametrize("group", ["held_out", "retain"])
def test_a_group_without_examples_has_no_figure_and_stops_no_other(group: str) -> None:
    whole = draw(0, sizes=Sizes(models=24))
    none = slice(0, 0)
    without = {name: told.columns(none) if name.endswith(group) else told for name, told in whole.parts.items()}
    audited = audit({"no_op": [Evidence(without)]}, [kind() for kind in metrics().values()])
    found = {one.metric for one in audited.findings["no_op"]}
    assert {"u_lira_auc", "klom_forget_mean"} <= found and not {name for name in found if group in name}
    needed = {"f_ine", "forget_auc", "retain_auc", "rmia"} if group == "held_out" else {"retain_auc"}
    assert set(audited.reasons["no_op"]) == needed | {"klom_20_bins"}


def test_what_would_not_have_been_seen_is_inconclusive() -> None:
    clean, dirty = (Evidence({"unlearned.forget": halves(24, 30, shift)}) for shift in (0.0, 2.0))
    verdicts = {
        case: ULiRA(draws=99).findings(one, control=control)[0].verdict
        for case, one, control in (
            ("alone", clean, []), ("unseen", clean, [clean]), ("seen", clean, [dirty]), ("found", dirty, [dirty])
        )
    }  # fmt: skip
    assert verdicts == {"alone": "inconclusive", "unseen": "inconclusive", "seen": "pass", "found": "fail"}


def test_over_forgetting_fails_too() -> None:
    over = Evidence({"unlearned.forget": halves(24, 30, -2.0)})
    (area, *_), (rmia,) = (
        ULiRA(draws=99).findings(over),
        RMIA(draws=99).findings(Evidence(over.parts | {"unlearned.held_out": halves(24, 30, 0.0, seed=4)})),
    )
    (swap,) = Swap(draws=99).findings(over)
    assert (area.verdict, rmia.verdict, swap.verdict) == ("fail", "fail", "fail")
    for one in (area, rmia, swap):
        assert one.low <= one.value <= one.high and not one.low <= one.null_floor <= one.high
    assert rmia.value < 0.5
