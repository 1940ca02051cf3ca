"""HIST: a few seeds first, at which every further reverse-reachable set may stop."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log

import numpy as np
from numpy.typing import NDArray

from graph_influence.coins import purpose
from graph_influence.graph import SocialGraph
from graph_influence.maximize import bounds
from graph_influence.maximize.base import Choice, Maximizer, ranked, register
from graph_influence.maximize.coverage import greedy
from graph_influence.maximize.judged import Collections
from graph_influence.maximize.stopping import Guarantee, Stopping
from graph_influence.rrsets import RRSets

_EPS = 0.1  # of which the sentinels may lose half, where the rule names none
_CUT = 4  # cut sets for each whole one: they cost less


@register
@dataclass(frozen=True, kw_only=True)
class Hist(Stopping, Maximizer):
    """OPIM-C on sets that are cut where they hit a sentinel: for graphs in which one set holds thousands of people.

    Guo, Wang, Wei and Chen, "Influence maximization revisited: efficient reverse reachable set generation with bound
    tightened" (SIGMOD 2020). Sentinels are the first b seeds of a greedy on few sets, proven to be good enough:

        sigma(S_b) >= (1 - (1 - 1/k)^b - eps/2) OPT

    A set that hits one of them is covered, whoever else is in it, so it is cut there and costs little. The other
    k - b seeds are chosen and judged on cut sets as `Opim` does on whole ones. The rules of `Stopping` mean the same:
    the ratio that is proven at the end holds whatever the sentinels are.

    Differences from the paper:
        - The prefix is judged once a round, on fresh sets cut at it: the longest of at most k / 8 whose coverage by the
          choosing sets passes the test. These sets know nothing of the choice, so the union runs over rounds only.
        - Where no prefix passes until the sets would be enough for a plain greedy, there are no sentinels.
        - Sets that prove a prefix are four times as many as those that chose it.
        - Gains that so few sets cannot tell apart count as equal, and of equal ones the person of most arcs is taken:
          sets meet them sooner.
        - The collections of the second phase have the sizes of those of `Opim`, from the first look on.
    """

    name = "hist"

    def _wrong(self) -> list[str]:
        return self.wrong_rule(bounds.GREEDY)

    def _choose(self, graph: SocialGraph, k: int) -> Choice:
        n, order = graph.num_alive, ranked(graph)
        delta = (self.delta or 1 / n) / 2
        rule, first = self.rule(n, bounds.GREEDY, bounds.log_binomial(n, k), k)  # a budget's clock begins here
        sentinels, drawn = self._sentinels(graph, k, order, delta)
        if self.eps is not None:
            most = bounds.hist_sets(n, k, len(sentinels), self.eps / 2, delta)
            rule = Guarantee(bounds.GREEDY - self.eps, bounds.doublings(most, first), delta)
        collections = Collections.draw(graph, self.model, self.seed, sentinels=sentinels)
        selected, ratio, _ = collections.double(first, lambda sets: greedy(sets, k, order, sentinels), rule)
        spread = collections.judging.spread(selected.rows)
        return Choice(selected.rows, ratio, drawn + len(collections), spread)

    def _sentinels(
        self, graph: SocialGraph, k: int, order: NDArray[np.int32], delta: float
    ) -> tuple[NDArray[np.int32], int]:
        """Rows of the sentinels, and how many sets it took to find and prove them."""
        if k == 1:  # the only seed is no help in finding it
            return order[:0], 0
        n, eps = graph.num_alive, (self.eps or _EPS) / 2
        first = ceil(3 * log(1 / delta))
        most = bounds.sets_enough(n, bounds.GREEDY, bounds.log_binomial(n, k), k, eps, delta)
        looks = bounds.doublings(most, first)
        log_inverse = log(3 * looks / delta)
        # What a prefix of b seeds must reach of OPT; one that would not have to reach anything is too short to be of
        # use, unless all are.
        needed = 1 - (1 - 1 / k) ** np.arange(max(k // 8, 1) + 1) - eps
        lengths = np.flatnonzero(needed > 0).tolist() or [len(needed) - 1]
        sets, drawn = RRSets(graph, self.model, seed=purpose(self.seed, "sentinels")), 0
        for look in range(looks):
            theta = first << look
            sets.grow(theta - len(sets))
            found = greedy(sets, k, order, tolerance=1.0)
            high = bounds.spread_above(found.above, theta, n, log_inverse)
            promising = [
                b
                for b in lengths
                if bounds.spread_below(_CUT * int(found.prefix[b]), _CUT * theta, n, log_inverse) >= needed[b] * high
            ]
            if promising:
                prefix = found.rows[: promising[-1]]
                cut = RRSets(graph, self.model, seed=purpose(self.seed, f"sentinels, look {look}"), sentinels=prefix)
                cut.grow(_CUT * theta)
                drawn += len(cut)
                if bounds.spread_below(cut.coverage(prefix), len(cut), n, log_inverse) >= needed[len(prefix)] * high:
                    return prefix, drawn + theta
        return order[:0], drawn + len(sets)
