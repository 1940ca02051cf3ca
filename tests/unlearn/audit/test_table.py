"""The table of a comparison: its lines, stars, notes and width."""

from __future__ import annotations

import pytest

from tests.unlearn.audit.compared import render
from unlearn.audit import Comparison
from unlearn.audit.comparison import Measurement, RequestFacts


@pytest.mark.parametrize(
    ("requests", "below"),
    [(1, (True, False, False)), (1, (True, True, False)), (1, (True,) * 3), (3, (True, True, False))],
)
def test_a_star_is_at_a_gap_that_is_below_its_floor(requests: int, below: tuple[bool, ...]) -> None:
    """A mean of .66 is not, for one or two of its three seeds being so."""
    runs = [divmod(run, requests) for run in range(len(below))]
    gaps = [{"retrain_gap": 0.01 if one else 0.99, "gap_floor": 0.02, "below_floor": float(one)} for one in below]
    rows = [Measurement("method", *run, {**gap}, {}) for run, gap in zip(runs, gaps, strict=True)]
    found = Comparison(tuple(rows), tuple(RequestFacts(*run, {}, None, {}) for run in runs), {}, {})
    shown = found.central("method")["retrain_gap"]
    assert shown is not None and ("*" in render(found)) == (shown < 0.02)


def test_the_table_has_a_line_a_method(found: Comparison) -> None:
    text = render(found)
    assert all(name in text for name in found.names)
    assert "*" not in next(line for line in text.splitlines() if "no_op" in line)
    assert "*" in next(line for line in text.splitlines() if "retrain " in line)
    assert "gap between two retrains" in text and "good: a gap of 0 (1 is nothing done)" in text
    assert "*: less than two retrains differ by" in text


def test_80_columns_show_names_and_figures_whole() -> None:
    names = ("reconverge:accuracy=0.05", "reconverge:accuracy=0.01", "retrain")
    values = {
        "recall_at_20": 0.3125, "forget_auc": 0.594, "retrain_gap": 9.22e-05, "overlap": 0.938, "score_bound": 0.384,
        "seconds": 0.0021, "speedup_vs_retrain": 11_234.0,
    }  # fmt: skip
    measured = (Measurement(name, 0, 0, values | {"below_floor": float(name == "retrain")}, {}) for name in names)
    text = render(Comparison(tuple(measured), (RequestFacts(0, 0, {}, None, {}),), {}, {}), 80, spread=False)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    figures = [line.replace(" *", "").split()[1:] for line in lines if line.startswith((" reconverge", " retrain"))]
    assert figures == [["0.312", "0.594", "9.22e-05", "0.938", "0.384", "0.002", "1.12e+04"]] * 3
    assert "".join(names) in "".join(line[1:].split(" ")[0] for line in lines)


def test_what_is_to_know_of_the_model_stands_below_the_table_once() -> None:
    caveats = ("narrow in one seed", None, "narrow in one seed")
    rows = tuple(Measurement("method", seed, 0, {"retrain_gap": 0.5}, {}) for seed in range(3))
    facts = tuple(RequestFacts(seed, 0, {}, None, {"caveat": said}) for seed, said in enumerate(caveats))
    assert render(Comparison(rows, facts, {}, {})).count("narrow in one seed") == 1
