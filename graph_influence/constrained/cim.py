"""Capacity constrained influence maximisation: whom each of many inviters should invite."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, get_args

from graph_influence.constrained.assignment import Order, assign
from graph_influence.constrained.participants import Participants
from graph_influence.diffusion import Model
from graph_influence.errors import InvalidRequest
from graph_influence.graph import SocialGraph
from graph_influence.maximize.base import check_model
from graph_influence.maximize.judged import Collections
from graph_influence.maximize.stopping import Rule, Stopping
from graph_influence.rrsets import Spread
from unlearn.forget import Id
from unlearn.invalid import Problems
from unlearn.registry import hyper_parameters

_RATIO = 0.5  # of a greedy under a partition matroid, in rounds or not


@dataclass(frozen=True, slots=True, eq=False)
class Invitations:
    """Whom each active participant should invite, likeliest first, and how far all of them together reach.

    spread counts passive participants only, on reverse-reachable sets that had no part in the choice. ratio: it is at
    least this share of the best that lists of this capacity can have, with probability 1 - delta.
    """

    lists: dict[Id, tuple[Id, ...]]
    spread: Spread
    ratio: float
    sets: int
    seconds: float
    method: str
    arguments: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Cim(Stopping):
    """RR-OPIM+ and MG-OPIM+: greedy lists on one collection of sets of the passive graph, judged on another.

    Zhang et al., "Capacity constrained influence maximization in social networks" (KDD 2023). Each active participant u
    invites at most `capacity` of their candidates C_u, and the spread of all invited inside the passive graph is to be
    large; lists are independent sets of a partition matroid. `order` is that of `assign`: "rr" makes RR-OPIM+, "mg" its
    counterpart by MG-Greedy. Sets, bounds and rules are those of `Opim`, over the n_p passive people, with the a priori
    ratio 1/2, as many choices as there are ways to fill the lists, and OPT at least the number of people that the lists
    can hold.

    Differences from the paper:
        - OPT is bounded below by a maximum flow instead of any feasible lists, and above by a bound that counts no
          candidate twice (`assign`), so fewer sets prove more.
        - The default rule is the `share` of `Stopping`: eps = 0.1 stops after a few hundred sets, one to five percent
          of the spread short.
        - The first look takes theta_0 sets as in OPIM-C, where the paper takes a fraction of it.
        - Each list is ranked by the probability of the arc.
    """

    order: Order = "rr"
    model: Model = "ic"
    seed: int = 0

    def invite(self, graph: SocialGraph, active: Iterable[Id], capacity: int) -> Invitations:
        """Lists of at most `capacity` for the active participants, named by their external ids.

        Raises:
            UnknownIds: an active participant is not there.
            InvalidRequest: these are no participants, in-weights of somebody sum to more than 1 under "lt", or an
                argument is out of its range.
        """
        self.check(graph)
        began = time.perf_counter()
        participants = Participants.of(graph, active, capacity)
        collections = Collections.draw(participants.passive, self.model, self.seed)
        rule, first = self.rule_for(participants)
        chosen, ratio, _ = collections.double(first, lambda sets: assign(sets, participants, self.order), rule)
        return Invitations(
            lists=participants.named(chosen.lists),
            spread=collections.judging.spread(chosen.rows),
            ratio=ratio,
            sets=len(collections),
            seconds=time.perf_counter() - began,
            method=f"{self.order}-opim+",
            arguments=hyper_parameters(self) | {"capacity": capacity},
        )

    def check(self, graph: SocialGraph) -> None:
        """Raises: InvalidRequest, when an argument is out of its range or the graph is not one of the model."""
        problems = Problems("these arguments", InvalidRequest)
        check_model(problems, graph, self.model)
        if self.order not in get_args(Order):
            problems.add(f"`order` must be one of {', '.join(get_args(Order))} (got {self.order!r})")
        problems.found.extend(self.wrong_rule(_RATIO))
        problems.raise_any()

    def rule_for(self, participants: Participants) -> tuple[Rule, int]:
        """The rule for these participants, and how many sets the first look takes."""
        n, most = participants.passive.num_alive, max(participants.most, 1)
        return self.rule(n, _RATIO, participants.log_choices, most)


def invite(graph: SocialGraph, active: Iterable[Id], capacity: int, **arguments: Any) -> Invitations:
    """Whom the active participants should invite, at most `capacity` each: `Cim(**arguments).invite(...)`."""
    return Cim(**arguments).invite(graph, active, capacity)
