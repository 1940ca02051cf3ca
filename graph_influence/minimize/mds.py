"""Arcs into nodes that are still unlikely to hear the rumour and would carry it far."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graph_influence.coins import purpose
from graph_influence.diffusion import diffusion
from graph_influence.minimize.base import Minimizer, register
from graph_influence.minimize.heuristics import probabilities
from graph_influence.outbreak import Outbreak


@register
@dataclass(frozen=True, kw_only=True)
class Mds(Minimizer):
    """Greedy by (1 - probability that the head is active) x (spread ability of the tail + that of the head).

    Yan, Li, Wu, Li and Wang, "Rumor blocking through online link deletion on social networks" (TKDD 2019). The spread
    ability of a node is the expected number of walks of up to 6 steps from it along live arcs, sum over h = 0..6 of
    P^h 1; probabilities come from `runs` cascades.

    Differences from the paper:
        - Both quantities are computed again after each removal, with the same coins, where it corrects them by searches
          around the arc that was removed.
    """

    name = "mds"
    units = ("arcs",)

    runs: int = 10_000

    def _wrong(self) -> list[str]:
        return [] if self.runs >= 1 else [f"`runs` must be at least 1 (got {self.runs})"]

    def _choose(self, outbreak: Outbreak, budget: int) -> list[int]:
        graph, chosen = outbreak.graph, list[int]()
        while len(chosen) < budget:
            left = outbreak.without(chosen)
            matrix, ability = probabilities(left), np.ones(graph.num_nodes)
            for _ in range(6):
                ability = np.asarray(1 + matrix.dot(ability))
            model = diffusion(self.model, left, runs=self.runs, seed=purpose(self.seed, "cascades"))
            cascades = model.simulate_rows(outbreak.seeds)
            quiet = 1 - cascades.activation_probability[graph.target]
            score = np.where(left.alive, quiet * (ability[graph.source] + ability[graph.target]), -np.inf)
            chosen.append(int(score.argmax()))
        return chosen
