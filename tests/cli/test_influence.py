"""`unlearn influence`: how far activity spreads over a file's graph."""

from __future__ import annotations

from pathlib import Path

import pytest

from graph_influence.diffusion import diffusion
from graph_influence.readers import read
from graph_influence.schemes import constant, weighted_cascade
from tests.cli.run import answer, refusal, unlearn

RUNS = ("--runs", "500", "--seed", "4")


@pytest.fixture
def ties(tmp_path: Path) -> Path:
    path = tmp_path / "ties.txt"
    path.write_text("# who trusts whom\na b\nb c\nc a\na d\nd c\ne a\nx[b] e\n")
    return path


def test_simulation_is_that_of_the_library(ties: Path) -> None:
    said = answer("influence", "simulate", ties, "--seeds", "a, e", *RUNS, "--model", "lt", "--undirected")
    graph = weighted_cascade(read(ties, undirected=True))
    found = diffusion("lt", graph, runs=500, seed=4).simulate(["a", "e"])
    assert said["spread"]["mean"] == found.spread.mean
    assert (said["spread"]["low"], said["spread"]["high"]) == found.spread.interval()
    assert [step["mean"] for step in said["trajectory"]] == found.trajectory()[0].tolist()
    assert (said["graph"], said["nodes"], said["arcs"]) == ("ties.txt", 6, 14)
    chances = dict(zip(graph.nodes.take(range(6)), found.activation_probability.tolist(), strict=True))
    assert {row["node"]: row["probability"] for row in said["likeliest"]} == {
        node: chance for node, chance in chances.items() if node not in ("a", "e")
    }


def test_direction_scheme_and_probabilities_are_options(ties: Path, tmp_path: Path) -> None:
    said = answer("influence", "simulate", ties, "--seeds", "e", *RUNS, "--scheme", "constant:p=0.3", "--reverse")
    graph = constant(read(ties, reverse=True), p=0.3)
    assert said["spread"]["mean"] == diffusion("ic", graph, runs=500, seed=4).simulate(["e"]).spread.mean
    weighted = tmp_path / "weighted.csv"
    weighted.write_text("source,target,p\n1,2,1\n2,3,0\n2,4,1\n")
    said = answer("influence", "simulate", weighted, "--seeds", "1", "--scheme", "given", "--runs", "20")
    assert (said["spread"]["mean"], said["spread"]["standard_error"], said["seeds"]) == (3, 0, [1])


def test_people_can_read_it(ties: Path) -> None:
    shown = unlearn("influence", "simulate", ties, "--seeds", "a", "--seeds", "e", *RUNS).stdout
    assert "6 nodes, 7 arcs" in shown
    assert "Spread of 2 seeds" in shown
    assert "x[b]" not in shown  # nobody activates it
    assert "x[b]" in unlearn("influence", "simulate", ties, "--seeds", "e", "--undirected", *RUNS).stdout


@pytest.mark.parametrize(
    "asked",
    [
        ("simulate", "--seeds", "1", "--runs", "20"),
        ("estimate", "--seeds", "1", "--runs", "20"),
        ("maximize", "--k", "1", "--method", "degree"),
        ("minimize", "--seeds", "1", "--budget", "1", "--runs", "20"),
        ("prepare", "--k", "1"),
    ],
    ids=lambda asked: asked[0],
)
def test_whose_probabilities_were_taken_is_said(asked: tuple[str, ...], tmp_path: Path) -> None:
    """Those that a file holds are not, unless asked for: nothing but the figures told."""
    command, *options = asked
    weighted = tmp_path / "weighted.csv"
    weighted.write_text("source,target,weight\n1,2,1\n2,3,0.5\n2,4,1\n3,4,0.5\n")
    out = ("--out", tmp_path / "network") if command == "prepare" else ()
    for scheme, chosen in (("weighted_cascade", ()), ("given", ("--scheme", "given"))):
        shown = unlearn("influence", command, weighted, *options, *chosen, *out)
        assert shown.stdout.startswith(f"weighted.csv: 4 nodes, 4 arcs, probabilities: {scheme}\n")


def test_what_cannot_be_done_is_said(ties: Path, tmp_path: Path) -> None:
    simulate = ("influence", "simulate", ties, "--seeds")
    assert "'z'" in refusal(3, *simulate, "a,z")
    assert "named again: 'a'" in refusal(2, *simulate, "a,a")
    assert "weighted_cascade, constant" in refusal(2, *simulate, "a", "--scheme", "uniform")
    assert "no argument of `constant`" in refusal(2, *simulate, "a", "--scheme", "constant:q=1")
    assert "one of ic, lt" in refusal(2, *simulate, "a", "--model", "sir")
    assert "at most 1" in refusal(2, *simulate, "a", "--model", "lt", "--scheme", "constant:p=0.9")
    assert "file that exists" in refusal(2, "influence", "simulate", tmp_path / "no.txt", "--seeds", "a")
    (tmp_path / "bad.txt").write_text("1 2 0.5\n2 3 7\n3\n")
    said = refusal(2, "influence", "simulate", tmp_path / "bad.txt", "--seeds", "1", "--scheme", "given")
    assert "line 2" in said
    assert "line 3" in said
