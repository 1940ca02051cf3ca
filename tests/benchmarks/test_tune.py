"""The choice of settings: by validation alone, complete, and none the worse for an interruption."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys.data import given, ratio, synthetic
from recsys.evaluate import evaluate
from recsys.objectives import Multinomial
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions

SETTINGS = ("objective", "a", "l2", "layers", "dim")
KIND = ("objective", "dim", "rank_below_width")
TUNED = ("--test", "--seeds", "1")


def key(row: dict[str, Any], names: tuple[str, ...] = SETTINGS) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def test_the_best_of_every_kind_is_chosen_by_validation_and_only_then_tested(run: Any) -> None:
    result = run("tune", *TUNED)
    rows = result["cells"]
    assert {row["objective"] for row in rows} == {"whole_data", "multinomial"}
    assert len({key(row) for row in rows}) == len(rows) == 8
    for row in rows:
        assert row["ndcg_at_20"]["mean"] == pytest.approx(statistics.mean(row["ndcg_at_20"]["values"]))
        assert row["rank_below_width"] is (max(row["rank"]["values"]) < row["dim"])
    expected = {}
    for row in sorted(rows, key=lambda row: row["ndcg_at_20"]["mean"]):
        expected[key(row, KIND)] = key(row)
    assert {key(row, KIND): key(row) for row in result["best"]} == expected
    top = result["best"][0]
    assert top["ndcg_at_20"]["mean"] == max(row["ndcg_at_20"]["mean"] for row in rows)
    for row in result["best"]:
        pairs = zip(top["ndcg_at_20"]["values"], row["ndcg_at_20"]["values"], strict=True)
        assert row["behind"]["values"] == pytest.approx([first - own for first, own in pairs])
    assert [key(row) for row in result["test"]] == [key(row) for row in result["best"]]


def test_below_its_rank_a_width_costs_accuracy_and_above_it_changes_nothing(run: Any) -> None:
    by_key = {key(row): row for row in run("tune", *TUNED)["cells"]}
    compared = {True: 0, False: 0}
    for settings, narrow in by_key.items():
        if narrow["dim"] == 4:
            wide = by_key[(*settings[:-1], 48)]
            assert wide["rank_below_width"]
            difference = wide["ndcg_at_20"]["mean"] - narrow["ndcg_at_20"]["mean"]
            if narrow["rank_below_width"]:
                assert wide["rank"]["values"] == narrow["rank"]["values"] and abs(difference) < 2e-3
            else:
                assert difference > 0.02
            compared[narrow["rank_below_width"]] += 1
    assert compared == {True: 2, False: 2}


def test_a_cell_is_what_training_on_each_draw_gives(load: Any) -> None:
    tune = load("tune")
    split = ratio(synthetic(80, 60, 1_200, seed=0))
    training = split.refit()
    draws = [tune.validation_draw(training, number) for number in range(2)]
    for draw in draws:
        assert draw.refit().digest() == training.digest() and len(draw.test) == 0
        assert not draw.train.contains(draw.validation.user_rows(), draw.validation.indices).any()
    assert draws[0].validation.digest() != draws[1].validation.digest()

    cell = tune.Cell("multinomial", None, 0.3, 2, 6)
    expected = given(training, split.test, validation=0.1, seed=1)
    plain = RecommenderProblem.build(
        expected.train, objective=Multinomial(l2=0.3), options=TrainingOptions(seed=1), dim=6, layers=2
    ).fit()
    metrics = evaluate(*plain.readout(), train=expected.train, test=expected.validation).summary()
    found = tune.train(cell, draws[1].train, draws[1].validation, 1, 2000)
    assert (found.recall_at_20, found.ndcg_at_20) == (metrics["recall_at_20"], metrics["ndcg_at_20"])
    assert found.relative_residual <= 2e-5 and found.iterations > 5


def test_rank_counts_singular_values_above_a_hundredth_of_the_largest(load: Any) -> None:
    generator = np.random.default_rng(0)
    left, right = (np.linalg.qr(generator.standard_normal((n, 5)))[0] for n in (40, 5))
    table = torch.from_numpy(left * [3.0, 1.0, 0.031, 0.029, 1e-9] @ right.T).float()
    tune = load("tune")
    assert tune.rank(table) == 3 and tune.rank(torch.zeros(9, 4)) == 0


def test_an_interrupted_search_keeps_what_it_has_and_goes_on_from_there(
    run: Any, command: Any, benchmark: Any, tmp_path: Path
) -> None:
    out = tmp_path / "result.json"
    flags = ("--quick", "--json", out, "--resume", "--objective", "multinomial")
    process = subprocess.Popen(command("tune", *flags), stdout=subprocess.PIPE, text=True, cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not out.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and said.endswith("interrupted\n")
    there = json.loads(out.read_text("utf-8"))["cells"]
    assert 1 <= len(there) < 4

    done = benchmark("tune", *flags, cwd=tmp_path)
    assert done.returncode == 0 and f"{len(there)} of 4 cells are there already" in done.stdout
    result = json.loads(out.read_text("utf-8"))
    assert result["cells"][: len(there)] == there  # not trained again: their seconds are the same

    def figures(rows: list[dict[str, Any]]) -> list[float]:
        return [value for row in rows for metric in ("recall_at_20", "ndcg_at_20") for value in row[metric]["values"]]

    # Had the cell that was interrupted been stored half trained, it would differ.
    whole = [row for row in run("tune", *TUNED)["cells"] if row["objective"] == "multinomial"]
    assert [key(row) for row in result["cells"]] == [key(row) for row in whole]
    assert figures(result["cells"]) == pytest.approx(figures(whole), abs=1e-6)
