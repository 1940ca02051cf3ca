"""What a surrogate learns from: seed sets on random graphs, how often each node became active, and on which arcs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from graph_influence.diffusion import Model, diffusion
from graph_influence.graph import SocialGraph
from graph_influence.outbreak import Outbreak, Worlds
from graph_influence.surrogate.tensors import TensorGraph
from graph_influence.synthetic import power_law
from unlearn.invalid import require

_MOST_REMOVED = 10  # arcs out of seeds
_MOST_THINNED = 0.2  # of all arcs
_REDRAWN = 1_000  # seed sets that activated nobody, after which nobody can be thought to be active
_NOBODY = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Examples:
    """Seed sets on one graph and what became of them.

    Shapes:
        seeds [b, n]: indicators; probability [b, m]: of each arc, 0 where it was removed; activation [b, n]: how often
        each node became active, of the runs; drops [b, m]: by how much fewer did without each arc. All float64.
    """

    graph: TensorGraph
    seeds: Tensor
    probability: Tensor
    activation: Tensor
    drops: Tensor

    def __len__(self) -> int:
        return len(self.seeds)

    def to(self, device: torch.device) -> Examples:
        """The same on a device."""
        tensors = self.seeds, self.probability, self.activation, self.drops
        return Examples(self.graph.to(device), *(tensor.to(device) for tensor in tensors))


@dataclass(frozen=True, kw_only=True)
class Regime:
    """Which random graphs, which seed sets on each, and which simulations.

    Graphs are those of `power_law`, of `least` to `most` nodes, their exponents from 1.5 to 2.1, median in-degrees from
    3 to 4.5, shares of silent nodes up to .7 and reciprocity of 5 %, all uniform. Seed sets have 2 to `seed_share` of
    the nodes, of any number as probably, drawn without preference; one that activated nobody is drawn again. A share
    `perturbed` of them spreads without up to 10 arcs out of the seeds, likelier those of a large p (1 + out-degree of
    the head), and half of these without a share of all arcs as well, up to a fifth: what a minimiser will ask about.

    Differences from DiffIM ("data generation"): many small graphs in place of one that is like the test's; seed sets
    begin at 2, not 10; perturbation, where the paper has none.
    """

    graphs: int = 60
    sets: int = 20
    least: int = 200
    most: int = 600
    seed_share: float = 0.02
    perturbed: float = 0.0
    runs: int = 2_000
    model: Model = "ic"
    seed: int = 0

    def __post_init__(self) -> None:
        require(
            self,
            graphs=("positive", self.graphs > 0),
            sets=("positive", self.sets > 0),
            least=(f"from 10 to `most` ({self.most})", 10 <= self.least <= self.most),
            seed_share=("above 0 and at most 1", 0 < self.seed_share <= 1),
            perturbed=("from 0 to 1", 0 <= self.perturbed <= 1),
            runs=("positive", self.runs > 0),
            seed=("from 0 to 2^63 - 1", 0 <= self.seed < 2**63),
        )

    def draw(self, purpose: str, graphs: int | None = None, *, progress: bool = False) -> list[Examples]:
        """Examples for a purpose ("train", "validation", ...), which share no graph with those for another."""
        word = int.from_bytes(purpose.encode(), "little")
        kept = range(self.graphs if graphs is None else graphs)
        drawn = tqdm(kept, desc=f"{purpose} graphs", leave=False, disable=None if progress else True)
        return [self.on(self._graph(random := np.random.default_rng([self.seed, word, k])), random) for k in drawn]

    def on(self, social: SocialGraph, random: np.random.Generator) -> Examples:
        """Examples on a given graph.

        Raises:
            ValueError: 1,000 seed sets, one after the other, activated nobody on it.
        """
        graph, most = TensorGraph.of(social), max(2, int(self.seed_share * social.num_alive))
        there, found = np.flatnonzero(social.nodes.alive), list[tuple[Tensor, ...]]()
        silent = 0  # in a row
        while len(found) < self.sets:
            if silent == _REDRAWN:
                raise ValueError(
                    f"{social} must have nodes that activate others (of {silent:,} seed sets, {self.runs:,} cascades "
                    "each, none did); raise its probabilities or `seed_share`"
                )
            rows = random.permutation(there)[: random.integers(2, most + 1)]
            gone = self._removed(social, rows, random) if random.uniform() < self.perturbed else _NOBODY
            left = social.without_rows(_NOBODY, gone)
            coins = int(random.integers(2**63))
            cascades = diffusion(self.model, left, runs=self.runs, seed=coins).simulate_rows(rows)
            silent = 0 if cascades.sizes.max() > len(rows) else silent + 1
            if not silent:
                # The same coins: the same cascades, with the arcs on which they went.
                _, drops = Worlds(Outbreak(left, rows, model=self.model), self.runs, coins).drops([])
                given = left.probability, cascades.activation_probability, drops
                found.append((graph.seeds(rows)[0], *(torch.from_numpy(array) for array in given)))
        return Examples(graph, *(torch.stack(part) for part in zip(*found, strict=True)))

    def _graph(self, random: np.random.Generator) -> SocialGraph:
        return power_law(
            int(random.integers(self.least, self.most + 1)),
            exponent=random.uniform(1.5, 2.1),
            in_degree=random.uniform(3.0, 4.5),
            silent=random.uniform(0.0, 0.7),
            seed=int(random.integers(2**63)),
        )

    def _removed(self, social: SocialGraph, rows: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
        near = np.flatnonzero(np.isin(social.source, rows))
        worth = social.probability[near] * (1 + social.out_degree()[social.target[near]])
        removed = min(int(random.integers(_MOST_REMOVED + 1)), np.count_nonzero(worth))
        gone = random.choice(near, removed, replace=False, p=worth / worth.sum()) if removed else _NOBODY
        share = max(0.0, random.uniform(-_MOST_THINNED, _MOST_THINNED))
        return np.union1d(gone, np.flatnonzero(random.uniform(size=social.num_arcs) < share))
