"""OPIM-C: greedy on one collection of reverse-reachable sets, judged on another, until the ratio is proven."""

from __future__ import annotations

from dataclasses import dataclass

from graph_influence.graph import SocialGraph
from graph_influence.maximize import bounds
from graph_influence.maximize.base import Choice, Maximizer, ranked, register
from graph_influence.maximize.coverage import greedy
from graph_influence.maximize.judged import Collections
from graph_influence.maximize.stopping import Rule, Stopping


@register
@dataclass(frozen=True, kw_only=True)
class Opim(Stopping, Maximizer):
    """OPIM-C with the tight upper bound.

    Tang, Tang, Xiao and Yuan, "Online processing algorithms for influence maximization" (SIGMOD 2018). Two
    collections of theta_1 and theta_2 sets; the greedy S on the first covers L1 there and L2 of the second; a = ln 1/p:

        sigma(S) >= ((sqrt(L2 + 2a/9) - sqrt(a/2))^2 - a/18) n / theta_2
        OPT <= (sqrt(U + a/2) + sqrt(a/2))^2 n / theta_1,   U = min over prefixes S_t of L1(S_t) + the k largest gains

    The quotient of the two is proven. Both collections are doubled until the rule of `Stopping` is content; the a
    priori ratio is 1 - 1/e, the attainable one L1 / U.

    Differences from the paper:
        - theta_1 = 4 theta_2 (`Collections`), where the paper has them equal.
        - Its rule is `eps`. A `share`, the default, asks for more sets and gives more spread than eps = 0.1; it and
          `seconds` spend 6 delta / (pi t)^2 on look t, as the number of looks is not known.
        - The spread is estimated on the second collection. That also decided when to stop, so the estimate has an
          upward bias: measured a quarter of its standard error, while 95 of 100 intervals still held the truth.
    """

    name = "opim"

    def _wrong(self) -> list[str]:
        return self.wrong_rule(bounds.GREEDY)

    def _choose(self, graph: SocialGraph, k: int) -> Choice:
        order = ranked(graph)
        collections = Collections.draw(graph, self.model, self.seed)
        rule, first = self.rule_for(graph.num_alive, k)
        selected, ratio, _ = collections.double(first, lambda sets: greedy(sets, k, order), rule)
        return Choice(selected.rows, ratio, len(collections), collections.judging.spread(selected.rows))

    def rule_for(self, n: int, k: int) -> tuple[Rule, int]:
        """The rule for `k` of n people, and how many sets the first look takes."""
        return self.rule(n, bounds.GREEDY, bounds.log_binomial(n, k), k)
