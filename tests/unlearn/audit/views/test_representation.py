"""One space for all models: what a rotation does must vanish, what a move does must stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from torch import Tensor

from unlearn.audit.report import render
from unlearn.audit.views.representation import aligned, linear_cka, representation


def table(seed: int, rows: int = 40, d: int = 6) -> Tensor:
    spread = torch.tensor([5.0, 3.0, 1.0, 0.5, 0.3, 0.2])[:d]
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(rows, d))) * spread


def rotation(seed: int, d: int = 6) -> Tensor:
    return torch.linalg.qr(torch.from_numpy(np.random.default_rng(seed).normal(size=(d, d))))[0]


class Surroundings:
    """Two groups of rows; the model is its own table."""

    def node_groups(self) -> dict[str, Tensor]:
        return {"near": torch.arange(10), "far": torch.arange(10, 40)}

    def tables(self, model: Any) -> dict[str, Tensor]:
        return {} if model is None else {"final": model}


def view(models: dict[str, Any], reference: Any) -> dict[str, Any] | None:
    found: Any = Surroundings()
    return representation(models, reference, found, seed=0)


def test_a_rotated_copy_is_the_same_and_a_moved_group_is_not() -> None:
    reference = table(0)
    moved = reference.clone()
    moved[:10] += torch.tensor([0.0, 0.0, 0.0, 2.0, 0.0, 0.0])
    found = view({"copy": reference @ rotation(1), "moved": moved @ rotation(2)}, reference)
    assert found
    distance = found["distance"]
    assert distance["copy"]["near"]["p90"] < 1e-9 and distance["copy"]["far"]["p90"] < 1e-9
    assert distance["moved"]["near"]["median"] > 4 * distance["moved"]["far"]["median"]
    scale = float(reference.norm(dim=1).mean())
    assert distance["moved"]["near"]["median"] * scale == pytest.approx(2.0, rel=0.35)
    assert found["cka"]["copy"]["final"] == pytest.approx(1.0)
    assert found["cka"]["moved"]["final"] < 1 - 1e-4
    points = {name: np.array(found["map"]["near"][name]) for name in ("copy", "retrain", "moved")}
    assert points["copy"] == pytest.approx(points["retrain"], abs=1e-3)


def test_the_map_is_the_principal_components_of_the_reference() -> None:
    reference = table(3)
    found = view({"other": table(4)}, reference)
    assert found
    centred = (reference - reference.mean(0)).numpy()
    values = np.linalg.svd(centred, compute_uv=False) ** 2
    assert found["explained"] == pytest.approx((values[:2] / values.sum()).tolist())
    points = np.concatenate([np.array(found["map"][group]["retrain"]) for group in ("near", "far")])
    assert len(points) == 40
    assert (points**2).sum(0) == pytest.approx(values[:2], rel=1e-3)


def test_rows_of_one_number_are_drawn_on_a_line() -> None:
    found = view({"turned": -table(3, d=1)}, table(3, d=1))
    assert found and found["explained"] == [1.0, 0.0]
    points = {name: np.array(found["map"]["far"][name]) for name in ("turned", "retrain")}
    assert points["turned"] == pytest.approx(points["retrain"]) and not points["retrain"][:, 1].any()
    assert 'id="representation"' in render({"views": {"representation": found}})


def test_alignment_is_the_orthogonal_procrustes_solution() -> None:
    left, right = table(5), table(6)
    best, _ = orthogonal_procrustes(left.numpy(), right.numpy())
    assert aligned(left, right, torch.arange(40)).numpy() == pytest.approx(left.numpy() @ best)
    narrow = aligned(left[:, :4], right, torch.arange(40))
    assert narrow.shape == (40, 6)
    # Scores among the rows are untouched.
    assert (narrow @ narrow.T).numpy() == pytest.approx((left[:, :4] @ left[:, :4].T).numpy())


def test_kernel_alignment_is_that_of_the_centred_kernels() -> None:
    left, right = table(7), table(8, d=4)
    centre = np.eye(40) - 1 / 40
    of_left, of_right = (centre @ (t @ t.T).numpy() @ centre for t in (left, right))
    expected = (of_left * of_right).sum() / np.sqrt((of_left**2).sum() * (of_right**2).sum())
    assert linear_cka(left, right) == pytest.approx(expected)
    assert linear_cka(left, 3 * left @ rotation(9)) == pytest.approx(1.0)
    assert np.isnan(linear_cka(left, torch.ones(40, 2)))


def test_models_without_tables_have_no_such_view() -> None:
    assert view({"a": None}, None) is None
    found = view({"a": None, "b": table(1)}, table(0))
    assert found and set(found["distance"]) == {"b"}
