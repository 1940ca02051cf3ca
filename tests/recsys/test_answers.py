"""Distances of scores against formed matrices."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recsys.answers import score_distance, score_norm


def factors(seed: int, width: int = 5) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(9, width, generator=generator), torch.randn(14, width, generator=generator)


@pytest.mark.parametrize("rows", [None, torch.tensor([0, 3, 8])])
def test_distance_equals_the_formed_matrix(rows: Tensor | None) -> None:
    left, right = factors(0), factors(1, width=3)
    formed = left[0].double() @ left[1].double().T - right[0].double() @ right[1].double().T
    expected = float(formed.norm() if rows is None else formed[rows].norm())
    assert score_distance(left, right, rows) == pytest.approx(expected, rel=1e-12)
    whole = left[0].double() @ left[1].double().T
    assert score_norm(left, rows) == pytest.approx(float((whole if rows is None else whole[rows]).norm()), rel=1e-12)


def test_distance_keeps_its_digits_where_factors_nearly_agree() -> None:
    users, items = (table.double() for table in factors(2))
    step = 1e-11
    moved = users + step
    formed = float(((moved - users) @ items.T).norm())
    assert score_distance((moved, items), (users, items)) == pytest.approx(formed, rel=1e-6)


def test_distance_sees_scores_and_not_the_rotation_of_tables() -> None:
    users, items = (table.double() for table in factors(3))
    rotation = torch.linalg.qr(torch.randn(5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(4))).Q
    rotated = users @ rotation, items @ rotation
    assert score_distance((users, items), rotated) < 1e-6 * score_norm((users, items))
