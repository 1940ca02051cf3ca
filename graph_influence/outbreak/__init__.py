"""A rumour that is to be contained, and the worlds in which it spreads, with what hangs on each arc and node there."""

from __future__ import annotations

from graph_influence.outbreak.outbreak import Outbreak, Unit
from graph_influence.outbreak.worlds import Worlds

__all__ = ["Outbreak", "Unit", "Worlds"]
