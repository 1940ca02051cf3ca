"""Invitations that stand while people leave: lists are refilled where they lost somebody, or all chosen anew."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from graph_influence.constrained.assignment import NOBODY, Assignment, Order, assign
from graph_influence.constrained.cim import Cim
from graph_influence.constrained.participants import Participants
from graph_influence.diffusion import Model
from graph_influence.errors import InvalidRequest
from graph_influence.graph import SocialGraph
from graph_influence.maximize.standing import Standing, Upkeep
from graph_influence.rrsets import RRSets
from unlearn.forget import Id


class StandingInvitations(Standing[Assignment, NDArray[np.int32]]):
    """Lists by `Cim`, which stand while people and ties leave.

    - Somebody passive leaves: their sets are updated and no list can name them. Lists that lost an invitee, or the tie
      to one, are refilled greedily; the others are left alone.
    - Somebody active leaves: their list vanishes with them. The passive graph never held them, so no set changes.
    - Somebody active is to become passive: that adds a person to the passive graph, through whom sets would have to
      grow, and is no deletion. It cannot be asked for here; make a new selection.

    The ratio is proven anew after each change, as in `StandingSeeds`, and below 0.98 of what was first proven all lists
    are chosen anew.

    Raises:
        UnknownIds, InvalidRequest: as `Cim.invite`.
    """

    def __init__(
        self,
        graph: SocialGraph,
        active: Iterable[Id],
        capacity: int,
        *,
        order: Order = "rr",
        model: Model = "ic",
        seed: int = 0,
        share: float = 0.95,
        delta: float | None = None,
    ) -> None:
        method = Cim(order=order, model=model, seed=seed, share=share, delta=delta)
        method.check(graph)
        self.order: Order = order
        self._participants = Participants.of(graph, active, capacity)
        super().__init__(self._participants.passive, model, seed, *method.rule_for(self._participants))

    @property
    def lists(self) -> dict[Id, tuple[Id, ...]]:
        """Whom each active participant should invite, likeliest first."""
        return self._participants.named(self.selected.lists)

    def update(self, graph: SocialGraph) -> Upkeep:
        """Follow the whole graph, active participants included, to what is left of it, as `RRSets.update` does.

        Raises:
            InvalidGraph: as `RRSets.update`.
            InvalidRequest: nobody active, or nobody passive, is left.
            Nothing has changed then.
        """
        before = self._participants
        stays = graph.nodes.alive[before.active]
        active = before.active[stays]
        if not 0 < len(active) < graph.num_alive:
            raise InvalidRequest(
                f"there must be active and passive people (got {len(active)} active of {graph.num_alive}); "
                "drop the lists with the graph"
            )
        passive = graph.without_rows(active, np.empty(0, dtype=np.int64))
        after = Participants.between(graph, passive, active, before.capacity)
        kept = after.possible(self.selected.lists[stays])
        lost = int((self.selected.lists != NOBODY).sum() - (kept != NOBODY).sum())
        updates = self._updated(passive)
        self._participants = after
        try:
            return self._reviewed(kept, lost, updates)
        except BaseException:  # an interrupt: the lists are still those of whoever was there before
            self._participants = before
            raise

    def _choose(self, sets: RRSets, kept: NDArray[np.int32] | None) -> Assignment:
        return assign(sets, self._participants, self.order, kept)
