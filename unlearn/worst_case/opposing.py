"""Pairs of units that pull the model in opposite directions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unlearn.invalid import require
from unlearn.params import flatten, unflatten
from unlearn.problem import Problem
from unlearn.solvers.jacobian import Jacobian
from unlearn.streams import normals
from unlearn.worst_case.base import Ranking, register
from unlearn.worst_case.budget import Room


@register
@dataclass(frozen=True)
class Opposing(Ranking):
    """Pairs of units whose gradients are large and cancel: g_i . g_j most negative, every unit in one pair at most.

    After "Outliers with opposing signals have an outsized effect on neural network training", Rosenfeld and Risteski,
    2023, arXiv 2311.04163. A method that follows the summed gradient of what is forgotten sees next to nothing to do
    for such a set, although each half of it moved the model.

    Args:
        directions: random directions onto which gradients are projected; inner products are then right within about
            |g_i| |g_j| / sqrt(directions). Products with the Jacobian of the losses, one a direction.
        candidates: units of the largest gradients among which pairs are sought; memory grows with its square.

    **Differences from the paper:** pairs of single units by their inner products at the end of training, where the
    paper finds groups by how their losses change between steps.

    Raises:
        ValueError: listing every hyper-parameter that is out of range.
    """

    name = "opposing"
    directions: int = 128
    candidates: int = 4096

    def __post_init__(self) -> None:
        require(
            self,
            directions=("a positive integer", self.directions >= 1),
            candidates=("an integer of at least 2", self.candidates >= 2),
        )

    def scores(self, problem: Problem, room: Room, seed: int) -> Tensor:
        sketch = gradient_sketch(problem, room, self.directions, seed=seed)
        near = sketch.norm(dim=1).argsort(descending=True, stable=True)[: self.candidates]
        products = sketch[near] @ sketch[near].T
        scores = torch.full((len(room),), -torch.inf, dtype=torch.float64)
        scores[near] = pair_scores(products)
        return scores


def gradient_sketch(problem: Problem, room: Room, directions: int, *, seed: int) -> Tensor:
    """Every unit's summed gradient along random directions, float64 [k, directions]: same inner products on average."""
    at = flatten(problem.params)
    jacobian = Jacobian(lambda x: problem.record_losses(unflatten(x, problem.params)), at)
    numbers = np.arange(len(at))
    sketch = torch.zeros(len(room), directions, dtype=torch.float64)
    for one in range(directions):
        direction = torch.from_numpy(normals(seed, "worst_case/directions", one, numbers)).to(at)
        sketch[:, one].index_add_(0, room.place, jacobian.push(direction).cpu().double())
    return sketch / directions**0.5


def pair_scores(products: Tensor) -> Tensor:
    """Minus the inner product [k] of each unit with its partner; partners are matched from the most negative on.

    `products` [k, k] is changed. A unit without a partner that it opposes has -inf.
    """
    scores = torch.full((len(products),), -torch.inf, dtype=torch.float64)
    products.fill_diagonal_(torch.inf)
    lowest, partner = products.min(dim=1)
    while True:
        i = int(lowest.argmin())
        if not float(lowest[i]) < 0.0:
            return scores
        j = int(partner[i])
        scores[i] = scores[j] = -lowest[i]
        for one in (i, j):
            products[one, :] = products[:, one] = torch.inf
            lowest[one] = torch.inf
        lost = ((partner == i) | (partner == j)) & (lowest < torch.inf)
        lowest[lost], partner[lost] = products[lost].min(dim=1)
