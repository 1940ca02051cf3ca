"""`unlearn influence prepare --surrogate`: one that learns from the graph is kept, used and removed from with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graph_influence import workspace
from graph_influence.network import Network, Plan
from graph_influence.readers import read
from graph_influence.schemes import weighted_cascade
from graph_influence.standing_surrogate import Lessons
from graph_influence.surrogate import surrogate
from tests.cli.acquaintances import PEOPLE, PLAN
from tests.cli.run import answer, digest, naming, refusal, unlearn
from unlearn.digests import digest as content
from unlearn.forget import ForgetSet

KIND = "gcn:depth=2:width=4"
LEARN = ("--surrogate", KIND, "--seed-sets", "5", "--runs", "100", "--epochs", "30")


def library(path: Path) -> Network:
    kind = surrogate("gcn", depth=2, width=4)
    lessons = Lessons(sets=5, runs=100, epochs=30)
    return Network.build(weighted_cascade(read(path)), Plan(k=4, share=0.8), surrogate=kind, lessons=lessons, seed=3)


def test_it_learns_and_forgets_as_the_library_does(ties: Path, tmp_path: Path) -> None:
    folder, expected = tmp_path / "network", library(ties)
    said = answer("influence", "prepare", ties, "--out", folder, *PLAN, *LEARN)["surrogate"]
    assert (said["surrogate"], said["sets"], said["runs"], said["epochs"]) == ("gcn", 5, 100, 30)
    assert said["arguments"]["width"] == 4 and said["path"] == str(workspace.surrogate_file(folder))
    before = workspace.load(folder)
    own, seed = before.surrogate, str(before.standing.nodes[0])
    assert own is not None and expected.surrogate is not None and naming(folder, [seed])
    assert content(own.problem.params) == content(expected.surrogate.problem.params)
    tail, head = _tie(expected, seed)
    told = answer("influence", "remove", folder, "--user", seed, "--tie", f"{tail},{head}")["surrogate"]
    ways = tuple(way for way in ((tail, head), (head, tail)) if expected.graph.arcs([way])[0] >= 0)
    removed = expected.remove(ForgetSet(users=(seed,), ties=ways)).surrogate
    assert removed is not None and told["method"] == "reconverge"
    assert told["labels_changed"] == removed.labels_changed > 0
    after = workspace.load(folder).surrogate
    assert after is not None and np.array_equal(after.labels.counts, expected.surrogate.labels.counts)
    assert content(after.problem.params) == content(expected.surrogate.problem.params) != content(own.problem.params)
    assert naming(folder, [seed]) == set()


def _tie(network: Network, but: str) -> tuple[str, str]:
    """A tie between people who stay."""
    graph = network.graph
    tails, heads = (map(str, graph.nodes.take(side)) for side in (graph.source, graph.target))
    return next(pair for pair in zip(tails, heads, strict=True) if but not in pair)


def test_estimate_and_minimize_read_it_where_it_lies(ties: Path, tmp_path: Path) -> None:
    folder = tmp_path / "network"
    shown = unlearn("influence", "prepare", ties, "--out", folder, *PLAN, *LEARN).stdout
    named = next(part for part in shown.split() if part.startswith("gcn:path="))
    said = answer("influence", "estimate", ties, "--seeds", PEOPLE[3], "--surrogate", named, "--runs", "50")
    assert np.isfinite(said["surrogates"][named])
    cut = answer(
        "influence", "minimize", ties, "--seeds", PEOPLE[3], "--budget", "1", "--method", "diffim_plus_plus",
        "--surrogate", named, "--runs", "50",
    )  # fmt: skip
    assert len(cut["arcs_removed"]) == 1
    shown = unlearn("influence", "remove", folder, "--user", PEOPLE[3]).stdout
    assert "Surrogate: by reconverge, " in shown and "approximately" in shown
    assert answer("influence", "prepare", ties, "--out", tmp_path / "other", *PLAN)["surrogate"] is None


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (("--surrogate", "mean_field"), "something to learn"),
        (("--surrogate", "gcn:path=some.safetensors"), "must be trained on this graph"),
        (("--surrogate", "wish"), "is no surrogate"),
        (("--runs", "5"), "`surrogate` must be named"),
        (("--surrogate", KIND, "--semantics", "renormalised"), "must be frozen"),
    ],
)
def test_what_cannot_learn_is_refused_and_nothing_is_written(
    ties: Path, tmp_path: Path, asked: tuple[str, ...], message: str
) -> None:
    before = digest(tmp_path)
    assert message in refusal(2, "influence", "prepare", ties, "--out", tmp_path / "network", *PLAN, *asked)
    assert digest(tmp_path) == before
