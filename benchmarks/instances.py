"""Instances of containment: a graph with probabilities, and seed sets from which a rumour starts."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
from common import at_least, data_set
from numpy.typing import NDArray

from graph_influence.graph import SocialGraph
from graph_influence.minimize import Minimizer, Outbreak
from graph_influence.readers import Format, read
from graph_influence.schemes import SCHEMES
from graph_influence.seeds import seed_rows


def add_instances(parser: argparse.ArgumentParser) -> None:
    """The options that say which, who judges them and where figures go."""
    parser.add_argument(
        "--graph", type=Path,
        help="an edge list, with probabilities where there are any [the Celebrity cascades in UNLEARN_DATA]",
    )  # fmt: skip
    parser.add_argument("--format", choices=get_args(Format), help="of the graph's file [by content]")
    parser.add_argument("--undirected", action="store_true", help="every edge goes both ways")
    parser.add_argument("--reverse", action="store_true", help="arcs of the file point at who influences")
    parser.add_argument("--scheme", choices=sorted(SCHEMES), default="given", help="of probabilities [given]")
    parser.add_argument("--instances", type=Path, help="JSON with seed_sets")
    parser.add_argument("--draw", metavar="COUNTxSIZE", help="random seed sets in place of a file")
    parser.add_argument("--budgets", default="3,5,10", help="[3,5,10]")
    parser.add_argument("--runs", type=at_least(2), default=20_000, help="cascades of the referee [20000]")
    parser.add_argument("--seed", type=int, default=0, help="of the referee, of methods and of --draw [0]")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write every figure to this file")
    parser.add_argument("--quick", action="store_true", help="on a small synthetic graph: that it runs, no figures")


def parsed(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """What was given, with a graph and seed sets or --quick."""
    given = parser.parse_args()
    if not (given.quick or given.graph or given.instances or given.draw):
        given.graph = data_set("diffim/Celebrity_test_LP.txt")
        given.instances = data_set("diffim/Celebrity_test_LP-50.json")
    if not given.quick and (given.graph is None or (given.instances is None) == (given.draw is None)):
        parser.error("name the graph by --graph, and seed sets by either --instances or --draw; or pass --quick")
    return given


def read_instances(given: argparse.Namespace) -> tuple[SocialGraph, list[NDArray[np.int64]]]:
    """The graph, and seed sets by row.

    Raises:
        ValueError: a file or an option cannot be read as that, or there is no seed set.
        OSError: a file cannot be read at all.
    """
    if given.quick:
        random = np.random.default_rng(0)
        graph = SocialGraph.from_arcs(*random.integers(300, size=(2, 900)), nodes=300)
        graph, given.draw = SCHEMES["weighted_cascade"](graph), "3x5"
    else:
        graph = read(given.graph, format=given.format, undirected=given.undirected, reverse=given.reverse)
        graph = SCHEMES[given.scheme](graph)
    if not given.draw:
        return graph, read_seed_sets(given.instances, graph)
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", given.draw):
        raise ValueError(f"`--draw` must be COUNTxSIZE, both positive (got {given.draw!r})")
    count, size = map(int, given.draw.split("x"))
    random, there = np.random.default_rng(given.seed), np.flatnonzero(graph.nodes.alive)
    return graph, [random.permutation(there)[:size] for _ in range(count)]


def read_seed_sets(path: Path, graph: SocialGraph) -> list[NDArray[np.int64]]:
    """Seed sets of a file by row.

    Raises:
        ValueError: it holds none, or what no graph or not this one has; says which set.
    """
    try:
        told = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} must be JSON with `seed_sets` (got an error: {error})") from None
    sets = told.get("seed_sets") if isinstance(told, dict) else None
    if not (isinstance(sets, list) and sets and all(isinstance(ids, list) for ids in sets)):
        raise ValueError(f"{path} must hold `seed_sets`, lists of ids, and at least one")
    rows: list[NDArray[np.int64]] = []
    for number, ids in enumerate(sets):
        try:
            rows.append(seed_rows(graph, ids))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path}, seed set {number}: {error}") from None
    return rows


def read_budgets(given: argparse.Namespace) -> list[int]:
    """Raises: ValueError, they are no numbers with commas between."""
    try:
        return [int(budget) for budget in given.budgets.split(",")]
    except ValueError:
        raise ValueError(f"`--budgets` must be whole numbers with commas between (got {given.budgets!r})") from None


def check(
    methods: Iterable[Minimizer], graph: SocialGraph, sets: Iterable[NDArray[np.int64]], budgets: Iterable[int]
) -> None:
    """Raises: InvalidBlocking, a method cannot take one of the budgets from an instance; nothing has been run then."""
    for rows, method, budget in product(sets, methods, budgets):
        method.check(Outbreak(graph, rows, method.unit, method.model), budget)


def label(specification: str) -> str:
    """What a result calls a method or surrogate: what was typed, less where its file lies."""
    return re.sub(r"path=[^\]:]*/", "path=", specification)
