"""The social graph of those whom a recommender knows."""

from __future__ import annotations

from graph_influence.graph import SocialGraph
from recsys.data import Interactions


def social_graph(data: Interactions) -> SocialGraph:
    """Who is tied to whom, over the users of the recommender."""
    assert data.ties is not None
    return SocialGraph.from_arcs(data.ties[:, 0], data.ties[:, 1], nodes=data.users)
