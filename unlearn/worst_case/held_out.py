"""What models say about units that they never saw: k-fold retrains, one of which leaves each unit out."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from unlearn.problem import Problem
from unlearn.streams import permutation
from unlearn.worst_case.asking import Asking


def folds(n: int, k: int, *, seed: int) -> Iterator[Tensor]:
    """The places [0, n) in `k` random parts of nearly equal size.

    Raises:
        ValueError: `k` is not between 2 and `n`.
    """
    if not 2 <= k <= n:
        raise ValueError(f"`folds` must lie in [2, {n}], the number of units (got {k})")
    order = permutation(seed, "worst_case/folds", np.arange(n))
    for part in np.array_split(order, k):
        yield torch.from_numpy(np.sort(part))


def held_out_losses(problem: Problem, asking: Asking, k: int, *, seed: int) -> Tensor:
    """Mean loss, float64 [units], of every unit under a retrain that leaves out its fold.

    `k` trainings from the start, coupled: with the problem's own options and seed.

    Raises:
        ValueError: one of them ends with losses that are no finite numbers.
    """
    n = len(asking.room)
    found = torch.empty(n, dtype=torch.float64)
    for rows in tqdm(folds(n, k, seed=seed), total=k, desc="folds", disable=None, leave=False):
        forget = asking.room.forget_set(rows)
        found[rows] = asking.losses(problem.without(forget).fit().params, rows)
        if wrong := int((~found[rows].isfinite()).sum()):
            raise ValueError(
                f"a retrain of `problem` without a fold must end in finite losses of that (got {wrong} of {len(rows)} "
                "that are not: it diverged); train with a lower learning rate or with more l2"
            )
    return found
