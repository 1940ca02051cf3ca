"""Reach and alignment, on answers whose changes are planted."""

from __future__ import annotations

from math import isnan
from typing import Any

import pytest
import torch
from torch import Tensor

from unlearn.audit.views.ripple import ripple


class Panel:
    """A model is its own score matrix."""

    def answers(self, model: Tensor) -> Tensor:
        return model

    def distance(self, left: Tensor, right: Tensor, rows: Tensor) -> float:
        return float((left - right)[rows].norm())

    def norm(self, answers: Tensor, rows: Tensor) -> float:
        return float(answers[rows].norm())


class Surroundings:
    def rings(self) -> dict[str, Tensor]:
        return {"0": torch.tensor([0, 1]), "1": torch.tensor([2])}


def test_over_reach_under_reach_and_the_wrong_way() -> None:
    original = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    change = torch.tensor([[0.3, 0.4], [0.0, 0.0], [0.0, 0.2]], dtype=torch.float64)
    models = {
        "original": original,
        "over": original + 2 * change,
        "under": original + 0.5 * change,
        "against": original - change,
        "aside": original + change.flip(1) * torch.tensor([1.0, -1.0], dtype=torch.float64),
    }
    panel: Any = Panel()
    surroundings: Any = Surroundings()
    near, far = ripple(models, original + change, panel, surroundings)["rings"]
    assert (near["ring"], near["users"], far["ring"], far["users"]) == ("0", 2, "1", 1)
    of = near["models"]
    assert of["retrain"] == pytest.approx({"change": 0.1, "reach": 1.0, "gap": 0.0, "alignment": 1.0})
    assert of["over"] == pytest.approx({"change": 0.2, "reach": 2.0, "gap": 1.0, "alignment": 1.0})
    assert of["under"]["reach"] == pytest.approx(0.5) and of["under"]["gap"] == pytest.approx(0.5)
    assert of["against"]["alignment"] == pytest.approx(-1.0) and of["against"]["gap"] == pytest.approx(2.0)
    assert of["aside"]["alignment"] == pytest.approx(0.0, abs=1e-9)
    assert isnan(of["original"]["alignment"]) and of["original"]["reach"] == 0.0
    assert far["models"]["retrain"]["change"] == pytest.approx(0.2)
