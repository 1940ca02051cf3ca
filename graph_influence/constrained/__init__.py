"""Influence under constraints: lists of bounded length for many inviters, and selection over features."""

from __future__ import annotations

from graph_influence.constrained.cim import Cim, Invitations, invite
from graph_influence.constrained.standing import StandingInvitations

__all__ = ["Cim", "Invitations", "StandingInvitations", "invite"]
