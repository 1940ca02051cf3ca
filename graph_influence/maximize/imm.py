"""IMM: a lower bound on the best spread says how many reverse-reachable sets are enough for a greedy."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, log2, sqrt

from graph_influence.coins import purpose
from graph_influence.graph import SocialGraph
from graph_influence.maximize import bounds
from graph_influence.maximize.base import Choice, Maximizer, ranked, register
from graph_influence.maximize.coverage import greedy
from graph_influence.rrsets import RRSets

_SUREST = 100.0  # exponent of n in a probability of failure that nobody can mean to go below


@register
@dataclass(frozen=True, kw_only=True)
class Imm(Maximizer):
    """IMM, with its proof put right.

    Tang, Shi and Xiao, "Influence maximization in near-linear time: a martingale approach" (SIGMOD 2015). For
    x = n/2, n/4, ... the greedy on lambda'/x sets decides whether OPT is at least x, which gives LB; the greedy on
    lambda*/LB sets is within 1 - 1/e - `eps` of the best with probability 1 - n^-`exponent`.

    Differences from the paper:
        - Sets of the search are used again, which its proof does not allow. The exponent is raised as Chen (2018, arXiv
          1808.09363) proposes, so that the result holds for every number of sets up to lambda*.
        - To halve the failures of each of the two phases the exponent is raised by ln 2 / ln n, where the paper has
          `exponent` ln 2 / ln n, which for less than 1 is not enough.
        - LB is at least k: seeds reach themselves.
    """

    name = "imm"

    eps: float = 0.1
    exponent: float = 1.0

    def _wrong(self) -> list[str]:
        wrong: list[str] = []
        for name, least, most in (("eps", bounds.LEAST_EPS, bounds.GREEDY), ("exponent", 0.0, _SUREST)):
            value = getattr(self, name)
            if not least < value < most:
                wrong.append(f"`{name}` must be above {least:.4g} and below {most:.4g} (got {value})")
        return wrong

    def _choose(self, graph: SocialGraph, k: int) -> Choice:
        n, order = graph.num_alive, ranked(graph)
        if k == n:  # with one person, a probability of n^-l says nothing either
            return Choice(order, 1.0)
        sets = RRSets(graph, self.model, seed=purpose(self.seed, "selection"))
        exponent = bounds.imm_exponent(n, k, self.eps, self.exponent + log(2) / log(n))
        search, wide = bounds.imm_search(n, k, self.eps, exponent), sqrt(2) * self.eps
        below = float(k)
        for halvings in range(1, int(log2(n))):
            x = n / 2**halvings
            sets.grow(ceil(search / x) - len(sets))
            reached = n * greedy(sets, k, order).covered / len(sets)
            if reached >= (1 + wide) * x:
                below = max(below, reached / (1 + wide))
                break
        sets.grow(max(ceil(bounds.imm_sets(n, k, self.eps, exponent) / below) - len(sets), 0))
        return Choice(greedy(sets, k, order).rows, bounds.GREEDY - self.eps, len(sets))
