"""Forward simulation of a graph beside cynetdiff's, the fastest that Python users have: runs a second, same seeds."""

from __future__ import annotations

import array
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from cynetdiff.models import IndependentCascadeModel, LinearThresholdModel
from numpy.typing import NDArray

from graph_influence.diffusion import Diffusion, Estimate, IndependentCascade, LinearThreshold
from graph_influence.graph import SocialGraph

_SLOWER = 8  # the peer's linear threshold takes several times its cascades, so it gets fewer runs


def measure(graph: SocialGraph, rows: NDArray[np.int64], *, runs: int = 4_000, repeats: int = 5) -> dict[str, Any]:
    """Figures of a graph whose weights suit both models, from seeds by row.

    Runs a second are of processor time in one thread, the best of `repeats`, in turns; a ratio is ours over the peer's.
    The peer runs its own compiled loop over runs, with nothing in Python between them. Where the two estimate the
    spread differently by more than their errors allow, somebody is wrong: `apart` is that distance in standard errors.
    """
    figures: dict[str, Any] = {}
    for ours, theirs, weights, count in (
        (IndependentCascade(graph, runs=runs, threads=1), IndependentCascadeModel, "activation_probs", runs),
        (LinearThreshold(graph, runs=runs, threads=1), LinearThresholdModel, "influence", max(2, runs // _SLOWER)),
    ):
        figures |= _both(ours, _peer(graph, theirs, weights), rows, count, repeats)
    return figures


def _peer(graph: SocialGraph, model: Any, weights: str) -> Any:
    """The peer's model of the same arcs; it holds probabilities in single precision."""
    ptr, arcs = graph.out
    starts, ends = array.array("I", ptr[:-1].tolist()), array.array("I", graph.target[arcs].tolist())
    return model(starts, ends, **{weights: array.array("f", graph.probability[arcs].tolist())}, rng=1)


def _both(ours: Diffusion, peer: Any, rows: NDArray[np.int64], peer_runs: int, repeats: int) -> dict[str, float]:
    ours.simulate_rows(rows)  # compiles
    seeds, found, theirs = rows.tolist(), None, 0.0
    mine, other = [], []
    for _ in range(repeats):
        seconds, found = _timed(lambda: ours.simulate_rows(rows))
        mine.append(seconds / ours.runs)
        # Sums in single precision, but far from where those saturate.
        seconds, (theirs,) = _timed(lambda: peer.compute_marginal_gains(seeds, [], peer_runs))
        other.append(seconds / peer_runs)
    assert found is not None
    spread: Estimate = found.spread
    # Where nothing is left to chance the peer's single precision is the error.
    error = max(spread.standard_error * (1 + ours.runs / peer_runs) ** 0.5, 1e-6 * spread.mean)
    return {
        f"cynetdiff_{ours.name}_ratio": min(other) / min(mine),
        f"runs_per_second_{ours.name}": 1 / min(mine),
        f"cynetdiff_runs_per_second_{ours.name}": 1 / min(other),
        f"spread_{ours.name}": spread.mean,
        f"apart_{ours.name}": abs(spread.mean - theirs) / error,
    }


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    began = time.process_time()
    result = work()
    return time.process_time() - began, result
