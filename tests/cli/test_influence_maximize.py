"""`unlearn influence maximize`: seeds over a file's graph, as the library selects them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graph_influence.maximize import maximize
from graph_influence.readers import read
from graph_influence.schemes import constant, weighted_cascade
from tests.cli.run import answer, refusal, unlearn


@pytest.fixture
def ties(tmp_path: Path) -> Path:
    pairs = np.random.default_rng(0).integers(60, size=(150, 2))
    path = tmp_path / "ties.txt"
    path.write_text("".join(f"x[{u}] x[{v}]\n" for u, v in pairs))
    return path


def test_seeds_are_those_of_the_library(ties: Path) -> None:
    said = answer("influence", "maximize", ties, "--k", "5", "--seed", "3", "--model", "lt", "--undirected")
    found = maximize(weighted_cascade(read(ties, undirected=True)), 5, seed=3, model="lt")
    assert (tuple(said["seeds"]), said["ratio"], said["sets"]) == (found.nodes, found.ratio, found.sets)
    assert said["spread"] == {"mean": found.spread.mean, "low": found.spread.low, "high": found.spread.high}
    assert (said["method"], said["graph"]) == ("opim", "ties.txt")
    assert said["arguments"]["k"] == 5 and said["arguments"]["seed"] == 3


def test_methods_take_their_arguments(ties: Path) -> None:
    said = answer(
        "influence", "maximize", ties, "--k", "4", "--method", "imm:eps=0.3", "--scheme", "constant:p=0.2", "--reverse"
    )
    graph = constant(read(ties, reverse=True), p=0.2)
    assert tuple(said["seeds"]) == maximize(graph, 4, "imm", eps=0.3).nodes
    assert said["arguments"]["eps"] == 0.3
    assert answer("influence", "maximize", ties, "--k", "4", "--method", "degree")["ratio"] is None


def test_people_can_read_it(ties: Path) -> None:
    shown = unlearn("influence", "maximize", ties, "--k", "3").stdout
    assert "Seeds, best first: x[" in shown
    assert "Spread: " in shown and "Proven: at least 0." in shown and "opim, " in shown
    assert "Proven" not in unlearn("influence", "maximize", ties, "--k", "3", "--method", "degree").stdout


def test_what_cannot_be_done_is_said(ties: Path) -> None:
    wrong = ("influence", "maximize", ties)
    assert "from 1 to the" in refusal(2, *wrong, "--k", "61")
    assert "there are celf, celf++, degree" in refusal(2, *wrong, "--k", "2", "--method", "greedy")
    assert "no argument of `opim`" in refusal(2, *wrong, "--k", "2", "--method", "opim:epsilon=0.1")
    said = refusal(2, *wrong, "--k", "0", "--method", "opim:eps=2", "--model", "lt", "--scheme", "constant:p=0.9")
    assert "`k`" in said and "`eps`" in said and "at most 1" in said
