"""`unlearn influence`: estimates beside each other, and ties that are found, judged and compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from graph_influence.graph import SocialGraph
from tests.cli.run import answer, refusal, unlearn
from tests.oracles.cascades import worlds

# A rumour of a goes to b for sure, who tells c and d; two sure ways lead to g; x and y talk to each other.
LINES = ("a b 1", "b c 0.5", "b d 0.5", "a e 1", "a f 1", "e g 1", "f g 1", "x y 0.9", "y x 0.9")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graphs") / "rumour.txt"
    path.write_text("\n".join(["from to probability", *LINES]) + "\n", "utf-8")
    return path


def test_a_simulation_and_the_surrogates_agree_where_they_are_exact(network):
    said = answer("influence", "estimate", network, "--scheme", "given", "--seeds", "a", "--runs", "4000")
    assert (said["nodes"], said["arcs"], said["seeds"], said["runs"]) == (9, 9, ["a"], 4000)
    assert said["spread"]["low"] < 6.0 < said["spread"]["high"]
    assert abs(said["spread"]["mean"] - 6.0) < 4 * said["spread"]["standard_error"]
    assert said["surrogates"] == {name: pytest.approx(6.0, abs=1e-6) for name in ("non_backtracking", "mean_field")}
    assert said["criticality"] < 1
    told = unlearn("influence", "estimate", network, "--scheme", "given", "--seeds", "a")
    assert told.exit_code == 0 and "nodes of 9" in told.stdout and "non_backtracking" in told.stdout


def test_what_takes_off_is_told(tmp_path):
    path = tmp_path / "clique.txt"
    path.write_text("".join(f"{u} {v}\n" for u in range(6) for v in range(u)), "utf-8")
    options = (path, "--undirected", "--scheme", "constant:p=0.1")
    said = answer("influence", "estimate", *options, "--seeds", "0,3", "--model", "ic")
    assert said["criticality"] == pytest.approx(0.4, rel=0.01)  # 5 neighbours, less the one it comes from, times 0.1
    dense = (path, "--undirected", "--scheme", "constant:p=1")
    assert "factor of 4.00 a step" in unlearn("influence", "estimate", *dense, "--seeds", "0").stdout
    found = answer("influence", "minimize", *dense, "--seeds", "0", "--budget", "1", "--method", "diffim_plus_plus")
    assert len(found["warnings"]) == 1 and "factor of 4 a step" in found["warnings"][0]


def test_the_best_ties_are_found_judged_and_compared(network):
    options = ("influence", "minimize", network, "--scheme", "given", "--seeds", "a", "--budget", "2", "--runs", "4000")
    said = answer(*options)
    assert said["method"] == "auto" and said["arguments"]["budget"] == 2
    ids = list("abcdefgxy")
    ends = np.array([[ids.index(node) for node in line.split()[:2]] for line in LINES])
    p = [float(line.split()[2]) for line in LINES]
    graph = SocialGraph.from_arcs(*ends.T, p, nodes=9)
    left = graph.without_rows(
        np.array([], dtype=np.int64), graph.arcs([(ids.index(u), ids.index(v)) for u, v in said["arcs_removed"]])
    )
    exact = (6.0 - worlds(left, "ic").spread([0])) / 5.0
    assert abs(said["reduced_ratio"] - exact) < 4 * said["standard_error"] + 1e-12
    assert exact == pytest.approx(3.0 / 5.0)
    assert (said["nodes"], said["arcs"], said["nodes_blocked"]) == (9, 9, [])  # the graph's size, and the choice
    assert said["before"]["runs"] == said["after"]["runs"] == 4_000
    assert said["beside"].keys() == {"seed_adjacent", "random"}
    assert said["beside"]["random"]["reduced_ratio"] < said["reduced_ratio"]
    assert said["optimality"] is None
    told = unlearn(*options).stdout
    assert "seed_adjacent" in told and "a -> b" in told and "any other choice" not in told


def test_what_no_choice_can_beat_is_proven(network):
    options = ("influence", "minimize", network, "--scheme", "given", "--seeds", "a", "--budget", "2", "--runs", "4000")
    bound = answer(*options, "--prove")["optimality"]
    # The best is a -> b and one of the two ways to g: 3 of 5. Shares cut half of both ways, which saves half of
    # g beside half of e and f: the bound is 3.5 of 5.
    assert bound["reduced_ratio_at_most"]["mean"] == pytest.approx(3.5 / 5, abs=0.01)
    assert bound["least"]["mean"] == pytest.approx(2.5, abs=0.02)
    assert bound["gap"]["mean"] == pytest.approx(0.5, abs=0.01)
    told = unlearn(*options, "--prove").stdout
    assert "any other choice" in told and "at most 70" in told


def test_people_are_blocked_and_methods_take_arguments(network):
    said = answer(
        "influence", "minimize", network, "--scheme", "given", "--seeds", "a", "--budget", "1", "--unit", "nodes",
        "--method", "advanced_greedy:samples=500",
    )  # fmt: skip
    assert (said["nodes_blocked"], said["arcs_removed"], said["arguments"]["samples"]) == (["b"], [], 500)
    assert said["reduced_ratio"] == pytest.approx(2 / 5, abs=0.02)
    said = answer(
        "influence", "minimize", network, "--seeds", "x", "--budget", "1", "--method", "diffim",
        "--surrogate", "mean_field:rounds=3", "--model", "lt", "--scheme", "weighted_cascade",
    )  # fmt: skip
    assert said["arcs_removed"] == [["x", "y"]] and said["arguments"]["surrogate"] == "MeanField(rounds=3, model='lt')"


def test_bad_input_is_told_in_one_go(network, tmp_path):
    options = ("influence", "minimize", network, "--scheme", "given")
    assert "nobody" in refusal(3, *options, "--seeds", "a,nobody", "--budget", "1")
    assert "`budget` must be from 1 to the 9 arcs" in refusal(2, *options, "--seeds", "a", "--budget", "10")
    assert "is no method of containing a rumour; there are" in refusal(
        2, *options, "--seeds", "a", "--budget", "1", "--method", "tea"
    )
    told = refusal(2, *options, "--seeds", "a", "--budget", "1", "--method", "random", "--surrogate", "mean_field")
    assert "`surrogate` must be left out for `random`" in told
    assert "one of ic, lt" in refusal(2, *options, "--seeds", "a", "--budget", "1", "--model", "sir")
    assert "must be a file that exists" in refusal(2, "influence", "estimate", tmp_path / "no", "--seeds", "1")


def test_ids_are_numbers_where_the_graph_has_numbers(tmp_path):
    path = tmp_path / "numbers.txt"
    path.write_text("1 2 1\n2 3 1\n", "utf-8")
    said = json.loads(unlearn("influence", "estimate", path, "--scheme", "given", "--seeds", "1", "--json").stdout)
    assert said["spread"]["mean"] == 3


def test_a_surrogate_is_trained_stored_and_read(network, tmp_path):
    out = tmp_path / "hybrid.safetensors"
    said = answer("influence", "train-surrogate", "hybrid:units=2", "--out", out, "--graphs", "2", "--epochs", "1")
    assert said["surrogate"] == "hybrid" and said["arguments"]["units"] == 2 and said["regime"]["graphs"] == 2
    assert len(said["validation"]) == 2 and str(tmp_path) not in json.dumps(said)
    named = f"hybrid:path={out}"
    given = (network, "--scheme", "given", "--seeds", "a")
    found = answer("influence", "estimate", *given, "--surrogate", named, "--surrogate", "mean_field")
    assert list(found["surrogates"]) == [named, "mean_field"] and 4.0 < found["surrogates"][named] <= 6.0
    bracketed = f"hybrid:path=[{out}]"
    shown = unlearn("influence", "estimate", *given, "--surrogate", bracketed).stdout
    assert f"by {bracketed}" in shown.replace("\n", "")
    inside = f"diffim_plus_plus:surrogate=[{named}]"
    choices = [
        answer("influence", "minimize", *given, "--budget", "2", *flags)["arcs_removed"]
        for flags in (("--method", inside), ("--method", "diffim_plus_plus", "--surrogate", named))
    ]
    assert choices[0] == choices[1]
    told = unlearn("influence", "train-surrogate", "capped:steps=1", "--out", out, "--graphs", "1", "--epochs", "1")
    assert told.exit_code == 0 and "Loss on validation" in told.stdout
    assert "must hold a surrogate `hybrid` of the model ic (got capped of ic)" in refusal(
        2, "influence", "estimate", *given, "--surrogate", named
    )
    for name in ("gcn", "hybrid:units=2"):
        kind = name.partition(":")[0]
        inside = ("--method", f"diffim_plus_plus:surrogate=[{name}]")
        for flags in (("--method", "diffim_plus_plus", "--surrogate", name), inside):
            assert f"`{kind}` must have learned" in refusal(2, "influence", "minimize", *given, "--budget", "2", *flags)
        assert f"name it as {kind}:path=FILE" in refusal(2, "influence", "estimate", *given, "--surrogate", name)
    assert "has nothing to learn" in refusal(2, "influence", "train-surrogate", "mean_field", "--out", out)
