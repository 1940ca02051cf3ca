"""What a surrogate still knows of those who left, and how well it answers for those who stay.

To hand an old surrogate the new graph is not to unlearn: it reads the graph, so its answers look right whether or not
its parameters remember. So errors are taken on the remaining graph and compared with those of a retrain, and a probe
puts back what was deleted and asks whether the surrogate knows it from what never was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from graph_influence.graph import SocialGraph
from graph_influence.labels import LabelledGraph
from graph_influence.surrogate import Surrogate, TensorGraph
from unlearn.forget import ForgetSet
from unlearn.streams import integers

_NEAR = 50  # ranks of in-degree within which a decoy is looked for


@dataclass(frozen=True, slots=True, eq=False)
class SpreadErrors:
    """How far a surrogate is from simulation.

    spread: |estimate - spread| / spread of each seed set, [b]; node: root of the mean squared error of a node's
    activation, over sets and nodes.
    """

    spread: NDArray[np.float64]
    node: float

    @classmethod
    def of(cls, surrogate: Surrogate, data: LabelledGraph) -> SpreadErrors:
        """On seed sets that it did not learn from, with the labels of the graph that it is asked about."""
        with torch.no_grad():
            answers = surrogate(*data.inputs()).cpu().numpy()
        truth = data.labels.probability
        off = np.abs(answers.sum(1) - truth.sum(1)) / truth.sum(1)
        return cls(off, float(np.sqrt(np.square(answers - truth)[:, data.graph.nodes.alive].mean())))


def label_shift(before: LabelledGraph, after: LabelledGraph) -> tuple[float, float]:
    """By how much a deletion moves the labels that stay, and by how much another simulation of them would.

    Roots of mean squares over the nodes and seed sets that stay. Coupled cascades show the shift by itself; a retrain
    with coins of its own sees it through the noise of two simulations.
    """
    old, new, there = before.labels, after.labels, after.graph.nodes.alive
    kept = np.isin(old.numbers, new.numbers)
    moved = (old.probability[kept] - new.probability)[:, there]
    noise = (old.noise[kept] ** 2 + new.noise**2)[:, there]
    return float(np.sqrt(np.square(moved).mean())), float(np.sqrt(noise.mean()))


def reinsertion_auc(
    surrogate: Surrogate, graph: SocialGraph, forget: ForgetSet, sets: Sequence[NDArray[np.int64]], *, seed: int = 0
) -> float:
    """How surely the surrogate tells deleted arcs from arcs that never were, in [0, 1]; .5 is not at all.

    `graph` still has what `forget` names. Each deleted arc gets a decoy: an arc of the same source and probability to
    another node of about the same in-degree. All are put into the graph; p_e d(spread)/d(p_e), what the surrogate says
    hangs on an arc, is summed over the seed sets, and the area under the ROC curve is that of deleted arcs against
    decoys. An original of about .5 had nothing to forget, and its passing means nothing.

    Raises:
        ValueError: `forget` takes no arc.
    """
    from scipy.stats import mannwhitneyu  # whose package takes a second to load, and the service has no use for it

    deleted = np.flatnonzero(graph.alive & ~graph.without(forget).alive)
    if not len(deleted):
        raise ValueError("`forget` must take at least one arc for `reinsertion_auc` (got none); name a tie or a user")
    of, decoys = _decoys(graph, deleted, seed)
    there = np.flatnonzero(graph.alive)
    sources = np.concatenate([graph.source[there], graph.source[of]])
    heads = np.concatenate([graph.target[there], decoys])
    p = np.concatenate([graph.probability[there], graph.probability[of]])
    probed = SocialGraph.from_arcs(sources, heads, p, nodes=graph.nodes, parallel="raise")
    tensors = TensorGraph.of(probed, surrogate.device)
    probability = tensors.probability.clone().requires_grad_()
    spread = surrogate.spread(tensors, tensors.seeds(*sets), probability).sum()
    (gradient,) = torch.autograd.grad(spread, probability)
    score = (gradient * probability.detach()).cpu().numpy()
    where = {pair: arc for arc, pair in enumerate(zip(probed.source.tolist(), probed.target.tolist(), strict=True))}
    real = score[
        [where[pair] for pair in zip(graph.source[deleted].tolist(), graph.target[deleted].tolist(), strict=True)]
    ]
    never = score[[where[pair] for pair in zip(graph.source[of].tolist(), decoys.tolist(), strict=True)]]
    if not len(never):
        return 0.5
    return float(mannwhitneyu(real, never).statistic / (len(real) * len(never)))


def _decoys(graph: SocialGraph, deleted: NDArray[np.int64], seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Deleted arcs that have a decoy, and its head: arcs whose draws are taken already go without."""
    order = np.argsort(graph.in_degree(), kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    step = (
        integers(
            seed,
            "decoys",
            2 * _NEAR + 1,
            graph.nodes.keys[graph.source[deleted]],
            graph.nodes.keys[graph.target[deleted]],
        )
        - _NEAR
    )
    heads = order[np.clip(place[graph.target[deleted]] + step, 0, len(order) - 1)]
    taken = set(zip(graph.source[graph.alive].tolist(), graph.target[graph.alive].tolist(), strict=True))
    fine: list[int] = []
    for number, pair in enumerate(zip(graph.source[deleted].tolist(), heads.tolist(), strict=True)):
        if pair[0] != pair[1] and pair not in taken and graph.nodes.alive[pair[1]]:
            taken.add(pair)
            fine.append(number)
    return deleted[fine], heads[fine]
