"""Social graphs drawn at random, in the regime of logs of interactions."""

from __future__ import annotations

import numpy as np

from graph_influence.graph import SocialGraph


def power_law(
    n: int,
    *,
    exponent: float = 2.0,
    in_degree: float = 4.0,
    silent: float = 0.5,
    reciprocity: float = 0.05,
    seed: int = 0,
) -> SocialGraph:
    """Few whom many follow: out-degrees with a power law, and weights that share 1 among a node's in-arcs.

    A share of nodes is `silent`; another has activity a, with P(a > x) = x^(1 - exponent). All nodes draw their in-arcs
    from the others by activity (Chung and Lu, "The average distances in random graphs with given expected degrees",
    2002, doi 10.1073/pnas.252631999): their number is log-normal, of median `in_degree` and standard deviation 1 in
    logarithms, rounded, so that some have none. A share `reciprocity` of arcs goes both ways. The strength of an arc is
    log-normal likewise, and p(u, v) is its share of the strength of all in-arcs of v, as in the linear probabilities of
    a log: actions of v after u by actions of v after anybody.

    Raises:
        ValueError: an argument is out of range.
    """
    if n < 2 or exponent <= 1 or in_degree <= 0 or not 0 <= reciprocity <= 1 or not 0 <= silent < 1:
        raise ValueError(
            "`n` must be at least 2, `exponent` above 1, `in_degree` above 0, `silent` from 0 to below 1 and "
            f"`reciprocity` from 0 to 1 (got {n}, {exponent}, {in_degree}, {silent} and {reciprocity})"
        )
    random = np.random.default_rng(seed)
    activity = (1 - random.uniform(size=n)) ** (-1 / (exponent - 1))
    activity[random.permutation(n)[: int(silent * n)]] = 0.0
    drawn = np.minimum(np.rint(in_degree * np.exp(random.standard_normal(n))), n - 1).astype(np.int64)
    target = np.repeat(np.arange(n), drawn)
    total = np.cumsum(activity)
    source = np.searchsorted(total, random.uniform(size=len(target)) * total[-1])
    back = random.uniform(size=len(target)) < reciprocity
    ends = np.concatenate([source, target[back]]), np.concatenate([target, source[back]])
    strength = np.exp(random.standard_normal(len(ends[0])))
    graph = SocialGraph.from_arcs(*ends, strength / (strength.max(initial=0.0) + 1), nodes=n)
    share = np.bincount(graph.target, graph.probability, minlength=n)[graph.target]
    return graph.with_probability(graph.probability / share)
