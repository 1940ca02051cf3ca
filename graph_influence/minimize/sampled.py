"""Choices by dominator trees of sampled worlds: unbiased, whatever the graph."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log

from graph_influence.coins import purpose
from graph_influence.minimize.base import Minimizer, register
from graph_influence.minimize.strategies import Drops, greedy, replaced
from graph_influence.outbreak import Outbreak, Worlds


@dataclass(frozen=True, kw_only=True)
class _Sampled(Minimizer):
    samples: int = 10_000

    def _wrong(self) -> list[str]:
        return [] if self.samples >= 1 else [f"`samples` must be at least 1 (got {self.samples})"]

    def _drops(self, outbreak: Outbreak) -> Drops:
        worlds = Worlds(outbreak, self.samples, purpose(self.seed, "worlds"))
        return lambda chosen: worlds.drops(chosen)[1]


@register
@dataclass(frozen=True, kw_only=True)
class AdvancedGreedy(_Sampled):
    """Greedy by the spread in `samples` worlds, by how much all units lower it at once by dominator trees.

    Xie, Zhang, Wang, Lin and Zhang, "Minimizing the influence of misinformation via vertex blocking" (2023, arXiv
    2302.13529), for nodes; for arcs and with the replacement of `greedy_replace`, "Influence minimization via blocking
    strategies" (2025, arXiv 2312.17488). Drops are unbiased under both models.

    Differences from the papers:
        - The worlds are drawn once (common random numbers): a choice is exactly what trying every unit in the same
          worlds would find, at the cost of one unit. The papers draw others for every choice.
    """

    name = "advanced_greedy"

    def _choose(self, outbreak: Outbreak, budget: int) -> list[int]:
        return greedy(outbreak, self._drops(outbreak), budget)


@register
@dataclass(frozen=True, kw_only=True)
class GreedyReplace(_Sampled):
    """`advanced_greedy` next to the seeds first, then its choices replaced by better ones anywhere.

    Xie, Zhang, Wang, Lin and Zhang, "Influence minimization via blocking strategies" (2025, arXiv 2312.17488). It finds
    routes that must be cut together, where taking the best unit at a time sees no drop.

    Differences from the paper:
        - The worlds are drawn once, as for `advanced_greedy`.
        - Where fewer units stand next to the seeds than are asked for, the others are chosen greedily anywhere.
    """

    name = "greedy_replace"

    def _choose(self, outbreak: Outbreak, budget: int) -> list[int]:
        return replaced(outbreak, self._drops(outbreak), budget)


@register
@dataclass(frozen=True, kw_only=True)
class ReverseSampling(Minimizer):
    """Greedy by how often a node at random is reached only through a unit, in 0.1 n ln n / eps² backward worlds.

    Yi, Shan, Paré and Johansson, "Edge deletion algorithms for minimizing spread in SIR epidemic models" (SIAM J.
    Control Optim. 2022, arXiv 2011.11087), of which it keeps the estimator and the number of samples.

    Differences from the paper:
        - A unit counts where every live way from the seeds to the node leads through it, which a dominator tree tells
          for all units at once; a single search tree, as in common code, takes ways for the only ones that are not.
        - The worlds are drawn once for all choices.
    """

    name = "ris"

    eps: float = 0.4

    def _wrong(self) -> list[str]:
        return [] if self.eps > 0 else [f"`eps` must be positive (got {self.eps})"]

    def _choose(self, outbreak: Outbreak, budget: int) -> list[int]:
        n = outbreak.graph.num_alive
        samples = max(1, ceil(0.1 * n * log(n) / self.eps**2))
        worlds = Worlds(outbreak, samples, purpose(self.seed, "worlds"), backward=True)
        return greedy(outbreak, lambda chosen: worlds.drops(chosen)[1], budget)
