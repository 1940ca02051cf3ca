"""A social graph with the seeds that stand on it, which people and ties leave by one declared meaning of deletion."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graph_influence.coins import purpose
from graph_influence.errors import InvalidGraph, InvalidRequest
from graph_influence.graph import SocialGraph
from graph_influence.maximize.standing import StandingSeeds, Upkeep
from graph_influence.rrsets.in_arcs import Model
from graph_influence.schemes import weighted_cascade
from unlearn.forget import ForgetSet

Semantics = Literal["frozen", "renormalised"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a network is for: `k` seeds under a diffusion model, and what deletion means.

    semantics: under "frozen", probabilities of the ties that remain stay what they are; under "renormalised" they are
    those of weighted cascade on what remains. scheme: where probabilities came from, in words. share: as in `Opim`.
    """

    k: int
    model: Model = "ic"
    semantics: Semantics = "frozen"
    scheme: str = "given"
    share: float = 0.95


@dataclass(frozen=True, eq=False)
class Network:
    """A plan and the seeds that stand by it, with their reverse-reachable sets and the graph below them."""

    plan: Plan
    standing: StandingSeeds

    @classmethod
    def build(cls, graph: SocialGraph, plan: Plan, *, seed: int = 0) -> Network:
        """Seeds for a graph.

        Raises:
            InvalidRequest: as `Opim.maximize`, or there are no such semantics.
            InvalidGraph: "renormalised", where probabilities are not those of weighted cascade.
        """
        if plan.semantics not in get_args(Semantics):
            known = " or ".join(get_args(Semantics))
            raise InvalidRequest(f"`semantics` must be {known} (got {plan.semantics!r})")
        if plan.semantics == "renormalised" and not np.allclose(graph.probability, weighted_cascade(graph).probability):
            raise InvalidGraph(
                "probabilities must be those of weighted cascade, 1 / in-degree, to be renormalised when somebody "
                "leaves; apply that scheme, or leave them frozen"
            )
        return cls(plan, StandingSeeds(graph, plan.k, model=plan.model, seed=seed, share=plan.share))

    @property
    def graph(self) -> SocialGraph:
        """Who can activate whom."""
        return self.standing.graph

    def left(
        self, graph: SocialGraph, forget: ForgetSet, *, unknown: Literal["raise", "skip"] = "raise"
    ) -> SocialGraph:
        """What is left of a graph, as the plan has it: see `SocialGraph.without`."""
        return graph.without(forget, renormalise=self.plan.semantics == "renormalised", unknown=unknown)

    def remove(self, forget: ForgetSet, *, unknown: Literal["raise", "skip"] = "raise") -> Upkeep:
        """Graph, sets and seeds go on without users and ties: sets are drawn again by the same coins.

        Raises:
            UnknownIds: as `SocialGraph.without`; nothing has changed then.
            InvalidRequest: nobody is left; nothing has changed then.
        """
        return self.standing.update(self.left(self.graph, forget, unknown=unknown))

    def rebuilt(self, forget: ForgetSet, more: pd.DataFrame | None = None) -> Network:
        """Everything anew from what is left, with more ties: numbered anew, drawn by coins that nobody has seen."""
        graph = merged(self.left(self.graph, forget).compact(), more, self.plan.semantics)
        if not graph.num_alive:
            raise InvalidRequest("seeds must be people who are there (nobody is left); drop them with the graph")
        standing, plan = self.standing, self.plan
        seeds = StandingSeeds(
            graph, min(plan.k, graph.num_alive), model=plan.model, seed=purpose(standing.seed, "rebuilt"),
            share=plan.share,
        )  # fmt: skip
        seeds.k = plan.k
        return Network(plan, seeds)


def merged(graph: SocialGraph, more: pd.DataFrame | None, semantics: Semantics) -> SocialGraph:
    """The graph with further ties (columns source, target, probability, all of people who are there).

    A tie that is there already stays as it is. Under "renormalised" all probabilities are taken anew.
    """
    if more is None or more.empty:
        return graph
    tails, heads = (graph.nodes.rows(more[name].tolist()) for name in ("source", "target"))
    p = np.ones(len(more)) if semantics == "renormalised" else pd.to_numeric(more["probability"]).to_numpy(np.float64)
    joined = SocialGraph.from_arcs(
        _behind(graph.source[graph.alive], tails),
        _behind(graph.target[graph.alive], heads),
        np.concatenate([graph.probability[graph.alive], p]),
        nodes=graph.nodes,
    )
    return weighted_cascade(joined) if semantics == "renormalised" else joined


def _behind(arcs: NDArray[np.int32], more: Iterable[int]) -> NDArray[np.int64]:
    return np.concatenate([arcs.astype(np.int64), np.asarray(more, dtype=np.int64)])
