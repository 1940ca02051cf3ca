"""Ctrl-C: a command ends, with nothing half done kept or shown as done."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from recsys.linear.landscape import WholeDataLandscape
from recsys.objectives import BPR
from tests.cli.run import SMALL, digest, unlearn
from unlearn.methods import FineTune


@pytest.fixture
def pressed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The keyboard interrupts while the third line search, or batch of samples, is at work."""
    seen: list[int] = []

    def watched(kind: type, name: str) -> None:
        whole = getattr(kind, name)

        def one(*arguments: Any, **options: Any) -> Any:
            seen.append(len(seen))
            if len(seen) == 3:
                signal.raise_signal(signal.SIGINT)
            return whole(*arguments, **options)

        monkeypatch.setattr(kind, name, one)

    watched(WholeDataLandscape, "search")
    watched(BPR, "sampled_losses")
    before = signal.getsignal(signal.SIGINT)
    yield seen
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("objective", ["whole_data", "bpr"])
def test_no_model_that_training_did_not_finish_is_kept(
    objective: str, table: Path, model: Path, pressed: list[int], tmp_path: Path
) -> None:
    size = SMALL if objective == "whole_data" else SMALL[:4]
    before = digest(model)
    for out in (tmp_path / "new", model):  # a folder of its own, and the place of a good model
        pressed.clear()
        result = unlearn("train", "--data", table, "--out", out, "--objective", objective, *size)
        assert (result.exit_code, result.stdout) == (130, "")
        assert "interrupted" in result.stderr
        assert len(pressed) == 3  # it ended there and then
    assert not (tmp_path / "new").exists()
    assert digest(model) == before


def test_a_deletion_that_was_not_finished_is_not_one(model: Path, data: Any, pressed: list[int]) -> None:
    before = digest(model)
    result = unlearn("forget", "--model", model, "--user", str(data.users.ids[7]), "--method", "retrain")
    assert (result.exit_code, result.stdout) == (130, "")
    assert digest(model) == before


@pytest.mark.parametrize("streamed", [True, False])
def test_figures_of_what_was_finished_are_kept(
    streamed: bool, table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The keyboard interrupts in the midst of a stream, or of the second seed."""
    whole, asked = FineTune.moved, list[None]()

    def moved(self: FineTune, problem: Any, *arguments: Any) -> Any:
        asked.append(None)
        if len(asked) == 2 if streamed else problem.options.seed == 1:
            signal.raise_signal(signal.SIGINT)
        return whole(self, problem, *arguments)

    monkeypatch.setattr(FineTune, "moved", moved)
    out = tmp_path / "figures.json"
    way = ("--stream", "1") if streamed else ()
    result = unlearn(
        "evaluate", "--data", table, "--delete", "one-user:2", *way, "--methods", "row_drop,fine_tune", "--seeds", "2",
        "--json", out, *SMALL,
    )  # fmt: skip
    assert (result.exit_code, result.stdout) == (130, ""), result.output
    kept = json.loads(out.read_text("utf-8"))
    if streamed:
        assert [(one["method"], one["seed"]) for one in kept["streams"]] == [("graph_drop", 0), ("row_drop", 0)]
        assert [len(one["steps"]) for one in kept["streams"]] == [2, 2]
    else:
        assert {row["seed"] for row in kept["raw"]["measurements"]} == {0}
        assert {one["name"] for one in kept["methods"]} >= {"row_drop", "fine_tune", "retrain"}
    assert unlearn("report", out, "--html", tmp_path / "page.html").exit_code == 0


def test_no_table_is_made_of_what_was_not_finished(table: Path, pressed: list[int], tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    result = unlearn("evaluate", "--data", table, "--delete", "users:2", "--seeds", "1", "--json", out, *SMALL)
    assert (result.exit_code, result.stdout) == (130, "")
    assert not out.exists()
