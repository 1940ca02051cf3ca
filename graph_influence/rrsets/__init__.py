"""Reverse-reachable sets: drawn in compressed rows, indexed both ways, and redrawn where somebody left."""

from graph_influence.rrsets.store import RRSets, Spread

__all__ = ["RRSets", "Spread"]
