"""Influence under constraints: lists of bounded length for many inviters, friends to invite, items to annotate."""

from __future__ import annotations

from graph_influence.constrained.annotation import annotate, neighbour_graph
from graph_influence.constrained.cim import Cim, Invitations, invite
from graph_influence.constrained.hetero import FriendLists, HeteroIM, HeteroIR, willing
from graph_influence.constrained.standing import StandingInvitations

__all__ = [
    "Cim",
    "FriendLists",
    "HeteroIM",
    "HeteroIR",
    "Invitations",
    "StandingInvitations",
    "annotate",
    "invite",
    "neighbour_graph",
    "willing",
]
