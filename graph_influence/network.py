"""A social graph with what stands on it, seeds and a surrogate, which people and ties leave by one declared meaning."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from graph_influence.coins import purpose
from graph_influence.diffusion import Model
from graph_influence.errors import InvalidRequest
from graph_influence.graph import SocialGraph
from graph_influence.maximize.standing import StandingSeeds, Upkeep
from graph_influence.schemes import weighted_cascade
from graph_influence.standing_surrogate import Lessons, StandingSurrogate, Unlearned
from graph_influence.surrogate import Surrogate
from unlearn.forget import ForgetSet
from unlearn.interruption import undisturbed

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


@dataclass(frozen=True, slots=True)
class Removed:
    """What a removal did to the seeds and, where one learned from the graph, to the surrogate."""

    seeds: Upkeep
    surrogate: Unlearned | None


@dataclass(eq=False)
class Network:
    """A plan and the seeds that stand by it, with their reverse-reachable sets and the graph below them.

    surrogate: one that learned from the same graph, if any.
    """

    plan: Plan
    standing: StandingSeeds
    surrogate: StandingSurrogate | None = None

    @classmethod
    def build(
        cls,
        graph: SocialGraph,
        plan: Plan,
        *,
        surrogate: Surrogate | None = None,
        lessons: Lessons | None = None,
        seed: int = 0,
        progress: bool = False,
    ) -> Network:
        """Seeds for a graph and, if one is given, a surrogate of that kind that learns from it.

        Raises:
            InvalidRequest: as `Opim.maximize`; there are no such semantics; the surrogate is of the other diffusion
                model, or is to learn where probabilities are renormalised.
            InvalidGraph: "renormalised", where probabilities are not those of weighted cascade.
            ValueError: the surrogate has nothing to learn.
        """
        if plan.semantics not in get_args(Semantics):
            known = " or ".join(get_args(Semantics))
            raise InvalidRequest(f"`semantics` must be {known} (got {plan.semantics!r})")
        if plan.semantics == "renormalised":
            graph.require_weighted_cascade()
        if surrogate is not None:
            _require_teachable(surrogate, plan)
        network = cls(plan, StandingSeeds(graph, plan.k, model=plan.model, seed=seed, share=plan.share))
        if surrogate is None:
            return network
        own = purpose(seed, "surrogate")
        return replace(
            network, surrogate=StandingSurrogate.taught(surrogate, graph, lessons, seed=own, progress=progress)
        )

    @property
    def graph(self) -> SocialGraph:
        """Who can activate whom."""
        return self.standing.graph

    def left(self, graph: SocialGraph, forget: ForgetSet) -> SocialGraph:
        """What is left of a graph, as the plan has it: see `SocialGraph.without`."""
        return graph.without(forget, renormalise=self.plan.semantics == "renormalised")

    def remove(self, forget: ForgetSet) -> Removed:
        """All of it goes on without users and ties: sets and labels are drawn again by the same coins.

        It happens as a whole: whatever is raised, an interrupt as well, nothing has changed then.

        Raises:
            UnknownIds: as `SocialGraph.without`.
            InvalidRequest: nobody is left.
        """
        standing, surrogate = self.standing.copy(), None if self.surrogate is None else replace(self.surrogate)
        removed = Removed(
            standing.update(self.left(self.graph, forget)), None if surrogate is None else surrogate.remove(forget)
        )
        with undisturbed():
            self.standing, self.surrogate = standing, surrogate
        return removed

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
        return Network(plan, seeds, None if self.surrogate is None else self.surrogate.rebuilt(graph))


def _require_teachable(surrogate: Surrogate, plan: Plan) -> None:
    if plan.semantics == "renormalised":
        raise InvalidRequest(
            "`semantics` must be frozen where a surrogate learns from the graph (got renormalised): its labels cannot "
            "follow probabilities that change; leave them frozen, or train the surrogate on random graphs "
            "(`unlearn influence train-surrogate`), where nobody has to leave it"
        )
    if surrogate.model != plan.model:
        raise InvalidRequest(f"`surrogate` must be of the model {plan.model} (got one of {surrogate.model})")
    if not any(value.requires_grad for value in surrogate.parameters()):
        raise InvalidRequest(
            f"`surrogate` must have something to learn (got {surrogate.name}, which reads the graph and keeps nothing "
            "of it); leave it out here, and name it where it is used"
        )


def merged(graph: SocialGraph, more: pd.DataFrame | None, semantics: Semantics) -> SocialGraph:
    """The graph with further ties (columns source, target, probability, all of people who are there).

    A tie that is there already stays as it is. Under "renormalised" all probabilities are taken anew.
    """
    if more is None or more.empty:
        return graph
    tails, heads = (graph.nodes.rows(more[name].tolist()) for name in ("source", "target"))
    p = np.ones(len(more)) if semantics == "renormalised" else more["probability"].to_numpy(np.float64)
    joined = SocialGraph.from_arcs(
        _behind(graph.source[graph.alive], tails),
        _behind(graph.target[graph.alive], heads),
        np.concatenate([graph.probability[graph.alive], p]),
        nodes=graph.nodes,
    )
    return weighted_cascade(joined) if semantics == "renormalised" else joined


def _behind(arcs: NDArray[np.int32], more: Iterable[int]) -> NDArray[np.int64]:
    return np.concatenate([arcs.astype(np.int64), np.asarray(more, dtype=np.int64)])
