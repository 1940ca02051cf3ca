"""A social graph as a target of the deletion-request service: what the entry point `unlearn.targets` names.

A workspace that `unlearn influence prepare` made holds the graph, its reverse-reachable sets and the seeds that stand
on them; and a surrogate that learned from the graph, where it was asked for one. Beside it lies a folder with what else
there is: whom to answer no more, the sealed ties of batches that are not purged, and staged versions.

    [targets.graph_influence]
    workspace = "network"                      # the folder that `unlearn influence prepare` made
    identity_type = "controller_customer_id"   # by which its people are known
    method = "reconverge:accuracy=0.1"         # by which the surrogate forgets (default: of `standing_surrogate`)
"""

from __future__ import annotations

from graph_influence.plugin.serving import Serving
from graph_influence.plugin.target import NetworkTarget, target

__all__ = ["NetworkTarget", "Serving", "target"]
