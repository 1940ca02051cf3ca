"""What surrogates learn from: seed sets, and how often simulated cascades from each reach every node."""

from __future__ import annotations

from graph_influence.labels.labelled import LabelledGraph
from graph_influence.labels.labels import Labels

__all__ = ["LabelledGraph", "Labels"]
