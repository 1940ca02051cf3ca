"""A standing surrogate on disk: its parameters, as any surrogate's, and what it learned from; nothing pickled."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from safetensors.numpy import save as packed

from graph_influence.graph import SocialGraph
from graph_influence.labels import LabelledGraph, Labels
from graph_influence.problem import SurrogateProblem
from graph_influence.standing_surrogate import Lessons, StandingSurrogate
from graph_influence.surrogate import load_surrogate, save_surrogate
from unlearn import durable
from unlearn.digests import digest
from unlearn.history import History

SURROGATE, LABELS = "surrogate.safetensors", "labels.safetensors"


def save(standing: StandingSurrogate, directory: Path) -> dict[str, Any]:
    """Write it to a directory that is there, and return what JSON can hold of it, with a digest of all."""
    labels, graph, history = standing.labels, standing.problem.data.graph, standing.problem.history
    arrays: dict[str, NDArray[Any]] = {
        "sets.length": np.array([len(rows) for rows in labels.sets], dtype=np.int64),
        "sets.rows": np.concatenate([*labels.sets, np.empty(0, dtype=np.int64)]),
        "numbers": labels.numbers,
        "counts": labels.counts,
    }
    if labels.model == "lt":  # where on its target's coin each arc lies: the places of those who left stay empty
        arrays["places"] = graph.share
    about: dict[str, Any] = {
        "lessons": asdict(standing.lessons),
        "seed": standing.seed,
        "labels": {"model": labels.model, "runs": labels.runs, "seed": labels.seed},
        "residual": history.residual,
        "removed": history.removed,
    }
    surrogate = standing.problem.surrogate
    save_surrogate(surrogate, directory / SURROGATE, about["lessons"])
    durable.replace(directory / LABELS, packed(arrays))
    return about | {"digest": digest(about, surrogate.arguments(), standing.problem.params, arrays)}


def load(directory: Path, about: dict[str, Any], graph: SocialGraph) -> StandingSurrogate:
    """What `save` wrote, on its graph or on what remains of it.

    Raises:
        FileNotFoundError, StoredSurrogateError: as `load_surrogate`.
    """
    arrays = load_file(directory / LABELS)
    if "places" in arrays:
        graph.__dict__["share"] = arrays["places"]
    data, lessons = LabelledGraph(graph, _labels(arrays, about)), Lessons(**about["lessons"])
    problem = SurrogateProblem.on(data, load_surrogate(directory / SURROGATE), options=lessons.options(about["seed"]))
    history = History(residual=about["residual"], removed=about["removed"])
    problem = problem.with_params(problem.params, history=history)
    return StandingSurrogate(problem, lessons, about["seed"])


def holding(directory: Path, about: dict[str, Any], marked: NDArray[np.bool_]) -> int:
    """How many of the stored seed sets have a marked node [n], as a seed or in their labels."""
    return int(_labels(load_file(directory / LABELS), about).holding(marked).sum())


def _labels(arrays: dict[str, NDArray[Any]], about: dict[str, Any]) -> Labels:
    ends = np.cumsum(arrays["sets.length"])[:-1]
    sets = tuple(np.split(arrays["sets.rows"], ends))
    return Labels(**about["labels"], sets=sets, numbers=arrays["numbers"], counts=arrays["counts"])
