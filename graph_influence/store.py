"""What stands on a network on disk: safetensors and a JSON manifest; no arcs, nothing pickled."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from safetensors.numpy import save as packed

from graph_influence import surrogate_store
from graph_influence.graph import SocialGraph
from graph_influence.maximize.coverage import Greedy
from graph_influence.maximize.judged import Collections
from graph_influence.maximize.standing import Course, StandingSeeds
from graph_influence.maximize.stopping import StandingShare
from graph_influence.network import Network, Plan
from graph_influence.rrsets import RRSets
from graph_influence.rrsets.in_arcs import InArcs
from graph_influence.rrsets.rows import Rows
from graph_influence.standing_surrogate import StandingSurrogate
from unlearn import durable
from unlearn.digests import digest, digest_of_file
from unlearn.vocabulary import Vocabulary

FORMAT = 1
_SETS, _NODES, _MANIFEST = "sets.safetensors", "nodes.json", "manifest.json"
_COLLECTIONS = ("selection", "judging")


class StoredNetworkError(ValueError):
    """A stored network is damaged, is of another kind, or does not fit; the message lists every problem."""


def save(network: Network, directory: Path) -> str:
    """Write all of the network but its graph to a new directory, and return its digest."""
    standing = network.standing
    rule = standing.rule
    pair = {name: getattr(standing.collections, name) for name in _COLLECTIONS}
    arcs: InArcs = pair["selection"].arcs  # those of both
    arrays: dict[str, NDArray[Any]] = {
        "places.weight": arcs.weight,
        "places.scale": np.ascontiguousarray(arcs.node["scale"]),
        "seeds.rows": standing.selected.rows,
        "seeds.covered": standing.selected.prefix,
    }
    for name, sets in pair.items():
        rows = sets.members.packed()
        arrays |= {f"{name}.length": rows.length, f"{name}.members": rows.data[: rows.used]}
    nodes = network.graph.nodes
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "plan": asdict(network.plan),
        "seed": standing.seed,
        "seeds": {name: sets.seed for name, sets in pair.items()},
        "rule": {"share": rule.share, "delta": rule.delta},
        "course": asdict(Course(standing.looks, standing.ratio, standing.least)),
        "above": standing.selected.above,
        "arcs": int(network.graph.alive.sum()),
        "places": network.graph.num_arcs,
    }
    directory.mkdir(parents=True, exist_ok=True)
    files = [_SETS, _NODES]
    if network.surrogate is not None:
        manifest["surrogate"] = surrogate_store.save(network.surrogate, directory)
        files += [surrogate_store.SURROGATE, surrogate_store.LABELS]
    manifest["digest"] = digest(manifest, arrays, nodes.to_json())
    with durable.named(directory):
        (directory / _SETS).write_bytes(packed(arrays))
        (directory / _NODES).write_text(json.dumps(nodes.to_json()), "utf-8")
        manifest["files"] = {name: digest_of_file(directory / name) for name in files}
        (directory / _MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
    return manifest["digest"]


def load(directory: Path, graph: SocialGraph) -> Network:
    """The stored network, on its graph or on what remains of it: then with people who are in the sets alone.

    Raises:
        StoredNetworkError: a file is missing or was changed, or the graph has other people or arcs.
    """
    manifest = described(directory)
    problems = [
        f"{name} must exist, as it was saved"
        for name, expected in manifest["files"].items()
        if not (directory / name).is_file() or digest_of_file(directory / name) != expected
    ]
    if not problems:
        nodes = people(directory)
        if not graph.nodes.remains_of(nodes) or graph.num_arcs != manifest["places"]:
            problems = ["the graph must have the people and the arcs that it was saved with, row by row"]
        else:
            # Copies: the arrays of a file cannot be written to, and sets are.
            arrays = {name: array.copy() for name, array in load_file(directory / _SETS).items()}
            saved = {name: value for name, value in manifest.items() if name not in ("digest", "files")}
            if digest(saved, arrays, nodes.to_json()) == manifest["digest"]:
                return _loaded(directory, arrays, manifest, replace(graph, nodes=nodes))
            problems = [f"{_MANIFEST} was changed after it was saved (its digest is of something else)"]
    raise StoredNetworkError(f"{directory} cannot be loaded:\n  - " + "\n  - ".join(problems) + "\nPrepare it again.")


def described(directory: Path) -> dict[str, Any]:
    """The manifest.

    Raises:
        StoredNetworkError: there is none of this format.
    """
    with suppress(FileNotFoundError, ValueError):  # of what was cut off
        manifest = json.loads((directory / _MANIFEST).read_text("utf-8"))
        if isinstance(manifest, dict) and manifest.get("format") == FORMAT:  # pyright: ignore[reportUnknownMemberType]
            return cast("dict[str, Any]", manifest)
    raise StoredNetworkError(f"{directory} must hold a network of format {FORMAT}; prepare it again")


def people(directory: Path) -> Vocabulary:
    """Whom the stored network knows, by row."""
    return Vocabulary.from_json(json.loads((directory / _NODES).read_text("utf-8")))


def surrogate(directory: Path, graph: SocialGraph) -> StandingSurrogate | None:
    """The surrogate of the stored network alone, if it has one, on a graph as for `load`."""
    return _surrogate(directory, described(directory), replace(graph, nodes=people(directory)))


def _surrogate(directory: Path, manifest: dict[str, Any], graph: SocialGraph) -> StandingSurrogate | None:
    about = manifest.get("surrogate")
    return None if about is None else surrogate_store.load(directory, about, graph)


def _loaded(directory: Path, arrays: dict[str, NDArray[Any]], manifest: dict[str, Any], graph: SocialGraph) -> Network:
    plan = Plan(**manifest["plan"])
    node = np.zeros(graph.num_nodes + 1, dtype=[("start", np.int64), ("scale", np.float64)])
    node["start"], node["scale"] = graph.in_ptr, arrays["places.scale"]
    tail = np.where(graph.alive, graph.source, np.int32(-1))
    arcs = InArcs(plan.model, node, tail, arrays["places.weight"])
    pair = Collections(*(
        RRSets.resumed(graph, arcs, manifest["seeds"][name], _rows(arrays[f"{name}.length"], arrays[f"{name}.members"]))
        for name in _COLLECTIONS
    ))  # fmt: skip
    selected = Greedy(arrays["seeds.rows"], arrays["seeds.covered"], manifest["above"])
    rule, course = StandingShare(**manifest["rule"]), Course(**manifest["course"])
    standing = StandingSeeds.resumed(pair, selected, plan.k, manifest["seed"], rule, course)
    return Network(plan, standing, _surrogate(directory, manifest, graph))


def _rows(length: NDArray[np.int32], data: NDArray[np.int32]) -> Rows:
    ends = np.cumsum(length, dtype=np.int64)
    return Rows(ends - length, length, data, len(data))
