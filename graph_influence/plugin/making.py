"""How the next version is made: by removing people from what stands, or by building everything anew on what remains."""

from __future__ import annotations

import time
from dataclasses import dataclass

import pandas as pd

from graph_influence import workspace
from graph_influence.network import Network, Removed
from unlearn.forget import ForgetSet, Id
from unlearn.target import Fact
from unlearn.workspace_target import Made


@dataclass(frozen=True, slots=True, eq=False)
class Begun:
    """The published network over the graph that it was made from, the ties that came in since, and who has left."""

    network: Network
    arrived: pd.DataFrame
    people: tuple[Id, ...]


def made(begun: Begun, *, retrain: bool) -> Made:
    """A version without those who left."""
    began, network, forget = time.perf_counter(), begun.network, ForgetSet(users=begun.people)
    facts: dict[str, Fact] = {"people_removed": len(begun.people), "spread_before": network.standing.spread.mean}
    method = "rebuild" if retrain else "replay"
    if retrain:
        network = network.rebuilt(forget, begun.arrived)
    elif begun.people:
        removed = network.remove(forget)
        facts |= _told(removed)
        method += "" if removed.surrogate is None else f"+{removed.surrogate.method}"
    standing = network.standing
    facts |= {"sets": len(standing.collections), "ratio": standing.ratio, "spread_after": standing.spread.mean}
    if network.surrogate is not None:
        facts |= {"surrogate_sets": len(network.surrogate.labels.sets)}
    facts |= {"seconds": time.perf_counter() - began}
    return Made(method, facts, lambda folder: workspace.write(network, folder))


def _told(removed: Removed) -> dict[str, Fact]:
    seeds, surrogate = removed.seeds, removed.surrogate
    facts: dict[str, Fact] = {"seeds_lost": seeds.lost, "seeds_chosen_anew": int(seeds.chosen_anew)}
    facts |= {"sets_redrawn": seeds.selection.redrawn + seeds.judging.redrawn}
    if surrogate is not None:
        facts |= {
            "surrogate_residual_before": surrogate.residual_before,
            "surrogate_residual_after": surrogate.residual_after,
            "surrogate_labels_changed": surrogate.labels_changed,
            "surrogate_sets_emptied": surrogate.sets_emptied,
            "surrogate_seconds": surrogate.seconds,
        }
    return facts
