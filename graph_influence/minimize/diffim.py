"""DiffIM on any surrogate: by trying each unit, by a relaxation, and by one gradient.

Lee, Kim, Bu, Ko and Shin, "DiffIM: differentiable influence minimization with surrogate modeling and continuous
relaxation" (2025, arXiv 2502.01031). The paper removes arcs and its surrogate is a graph convolutional network.

**Differences from the paper**, of all three: nodes may be blocked as well; the default surrogate is non-backtracking
message passing, which has nothing to learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from graph_influence.minimize.base import Minimizer, register
from graph_influence.minimize.relaxation import Relaxation
from graph_influence.minimize.strategies import best, greedy
from graph_influence.outbreak import Outbreak
from graph_influence.surrogate.chosen import Given, chosen_surrogate, warn_where_untold, wrong_surrogate

_BATCH = 64  # units tried in one pass


@dataclass(frozen=True, kw_only=True)
class Surrogated(Minimizer):
    """A method that reads a surrogate: by default non-backtracking message passing of its `model`.

    One that has nothing to learn may be given by name.

    Warns: SupercriticalWarning, where activity takes off, which surrogates without training cannot tell.
    """

    surrogate: Given = None

    def relaxation(self, outbreak: Outbreak) -> Relaxation:
        """The spread of the outbreak by the surrogate."""
        found = Relaxation(chosen_surrogate(self.surrogate, self.model), outbreak)
        warn_where_untold(found.surrogate, found.graph)
        return found

    def _wrong(self) -> list[str]:
        return wrong_surrogate(self.surrogate, self.model)


@register
@dataclass(frozen=True, kw_only=True)
class DiffIM(Surrogated):
    """Greedy by the surrogate's spread without each unit: budget x units forward passes."""

    name = "diffim"

    def _choose(self, outbreak: Outbreak, budget: int) -> list[int]:
        relaxation = self.relaxation(outbreak)
        units = np.flatnonzero(outbreak.removable)

        def drops(chosen: Sequence[int]) -> NDArray[np.float64]:
            found, kept = np.zeros(outbreak.units), relaxation.kept(chosen)
            with torch.no_grad():
                before = relaxation.spread(kept[None])
                for batch in np.array_split(units, -(-len(units) // _BATCH)):
                    tried = kept.repeat(len(batch), 1)
                    tried[range(len(batch)), batch] = 0.0
                    found[batch] = (before - relaxation.spread(tried)).cpu()
            return found

        return greedy(outbreak, drops, budget)


@register
@dataclass(frozen=True, kw_only=True)
class DiffIMPlus(Surrogated):
    """Gradient descent on a relaxation; the unit of least retention is removed after every `epochs` of it.

    With retention r = logistic(x), sigma_0 the spread of the intact graph and n_r = sum of (1 - r), Adam (rate 1,
    gradients clipped to norm 0.01, from r = 1 - budget / units everywhere, or .5 where that is more) minimises

        (sigma(r) - sigma_0) / (sigma_0 - seeds) + alpha (n_r - budget)² + beta mean of H(r)

    with H the binary entropy in nats. A removed unit has retention 0 and counts 1 in n_r; its x becomes the largest of
    all. Budget x epochs forward and backward passes.

    Differences from the paper: r begins at .5 at least, in place of 1 - budget / units, which is 0 where the budget
    takes everything, and has no logistic x.
    """

    name = "diffim_plus"

    epochs: int = 1_000
    alpha: float = 0.1
    beta: float = 1.0

    def _wrong(self) -> list[str]:
        least = {"epochs": 1, "alpha": 0, "beta": 0}
        values = {name: getattr(self, name) for name in least}
        bad = [f"`{k}` must be at least {least[k]} (got {v})" for k, v in values.items() if not v >= least[k]]
        return super()._wrong() + bad

    def _choose(self, outbreak: Outbreak, budget: int) -> list[int]:
        relaxation, chosen = self.relaxation(outbreak), list[int]()
        keep = relaxation.kept([])
        there = torch.from_numpy(outbreak.removable).to(keep.device)
        share = min(budget / int(there.sum()), 0.5)
        x = torch.full_like(keep, float(np.log(1 / share - 1))).requires_grad_()
        adam = torch.optim.Adam([x], lr=1.0)
        with torch.no_grad():
            intact = relaxation.spread(keep[None])[0]
        beyond = (intact - len(outbreak.seeds)).clamp_min(1e-12)
        while len(chosen) < budget:
            kept = relaxation.kept(chosen)
            for _ in range(self.epochs):
                r = torch.where(there, torch.sigmoid(x), 1.0)
                entropy = -(r * (r + 1e-15).log() + (1 - r) * (1 - r + 1e-15).log())
                r = r * kept
                excess = (1 - r).sum() - budget
                loss = (relaxation.spread(r[None])[0] - intact) / beyond
                loss = loss + self.alpha * excess**2 + self.beta * entropy[there].mean()
                adam.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_([x], 0.01)
                adam.step()
            chosen.append(best(-x.detach().cpu().numpy(), outbreak.removable, chosen))
            with torch.no_grad():
                x[chosen[-1]] = x.max()
        return chosen


@register
@dataclass(frozen=True, kw_only=True)
class DiffIMPlusPlus(Surrogated):
    """Greedy by the gradient in the retention of each unit: budget forward and backward passes.

    For an arc that is p times the derivative in its probability. The spread is linear in each retention, so the
    gradient is the drop itself where the surrogate is exact, and this is the exact greedy.
    """

    name = "diffim_plus_plus"

    def _choose(self, outbreak: Outbreak, budget: int) -> list[int]:
        relaxation = self.relaxation(outbreak)

        def drops(chosen: Sequence[int]) -> NDArray[np.float64]:
            return relaxation.gradients(relaxation.kept(chosen)).cpu().numpy()

        return greedy(outbreak, drops, budget)
