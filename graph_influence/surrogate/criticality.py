"""Whether activity that has left its seeds dies out or takes off."""

from __future__ import annotations

import warnings

import torch

from graph_influence.surrogate.tensors import TensorGraph

_ROUNDS = 200
_CLOSE = 1e-3


class SupercriticalWarning(UserWarning):
    """Activity that takes off tends to become an outbreak, whose size is what a surrogate then gives for any seeds."""


def criticality(graph: TensorGraph) -> float:
    """Spectral radius of the non-backtracking operator: by what factor activity grows from step to step, early on.

    The operator takes m to sum over arcs w -> u, w not v, of p_wu m_wu for each arc u -> v. Below 1 activity dies out;
    above 1 it may take off, and whether it does is what no message can tell (Karrer, Newman and Zdeborová,
    "Percolation on sparse networks", 2014, arXiv 1405.0483). By at most 200 rounds of power iteration on the operator
    plus the identity, until no entry grows faster than their sum does, to a thousandth: the largest growth is what the
    radius cannot exceed (Collatz and Wielandt), while the sum of a large graph may stand still before a small part of
    it takes off. Without cycles it comes out near 0, but for paths that are longer than there are rounds.
    """
    p = graph.probability
    state, factor = torch.ones_like(p), 1.0
    for _ in range(_ROUNDS if len(p) else 0):
        weighed = p * state
        total = weighed.new_zeros(graph.num_nodes).index_add(0, graph.target, weighed).index_select(0, graph.source)
        grown = total.index_add(0, graph.paired, weighed.index_select(0, graph.reverse), alpha=-1) + state
        factor, largest = float(grown.sum() / state.sum()), float((grown / state).max())
        state = grown / grown.sum()
        if largest <= (1.0 + _CLOSE) * factor:
            break
    return max(factor - 1.0, 0.0)


def warn_if_supercritical(graph: TensorGraph) -> None:
    """Warns: SupercriticalWarning, where activity takes off."""
    radius = criticality(graph)
    if radius >= 1.0:
        warnings.warn(
            f"activity grows by a factor of {radius:.3g} a step on this graph: a surrogate overestimates the spread of "
            "few seeds, the more the more rounds it takes; compare with simulation, or sample dominators",
            SupercriticalWarning,
            stacklevel=2,
        )
