"""`unlearn influence prepare` and `remove`: people and ties leave a workspace or a file, and what changes is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from graph_influence import workspace
from graph_influence.network import Network, Plan
from graph_influence.plugin.arrivals import Stored, write_arrived
from graph_influence.readers import read
from graph_influence.schemes import weighted_cascade
from tests.cli.acquaintances import PEOPLE, PLAN
from tests.cli.run import answer, digest, naming, refusal, unlearn
from unlearn.forget import ForgetSet


def network(ties: Path, **plan: str) -> Network:
    return Network.build(weighted_cascade(read(ties)), Plan(k=4, share=0.8, **plan), seed=3)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("semantics", ["frozen", "renormalised"])
def test_a_workspace_goes_on_as_the_library_does(ties: Path, tmp_path: Path, semantics: str) -> None:
    folder, expected = tmp_path / "network", network(ties, semantics=semantics)
    said = answer("influence", "prepare", ties, "--out", folder, *PLAN, "--semantics", semantics)
    assert tuple(said["seeds"]) == expected.standing.nodes and said["sets"] == len(expected.standing.collections)
    seed, (tail, head) = said["seeds"][0], _tie(expected, said["seeds"])
    assert naming(folder, [seed])
    # Whichever way the tie is named, it goes in the directions that there are.
    told = answer("influence", "remove", folder, "--user", seed, "--tie", f"{head},{tail}")
    ways = tuple(way for way in ((tail, head), (head, tail)) if expected.graph.arcs([way])[0] >= 0)
    upkeep = expected.remove(ForgetSet(users=(seed,), ties=ways)).seeds
    assert tuple(told["after"]["seeds"]) == expected.standing.nodes == workspace.load(folder).standing.nodes
    assert told["before"]["seeds"] == said["seeds"] and told["before"]["spread"] == said["spread"]
    assert told["after"]["spread"]["mean"] == expected.standing.spread.mean != told["before"]["spread"]["mean"]
    assert (told["seeds_lost"], told["chosen_anew"]) == (1, upkeep.chosen_anew)
    assert told["sets_redrawn"] == upkeep.selection.redrawn + upkeep.judging.redrawn > 0
    assert told["after"]["arcs"] == int(expected.graph.alive.sum()) < told["before"]["arcs"]
    assert naming(folder, [seed]) == set() and naming(folder, PEOPLE[:1])


def _tie(network: Network, but: list[str]) -> tuple[str, str]:
    """A tie between people who are no seeds."""
    graph = network.graph
    pairs = zip(graph.nodes.take(graph.source), graph.nodes.take(graph.target), strict=True)
    return next(pair for pair in pairs if not set(pair) & set(but))


def test_what_is_left_of_a_file_is_read_back(ties: Path, tmp_path: Path) -> None:
    before, out = digest(ties.parent), tmp_path / "new" / "left.csv"
    told = answer("influence", "remove", ties, "--user", PEOPLE[7], "--user", PEOPLE[8], "--out", out, *PLAN)
    expected = network(ties)
    expected.remove(ForgetSet(users=(PEOPLE[7], PEOPLE[8])))
    left, again = expected.graph, read(out)
    assert told["after"]["arcs"] == int(left.alive.sum()) == int(again.alive.sum())
    ends = zip(left.nodes.take(left.source[left.alive]), left.nodes.take(left.target[left.alive]), strict=True)
    assert np.array_equal(again.probability[again.arcs(ends)], left.probability[left.alive])
    assert tuple(told["after"]["seeds"]) == expected.standing.nodes
    assert digest(ties.parent) == before and naming(tmp_path, [PEOPLE[7]]) == {"ties.txt"}


def test_a_workspace_may_be_written_elsewhere(ties: Path, tmp_path: Path) -> None:
    folder, out = tmp_path / "network", tmp_path / "other"
    answer("influence", "prepare", ties, "--out", folder, *PLAN)
    before = digest(folder)
    answer("influence", "remove", folder, "--user", PEOPLE[7], "--out", out)
    assert digest(folder) == before and not naming(out, [PEOPLE[7]])


def test_a_tie_that_came_in_since_leaves_too(ties: Path, tmp_path: Path) -> None:
    """One way of it is in the graph and the other came in; of another one, both came in."""
    folder = tmp_path / "network"
    answer("influence", "prepare", ties, "--out", folder, *PLAN)
    graph = workspace.load(folder).graph
    pairs = zip(graph.nodes.take(graph.source), graph.nodes.take(graph.target), strict=True)
    tail, head = next((a, b) for a, b in pairs if graph.arcs([(b, a)])[0] < 0)
    one, other = next((a, b) for a in PEOPLE for b in PEOPLE if a != b and (graph.arcs([(a, b), (b, a)]) < 0).all())
    came = [(head, tail), (one, other), (other, one), (one, head)]
    frame = pd.DataFrame(came, columns=["source", "target"]).assign(probability=0.5)
    write_arrived(frame, folder)
    told = answer("influence", "remove", folder, "--tie", f"{tail},{head}")
    assert told["after"]["arcs"] == told["before"]["arcs"] - 1
    assert Stored.read(folder).ties() == came[1:]
    told = answer("influence", "remove", folder, "--tie", f"{other},{one}")
    assert told["after"]["arcs"] == told["before"]["arcs"] and told["sets_redrawn"] == 0
    assert Stored.read(folder).ties() == came[3:]
    assert "unknown" in refusal(3, "influence", "remove", folder, "--tie", f"{other},{one}")


def test_people_can_read_it(ties: Path, tmp_path: Path) -> None:
    folder = tmp_path / "network"
    shown = unlearn("influence", "prepare", ties, "--out", folder, *PLAN).stdout
    assert "Seeds, best first: " in shown and "Proven: at least 0." in shown and f"kept in {folder}" in shown
    seed = answer("influence", "remove", folder, "--user", PEOPLE[7])["after"]["seeds"][0]
    shown = unlearn("influence", "remove", folder, "--user", seed).stdout
    assert "spread of the seeds" in shown and f"without {seed}" in shown and " ms; kept in" in shown


def test_sets_that_were_all_drawn_anew_are_not_said_to_differ(tmp_path: Path) -> None:
    path, folder = tmp_path / "path.txt", tmp_path / "network"
    path.write_text("0 1\n1 2\n2 3\n", "utf-8")
    answer("influence", "prepare", path, "--out", folder, "--k", "1")
    told = answer("influence", "remove", folder, "--tie", "0,1")  # most sets hold both ends, that of root 0 does not
    assert told["rebuilt"] and told["sets_redrawn"] == told["before"]["sets"] and told["sets_changed"] is None
    shown = unlearn("influence", "remove", folder, "--tie", "1,2").stdout
    assert "drawn again" in shown and "otherwise" not in shown


def test_what_cannot_be_done_changes_nothing(ties: Path, tmp_path: Path) -> None:
    folder, wrong = tmp_path / "network", ("influence", "remove")
    answer("influence", "prepare", ties, "--out", folder, *PLAN)
    before = digest(folder)
    assert "unknown" in refusal(3, *wrong, folder, "--user", "nobody", "--tie", f"{PEOPLE[0]},nobody")
    assert "PERSON,PERSON" in refusal(2, *wrong, folder, "--tie", "a,b,c")
    assert "who or what" in refusal(2, *wrong, folder)
    assert "named alone" in refusal(2, *wrong, folder, "--user", PEOPLE[0], "--k", "3")
    assert "`out` must be a file" in refusal(2, *wrong, ties, "--user", PEOPLE[0])
    assert "`out` must be a file that can be" in refusal(2, *wrong, ties, "--user", PEOPLE[0], "--out", tmp_path)
    assert "`workspace` must be a folder" in refusal(2, *wrong, ties.parent, "--user", PEOPLE[0])
    assert "`out` must be a new folder" in refusal(2, "influence", "prepare", ties, "--out", ties.parent, *PLAN)
    assert "weighted cascade" in refusal(
        2, "influence", "prepare", ties, "--out", folder, "--semantics", "renormalised", "--scheme", "constant"
    )
    assert digest(folder) == before
    manifest = json.loads((folder / "model" / "manifest.json").read_text("utf-8"))
    manifest["format"] = 0
    (folder / "model" / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    assert "prepare it again" in refusal(2, *wrong, folder, "--user", PEOPLE[0])
