"""What users see: overlaps against the paper's formula by hand, exposure against counting, examples without ids."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from unlearn.audit.measures import jaccard, top_k_overlap
from unlearn.audit.views.ranks import rank_biased_overlap


def by_hand(left: list[int], right: list[int], p: float) -> float:
    """RBO_ext at the depth of the longer list, term by term."""
    k = max(len(left), len(right))
    common = [len(set(left[:d]) & set(right[:d])) for d in range(1, k + 1)]
    terms = sum(x / d * p**d for d, x in enumerate(common, start=1))
    return common[-1] / k * p**k + (1 - p) / p * terms


def padded(lists: list[list[int]], k: int) -> torch.Tensor:
    return torch.tensor([found + [-1] * (k - len(found)) for found in lists])


def test_overlap_of_ranks_is_the_formula_for_any_length() -> None:
    rng = np.random.default_rng(0)
    pairs = [[rng.permutation(15)[: rng.integers(1, 11)].tolist() for _ in range(2)] for _ in range(60)]
    left, right = (padded([pair[side] for pair in pairs], 10) for side in (0, 1))
    for p in (0.5, 0.9):
        found = rank_biased_overlap(left, right, persistence=p)
        assert found.tolist() == pytest.approx([by_hand(*pair, p) for pair in pairs])


def test_the_top_weighs_most_and_the_ends_are_0_and_1() -> None:
    base = list(range(10))
    top, bottom = [1, 0, *base[2:]], [*base[:8], 9, 8]
    found = rank_biased_overlap(
        padded([base, base, base, base, []], 10), padded([base, top, bottom, list(range(20, 30)), []], 10)
    )
    assert found[0] == pytest.approx(1.0) and found[3] == 0.0 and found[4] == 1.0
    assert found[1] < found[2] < 1.0
    assert jaccard(padded([base], 10), padded([top], 10))[0] == 1.0  # which a set measure cannot see


def test_one_definition_of_overlap() -> None:
    left, right = torch.tensor([[1, 2, -1], [4, 5, 6]]), torch.tensor([[2, 3, -1], [4, 5, 6]])
    assert jaccard(left, right).tolist() == pytest.approx([1 / 3, 1.0])
    assert top_k_overlap(left, right) == pytest.approx(2 / 3)
