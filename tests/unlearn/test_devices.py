"""What torch cannot compute on is said before any work, by every way to name it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recsys.closed_form import closed_form
from tests.cli.run import refusal
from tests.unlearn.toys import tiny_data
from unlearn.devices import elapsed, unusable


@pytest.mark.parametrize("name", ["abacus", "meta", "cuda:99", ""])
def test_a_device_that_cannot_be_used_is_named_with_those_that_can(name: str) -> None:
    wrong = unusable(name)
    assert wrong is not None
    assert wrong.startswith("`device` must be one that torch can use here: cpu") and wrong.endswith(f"(got {name})")
    assert unusable("cpu") is None


@pytest.mark.parametrize(
    "command",
    [
        ["train", "--out", "model"],
        ["evaluate", "--delete", "users:2"],
        ["worst-case", "--budget", "users:2"],
        ["forget", "--model", "model", "--user", "u1"],
        ["influence", "train-surrogate", "gcn", "--out", "file"],
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_commands_refuse_it(command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "`device` must be one that torch can use here" in refusal(2, *command, "--device", "abacus")
    assert not list(tmp_path.iterdir())


def test_with_whatever_else_is_wrong(tmp_path: Path) -> None:
    said = refusal(
        2, "train", "--out", tmp_path / "model", "--device", "abacus", "--model", "lightgnc", "--epochs", "3"
    )
    assert all(part in said for part in ("`device` must be", "`lightgnc` is no model", "--epochs must go with")), said


def test_a_closed_form_stays_in_main_memory() -> None:
    model = closed_form("ease", tiny_data())
    assert model.to("cpu") is model and model.to(torch.device("cpu")) is model
    with pytest.raises(ValueError, match="`device` must be cpu for `ease`.*got cuda"):
        model.to("cuda")


def test_seconds_pass() -> None:
    assert 0 < elapsed(0.0) <= elapsed(0.0)
