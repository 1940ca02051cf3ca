"""Where arc probabilities come from when nobody has measured them: schemes of the literature, each graph -> graph.

What logs of actions say is in `graph_influence.action_log`. Deletion leaves probabilities as they are (frozen); a
scheme applied to what is left gives those of a graph without the one who left.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graph_influence.graph import SocialGraph
from unlearn.streams import integers

TRIVALENCY = (0.1, 0.01, 0.001)


def given(graph: SocialGraph) -> SocialGraph:
    """Probabilities as the graph has them, 1 where its file says nothing."""
    return graph


def weighted_cascade(graph: SocialGraph, *, c: float = 1.0) -> SocialGraph:
    """p(u, v) = min(1, c / in-degree of v): c expected live in-arcs a node, however many there are.

    Kempe, Kleinberg and Tardos, "Maximizing the spread of influence through a social network" (KDD 2003), with c = 1;
    other c as in Guo, Wang, Wei and Chen, "Influence maximization revisited: efficient reverse reachable set
    generation with bound tightened" (SIGMOD 2020). With c <= 1 it also gives weights for linear threshold. Parallel
    arcs became one when the graph was made, and count once.

    Raises:
        ValueError: `c` is not positive.
    """
    if not c > 0:
        raise ValueError(f"`c` must be positive for `weighted_cascade` (got {c})")
    return graph.with_probability(np.minimum(1.0, c / np.maximum(graph.in_degree(), 1))[graph.target])


def constant(graph: SocialGraph, *, p: float = 0.1) -> SocialGraph:
    """Every arc has probability p ("uniform").

    Raises:
        InvalidGraph: `p` is outside [0, 1].
    """
    return graph.with_probability(p)


def trivalency(graph: SocialGraph, *, seed: int = 0) -> SocialGraph:
    """Every arc has .1, .01 or .001, drawn once and then fixed.

    Chen, Wang and Wang, "Scalable influence maximization for prevalent viral marketing in large-scale social networks"
    (KDD 2010). A draw belongs to the ids at both ends, so an arc keeps its probability whoever leaves and however rows
    are numbered.
    """
    keys = graph.nodes.keys
    drawn = integers(seed, "trivalency", len(TRIVALENCY), keys[graph.source], keys[graph.target])
    return graph.with_probability(np.array(TRIVALENCY)[drawn])


SCHEMES: dict[str, Callable[..., SocialGraph]] = {
    function.__name__: function for function in (weighted_cascade, constant, trivalency, given)
}
