"""Seeds by the gradients of a surrogate: greedily, or through a relaxation that is rounded without loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from graph_influence.graph import SocialGraph
from graph_influence.maximize.base import Choice, Maximizer, register
from graph_influence.surrogate import Surrogate, TensorGraph
from graph_influence.surrogate.chosen import Given, chosen_surrogate, warn_where_untold, wrong_surrogate


@dataclass(frozen=True, kw_only=True)
class _ByGradient(Maximizer):
    surrogate: Given = None

    def _wrong(self) -> list[str]:
        return wrong_surrogate(self.surrogate, self.model)

    def _objective(self, graph: SocialGraph) -> _Objective:
        found = _Objective(chosen_surrogate(self.surrogate, self.model), graph)
        warn_where_untold(found.surrogate, found.graph)
        return found


@register
@dataclass(frozen=True, kw_only=True)
class GradientGreedy(_ByGradient):
    """The largest gain, then the largest given that seed, and so on, all gains at once from one backward pass.

    The spread is linear in how probably each node is a seed, so that (1 - s_v) times the derivative in s_v is what v
    adds: this is the greedy of Kempe, Kleinberg and Tardos (KDD 2003) where the surrogate is exact. `surrogate` is by
    default non-backtracking message passing of the `model`; one that has nothing to learn may be given by name. k
    forward and backward passes.

    Warns: SupercriticalWarning, where activity takes off, which surrogates without training cannot tell.
    """

    name = "gradient_greedy"

    def _choose(self, graph: SocialGraph, k: int) -> Choice:
        return Choice(np.array(greedy(self._objective(graph), k), dtype=np.int32))


@register
@dataclass(frozen=True, kw_only=True)
class GradientRelaxed(_ByGradient):
    """Ascent on the relaxed seed set from the greedy seeds, then pipage rounding.

    In each of at most `steps` steps the seeds go part of the way to the k nodes of the largest slopes, as far as the
    spread says; then, of two fractional seeds, one gives to the other as far as it goes, in the direction that is
    better. The spread is convex in that direction, so that rounding loses nothing: Ageev and Sviridenko (2004), and for
    this relaxation Calinescu, Chekuri, Pál and Vondrák, "Maximizing a monotone submodular function subject to a matroid
    constraint" (SIAM Journal on Computing 2011), whose 1 - 1/e of the best the greedy seeds have already.

    Differences from the papers: slopes are derivatives of a surrogate, where they sample; it starts from greedy seeds
    and not from none; where a surrogate loses by rounding, the greedy seeds are the answer.

    Warns: SupercriticalWarning, as `gradient_greedy`.
    """

    name = "gradient_relaxed"

    steps: int = 20

    def _wrong(self) -> list[str]:
        few = [] if self.steps >= 1 else [f"`steps` must be at least 1 (got {self.steps})"]
        return super()._wrong() + few

    def _choose(self, graph: SocialGraph, k: int) -> Choice:
        objective = self._objective(graph)
        begun = objective.seeds(greedy(objective, k))
        s = rounded(objective, ascended(objective, begun, self.steps))
        s = max(s, begun, key=lambda one: float(objective.spread(one[None])))
        rows = s.nonzero()[:, 0]
        # In the order of what each adds to the others.
        order = objective.slopes(s)[rows].argsort(descending=True, stable=True)
        return Choice(rows[order].cpu().numpy().astype(np.int32))


class _Objective:
    """The spread of a graph in how probably each node is a seed, [n]."""

    def __init__(self, surrogate: Surrogate, graph: SocialGraph) -> None:
        self.surrogate = surrogate
        self.graph = TensorGraph.of(graph, surrogate.device)

    def seeds(self, rows: list[int]) -> Tensor:
        """These rows, surely."""
        return self.graph.seeds(np.array(rows, dtype=np.int64))[0]

    def slopes(self, s: Tensor) -> Tensor:
        """Derivatives in each; those of who has left are the least."""
        variable = s.clone().requires_grad_()
        spread = self.surrogate.spread(self.graph, variable[None]).sum()
        return torch.autograd.grad(spread, variable)[0].masked_fill(~self.graph.there, -torch.inf)

    def spread(self, s: Tensor) -> Tensor:
        """The spread at each, [b] of [b, n]."""
        with torch.no_grad():
            return self.surrogate.spread(self.graph, s)


def greedy(objective: _Objective, k: int) -> list[int]:
    """k rows, each of the largest slope given those before."""
    rows: list[int] = []
    for _ in range(k):
        s = objective.seeds(rows)
        rows.append(int(objective.slopes(s).masked_fill(s > 0, -torch.inf).argmax()))
    return rows


def ascended(objective: _Objective, s: Tensor, steps: int) -> Tensor:
    """Frank-Wolfe steps on {0 <= s <= 1, sum s unchanged}, each of the best of some lengths, until none is better."""
    k, lengths = round(float(s.sum())), 0.5 ** torch.arange(8, device=s.device, dtype=s.dtype)
    for _ in range(steps):
        corner = objective.seeds(objective.slopes(s).topk(k).indices.tolist())
        tried = torch.cat([s[None], s + lengths[:, None] * (corner - s)])
        best = int(objective.spread(tried).argmax())
        if best == 0:
            break
        s = tried[best]
    return s


def rounded(objective: _Objective, s: Tensor) -> Tensor:
    """As many seeds as the fractional ones sum to, by pipage."""
    while len(open_ := _fractional(s)) > 1:
        one, other = open_[:2]
        ends = s.repeat(2, 1)
        for end, (taker, giver) in zip(ends, ((one, other), (other, one)), strict=True):
            given = torch.minimum(1 - s[taker], s[giver])
            end[taker] += given
            end[giver] -= given
        s = ends[objective.spread(ends).argmax()]
    return s.round()


def _fractional(s: Tensor) -> Tensor:
    return ((s - s.round()).abs() > 1e-9).nonzero()[:, 0]
