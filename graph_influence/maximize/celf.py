"""CELF and CELF++: greedy by simulation, with a gain simulated again only where it may have become the best."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from graph_influence.coins import purpose
from graph_influence.diffusion import diffusion
from graph_influence.graph import SocialGraph
from graph_influence.maximize.base import Choice, Maximizer, ranked, register
from graph_influence.maximize.worlds import Worlds


@register
@dataclass(frozen=True, kw_only=True)
class Celf(Maximizer):
    """Lazy greedy on `runs` simulated worlds.

    Leskovec et al., "Cost-effective outbreak detection in networks" (KDD 2007): a gain only shrinks as seeds are added,
    so whoever leads with a gain that is up to date is the best. It gives the seeds of the plain greedy, 1 - 1/e of the
    best on these worlds; how far they are from all worlds is not proven.

    Differences from the paper:
        - Every gain is taken over the same worlds (common random numbers), and from whoever is active in them already,
          so laziness loses nothing to noise. This takes `runs` bytes for each person.
    """

    name = "celf"

    runs: int = 1_000

    def _wrong(self) -> list[str]:
        return [f"`runs` must be at least 1 (got {self.runs})"] if self.runs < 1 else []

    def _choose(self, graph: SocialGraph, k: int) -> Choice:
        order = ranked(graph)
        worlds = Worlds(diffusion(self.model, graph, runs=self.runs, seed=purpose(self.seed, "worlds")))
        # Of equal gains the earlier in the order leads.
        gains = worlds.gains(order, worlds.active)[:, 0]
        heap = [(-gain, place, 0) for place, gain in enumerate(gains.tolist())]
        heapq.heapify(heap)
        rows: list[int] = []
        while len(rows) < k:
            _, place, known = heapq.heappop(heap)
            row = int(order[place])
            if known == len(rows):
                rows.append(row)
                worlds.active |= worlds.marks(row)
            else:
                gain = float(worlds.gains(order[place : place + 1], worlds.active)[0, 0])
                heapq.heappush(heap, (-gain, place, len(rows)))
        return Choice(np.array(rows, dtype=np.int32))


@register
@dataclass(frozen=True, kw_only=True)
class CelfPlusPlus(Celf):
    """CELF that looks one seed ahead.

    Goyal, Lu and Lakshmanan, "CELF++: optimizing the greedy algorithm for influence maximization in social networks"
    (WWW 2011): whoever is simulated is also simulated as if the best seen in this round were a seed already; when that
    one is picked, the next gain is known without simulating. The seeds are those of `Celf`.

    Differences from the paper:
        - The first round evaluates people in groups that double in size, each against the best of the groups before.
        - The second gain is counted in the same search as the first, from marks of whom the leader reaches.
    """

    name = "celf++"

    def _choose(self, graph: SocialGraph, k: int) -> Choice:
        order = ranked(graph)
        worlds = Worlds(diffusion(self.model, graph, runs=self.runs, seed=purpose(self.seed, "worlds")))
        leader, best, beyond = -1, 0.0, worlds.active
        heap: list[tuple[float, int, int, int, float]] = []  # -gain, place, seeds it knows, leader then, gain after it
        start = 0
        while start < len(order):
            group = order[start : max(2 * start, 16)]
            for place, (gain, after) in enumerate(worlds.gains(group, beyond).tolist(), start):
                heap.append((-gain, place, 0, leader, after))
            start += len(group)
            top = min(heap[-len(group) :])
            if -top[0] > best:
                leader, best, beyond = top[1], -top[0], worlds.marks(int(order[top[1]]))
        heapq.heapify(heap)
        rows: list[int] = []
        last = -1
        leader, beyond = -1, worlds.active
        while len(rows) < k:
            _, place, known, ahead, after = heapq.heappop(heap)
            row = int(order[place])
            if known == len(rows):
                rows.append(row)
                worlds.active |= beyond if place == leader else worlds.marks(row)
                last, leader, best, beyond = place, -1, 0.0, worlds.active
                continue
            if known == len(rows) - 1 and ahead == last:
                heapq.heappush(heap, (-after, place, len(rows), -1, 0.0))
                continue
            gain, after = worlds.gains(order[place : place + 1], beyond)[0].tolist()
            heapq.heappush(heap, (-gain, place, len(rows), leader, after))
            if gain > best:
                leader, best, beyond = place, gain, worlds.marks(row)
        return Choice(np.array(rows, dtype=np.int32))
