"""A relaxation that loses nothing when it is rounded."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graph_influence.minimize.base import register
from graph_influence.minimize.diffim import Surrogated
from graph_influence.minimize.relaxation import Relaxation
from graph_influence.outbreak import Outbreak


@register
@dataclass(frozen=True, kw_only=True)
class Relaxed(Surrogated):
    """Frank-Wolfe steps on the expected objective of independent random removals, then derandomised rounding.

    With removal probabilities x, sigma_0 the spread of the intact graph and X the random removal, it minimises

        E[(sigma(X) - sigma_0) / (sigma_0 - seeds) + (number of X - budget)²]
            = (sigma(1 - x) - sigma_0) / (sigma_0 - seeds) + (sum x - budget)² + sum x (1 - x)

    Karalias and Loukas, "Erdos goes neural" (2020, arXiv 2006.10643); Bu, Jo, Lee, Ahn and Shin, "Tackling prevalent
    conditions in unsupervised combinatorial optimization" (2024, arXiv 2405.08424), for the cardinality and the greedy
    order of rounding. The objective is linear in each x by itself, so that one of 0 and 1 is no worse than any value
    between: rounding takes the coordinate that gains most, one after the other, and never makes it worse (of a
    surrogate that is linear likewise). The last term makes x binary at the optimum, as the entropy of `diffim_plus`
    does by hand.

    Differences from the papers: no network produces x. On sum x = budget it starts at the units of the steepest descent
    and goes 2 / (t + 2) of the way to them in step t of `steps`, by the spread alone: the last term would hold it where
    it starts, and has its say in the rounding.
    """

    name = "relaxed"

    steps: int = 50

    def _wrong(self) -> list[str]:
        bad = [] if self.steps >= 1 else [f"`steps` must be at least 1 (got {self.steps})"]
        return super()._wrong() + bad

    def _choose(self, outbreak: Outbreak, budget: int) -> list[int]:
        expected = _Expected(self.relaxation(outbreak), len(outbreak.seeds), budget)
        fixed = ~torch.from_numpy(outbreak.removable).to(expected.none.device)
        x = expected.none
        for step in range(self.steps):
            slope = expected.spread_slope(x).masked_fill(fixed, torch.inf)
            corner = expected.none.index_fill(0, slope.topk(budget, largest=False).indices, 1.0)
            x = x + 2 / (step + 2) * (corner - x)
        x = _rounded(expected, x)
        while (count := int(x.sum())) != budget:
            # A surrogate that is not linear in each x may end beside the budget.
            slope = expected.slope(x)
            open_ = (x == 0) & ~fixed if count < budget else x == 1
            slope = slope if count < budget else -slope
            x[slope.masked_fill(~open_, torch.inf).argmin()] = float(count < budget)
        return x.nonzero()[:, 0].tolist()


class _Expected:
    """Slopes of the expected objective in removal probabilities x [k]; `none` removes nobody."""

    def __init__(self, relaxation: Relaxation, seeds: int, budget: int) -> None:
        self._relaxation = relaxation
        self._budget = budget
        self.none = 1 - relaxation.kept([])
        with torch.no_grad():
            beyond = relaxation.spread(1 - self.none[None])[0] - seeds
        self._beyond = beyond.clamp_min(1e-12)

    def spread_slope(self, x: Tensor) -> Tensor:
        """Of the spread alone, [k]."""
        return -self._relaxation.gradients(1 - x) / self._beyond

    def slope(self, x: Tensor) -> Tensor:
        """Of the whole objective, [k]."""
        return self.spread_slope(x) + 2 * (x.sum() - self._budget) + 1 - 2 * x


def _rounded(expected: _Expected, x: Tensor) -> Tensor:
    while len(open_ := ((x > 0) & (x < 1)).nonzero()[:, 0]):
        slope = expected.slope(x)[open_]
        # What each coordinate gains by going where its slope falls.
        gain = torch.where(slope < 0, (x[open_] - 1) * slope, x[open_] * slope)
        best = gain.argmax()
        x[open_[best]] = float(slope[best] < 0)
    return x
