"""A step towards the minimiser whose matrices were learned from solved deletions: one gradient, and no line search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from recsys.graph import BipartiteGraph
from recsys.linear.landscape import WholeDataLandscape

_UNLIKE = 0.08  # more or less gain than in rehearsals, for the same slope: a request that they say nothing of


@dataclass(frozen=True, eq=False)
class LearnedStep:
    """What a step multiplies its terms with, and what can be expected of it."""

    matrices: Tensor  # [2, 5, r, r]: those of users' rows, and of items'
    gain: float  # of the objective by all steps so far, over the slope of the first: the mean of rehearsals
    left: float  # share of the way in scores that is left after it, mean over rehearsals that it was not fitted to


def terms(gradient: Tensor, past: Tensor, graph: BipartiteGraph) -> tuple[Tensor, ...]:
    """The five terms of a step, [n_nodes, r] each.

    With A the normalised adjacency, g the gradient and p the step before (before the first, what dropping the edges did
    to final embeddings): g, g of rows with few interactions, A g, p, A p.
    """
    adjacency = graph.normalized
    return gradient, _scarcity(graph) * gradient, adjacency @ gradient, past, adjacency @ past


def move(matrices: Tensor, gradient: Tensor, past: Tensor, graph: BipartiteGraph) -> Tensor:
    """The sum of the terms, each times its matrix [n_nodes, r].

    A is applied once, to what both its terms add up to; under it the rows of users are what those of items get.
    """
    own, messages = torch.empty_like(gradient), torch.empty_like(gradient)
    scarcity, cut = _scarcity(graph), graph.n_users
    for rows, of_own, of_others in ((slice(cut), *matrices), (slice(cut, None), *matrices.flip(0))):
        g, p = gradient[rows], past[rows]
        torch.mm(g, of_own[1], out=own[rows]).mul_(scarcity[rows]).addmm_(g, of_own[0]).addmm_(p, of_own[3])
        torch.mm(g, of_others[2], out=messages[rows]).addmm_(p, of_others[4])
    return torch.addmm(own, graph.normalized, messages, out=own)


def advance(
    landscape: WholeDataLandscape,
    start: Tensor,
    old: Tensor,
    steps: Sequence[LearnedStep],
    graph: BipartiteGraph,
    idle: Tensor,
) -> float | None:
    """Take the steps from the table `start` [n_nodes * r]; the share of the way in scores that is then left.

    None where the objective gains less or more than in rehearsals, for the same slope of the first step: the request is
    unlike them, and where the steps lead is no place to stay.

    Args:
        old: final embeddings [n_nodes, r] of the model that is to forget, zero in the rows `idle` [k], which stay zero.
        graph: what remains.
    """
    first, promised, left = landscape.start(start), 0.0, 1.0
    past = landscape.embeddings - old
    for step in steps:
        gradient = landscape.gradient()
        past = move(step.matrices, gradient.view(old.shape), past, graph).index_fill_(0, idle, 0.0)
        promised = promised or -float(gradient @ past.view(-1))
        gain, expected = first - landscape.move(past), promised * step.gain
        if not abs(gain - expected) < _UNLIKE * expected:
            return None
        left = step.left
    return left


def _scarcity(graph: BipartiteGraph) -> Tensor:
    """m / (m + interactions) [n_nodes, 1], m their mean on the row's side: each of them stiffens the row."""
    sides = graph.degrees().to(graph.values.dtype).split([graph.n_users, graph.n_items])
    return torch.cat([1.0 / (1.0 + side / side.mean().clamp_min(1.0)) for side in sides])[:, None]
