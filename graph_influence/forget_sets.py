"""Whom and what to forget, by social influence: those on whom a spread rests most, and random ones to compare with."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from graph_influence.diffusion import Model
from graph_influence.graph import SocialGraph
from graph_influence.maximize import maximize
from graph_influence.minimize import minimize
from unlearn.forget import ForgetSet, Id
from unlearn.streams import bits


def hub_users(graph: SocialGraph, k: int, *, model: Model = "ic", seed: int = 0) -> ForgetSet:
    """The k users who together reach most, as the maximiser `opim` selects them.

    Raises:
        InvalidRequest: there are fewer users.
    """
    return ForgetSet(users=maximize(graph, k, model=model, seed=seed).nodes)


def influential_ties(
    graph: SocialGraph, k: int, seeds: Iterable[Id], *, method: str = "auto", model: Model = "ic", seed: int = 0
) -> ForgetSet:
    """The k ties without which the seeds reach fewest, as a minimiser chooses them.

    Raises:
        UnknownIds, InvalidSeeds, InvalidBlocking: as `Minimizer.minimize`.
    """
    return minimize(graph, seeds, k, method, model=model, seed=seed).removal


def random_users(graph: SocialGraph, k: int, *, seed: int = 0) -> ForgetSet:
    """k of all users, or all where they are fewer; whoever else is there does not matter to a user's lot.

    Raises:
        ValueError: k is below 0.
    """
    _require_count(k, "users")
    draws = np.where(graph.nodes.alive, bits(seed, "users", graph.nodes.keys), np.iinfo(np.uint64).max)
    return ForgetSet(users=tuple(graph.nodes.take(np.argsort(draws, kind="stable")[: min(k, graph.num_alive)])))


def random_ties(graph: SocialGraph, k: int, *, seed: int = 0) -> ForgetSet:
    """k of all ties, likewise."""
    _require_count(k, "ties")
    there, keys = np.flatnonzero(graph.alive), graph.nodes.keys
    draws = bits(seed, "ties", keys[graph.source[there]], keys[graph.target[there]])
    return ForgetSet(ties=graph.pairs(there[np.argsort(draws, kind="stable")[:k]]))


def _require_count(k: int, what: str) -> None:
    if k < 0:
        raise ValueError(f"`k` must be an integer of at least 0 for random {what} (got {k})")
