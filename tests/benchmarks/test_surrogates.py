"""The benchmark of surrogates: a row each, by errors that mean what they say."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from graph_influence.surrogate import Hybrid, save_surrogate


def test_every_surrogate_has_a_row_and_simulation_has_the_least_error(run):
    result = run("surrogates", "--budgets", "1,3", "--runs", "4000")
    rows = {row["surrogate"]: row for row in result["rows"]}
    assert list(rows) == ["non_backtracking", "non_backtracking:rounds=30", "mean_field", "simulation"]
    for name, row in rows.items():
        found = row["by_instance"]
        wrong = [one["spread"] / one["simulated"] - 1 for one in found]
        assert len(found) == 3 and row["signed"] == pytest.approx(np.mean(wrong))
        assert row["error"] == pytest.approx(np.mean(np.abs(wrong)))
        if name != "simulation":
            assert row["error"] > rows["simulation"]["error"]
            assert 0 < row["reduced_ratio"]["1"] < row["reduced_ratio"]["3"] < 1
    assert rows["non_backtracking:rounds=30"]["error"] < rows["mean_field"]["error"] or (
        rows["non_backtracking"]["signed"] < rows["mean_field"]["signed"]
    )


def test_files_are_named_without_their_folder(run, tmp_path_factory):
    path = tmp_path_factory.mktemp("trained") / "one.safetensors"
    save_surrogate(Hybrid(units=1), path)
    result = run("surrogates", "--budgets", "1", "--runs", "50", "--surrogates", f"hybrid:path={path}")
    assert [row["surrogate"] for row in result["rows"]] == ["hybrid:path=one.safetensors", "simulation"]


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (("--surrogates", "mean_field,gcn"), "`gcn` must have learned"),
        (("--surrogates", "mean_field", "--budgets", "1,100000"), "`budget` must be from 1 to the"),
    ],
)
def test_what_cannot_be_asked_is_told_before_anything_is(flags, told, load, monkeypatch):
    module = load("surrogates")
    monkeypatch.setattr(sys, "argv", ["surrogates", "--quick", *flags])
    monkeypatch.setattr(module, "simulated", lambda *_: pytest.fail("something was simulated"))
    monkeypatch.setattr(module.torch, "set_num_threads", lambda _: None)
    with pytest.raises(SystemExit) as refused:
        module.main()
    assert told in str(refused.value)
