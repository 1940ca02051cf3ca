"""Reverse-reachable sets: drawn in compressed rows, indexed both ways, and redrawn where somebody left."""

from graph_influence.rrsets.store import RRSets, Spread, Update

__all__ = ["RRSets", "Spread", "Update"]
