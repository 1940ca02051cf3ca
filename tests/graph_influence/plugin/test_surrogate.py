"""A surrogate that learned from the graph leaves nothing of the forgotten behind: labels, parameters, files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from graph_influence import store, workspace
from graph_influence.errors import InvalidRequest
from graph_influence.labels import LabelledGraph, Labels
from graph_influence.network import Network, Plan
from graph_influence.plugin import NetworkTarget, surrogate_checks
from graph_influence.plugin.surrogate_checks import examine_surrogate
from graph_influence.snapshot import from_parquet
from graph_influence.standing_surrogate import StandingSurrogate
from graph_influence.surrogate import Surrogate, load_surrogate, surrogate
from graph_influence.surrogate_audit import SpreadErrors
from tests.graph_influence.plugin.workspaces import LEARNED, LESSONS, PLANS, built, graph, opened, people, stored
from unlearn.digests import digest
from unlearn.forget import ForgetSet
from unlearn.specification import unlearner
from unlearn.target import Batch, Version
from unlearn.workspace_target import InvalidOptions

HUB = Batch("b1", people(0))


@pytest.fixture(params=LEARNED)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def standing(network: Network) -> StandingSurrogate:
    assert network.surrogate is not None
    return network.surrogate


def simulated(labels: Labels, network: Network) -> Labels:
    return Labels.drawn(
        network.graph, labels.sets, runs=labels.runs, seed=labels.seed, model=labels.model, numbers=labels.numbers
    )


def through(target: NetworkTarget, batch: Batch, *, retrain: bool = False) -> Version:
    target.remove(batch)
    version = target.unlearn(batch, retrain=retrain)
    assert (verdict := target.verify(batch, version)).passed, [check for check in verdict.checks if not check.passed]
    target.publish(batch, version)
    assert not any(target.purge(batch).values())
    return version


def test_labels_follow_the_graph_through_files_to_the_bit_and_parameters_follow_labels(folder: Path, kind: str) -> None:
    """Also under linear threshold, where a coin is shared by all in-arcs of a person, also by those that left."""
    target, numbers = opened(folder), (0, 7, 30, 55)
    digests = {store.described(folder / "model")["digest"]}
    for number in numbers:
        before = standing(workspace.load(folder))
        version = through(target, Batch(f"b{number}", people(number)))
        published = workspace.load(folder)
        after = standing(published)
        assert np.array_equal(after.labels.counts, simulated(after.labels, published).counts)
        gone = ~published.graph.nodes.alive
        assert not after.labels.holding(gone).any() and before.labels.holding(gone).any()
        assert digest(after.problem.params) != digest(before.problem.params)
        assert after.problem.data.graph.nodes == published.graph.nodes and after.seed == before.seed
        assert version.facts["surrogate_labels_changed"] == (before.labels.counts != after.labels.counts).any(1).sum()
        digests.add(version.digest)
    assert len(digests) == 1 + len(numbers)


def test_a_rebuild_draws_everything_anew(folder: Path, kind: str) -> None:
    before = standing(workspace.load(folder))
    through(opened(folder), HUB, retrain=True)
    after = standing(workspace.load(folder))
    assert len(after.labels.sets) == LESSONS.sets and after.lessons == before.lessons == LESSONS
    assert len({after.seed, before.seed, after.labels.seed, before.labels.seed}) == 2
    assert digest(after.problem.params) != digest(before.problem.params)
    assert after.labels.counts.shape[1] == before.labels.counts.shape[1] - 1
    assert after.problem.history.removed == 0


def test_what_is_published_is_a_surrogate_like_any_other(folder: Path, kind: str) -> None:
    through(opened(folder), HUB)
    network = workspace.load(folder)
    read, problem = load_surrogate(workspace.surrogate_file(folder)), standing(network).problem
    data = problem.data
    assert torch.equal(read(*data.inputs()), problem.surrogate(*data.inputs()))
    assert problem.history.removed == LESSONS.sets  # the hub's record in every set


# ---- verification ----------------------------------------------------------------------------------------------------


def removed(kind: str, batch: Batch = HUB) -> tuple[StandingSurrogate, StandingSurrogate]:
    """The surrogate before and after people left."""
    network = built(kind)
    before = replace(standing(network))
    network.remove(ForgetSet(users=tuple(one.value for one in batch.subjects)))
    return before, standing(network)


def failed(after: StandingSurrogate | None, before: StandingSurrogate | None) -> set[str]:
    return {check.name for check in examine_surrogate(after, before) if not check.passed}


def taught(after: StandingSurrogate, counts: np.ndarray) -> StandingSurrogate:
    """The same with other labels."""
    labels = replace(after.labels, counts=counts)
    return replace(after, problem=replace(after.problem, data=replace(after.problem.data, labels=labels)))


def tampered(before: StandingSurrogate, after: StandingSurrogate) -> np.ndarray:
    counts = after.labels.counts.copy()
    counts[2, np.flatnonzero(after.problem.data.graph.nodes.alive)[5]] += 1
    return counts


def stale(before: StandingSurrogate, after: StandingSurrogate) -> np.ndarray:
    return before.labels.counts


def masked(before: StandingSurrogate, after: StandingSurrogate) -> np.ndarray:
    return np.where(after.problem.data.graph.nodes.alive, before.labels.counts, 0)


def by_other_coins(before: StandingSurrogate, after: StandingSurrogate) -> np.ndarray:
    labels = after.labels
    return Labels.drawn(
        after.problem.data.graph, labels.sets, runs=labels.runs, seed=labels.seed + 1, model=labels.model
    ).counts


@pytest.mark.parametrize("shortcut", [tampered, stale, masked, by_other_coins])
def test_labels_that_simulation_does_not_give_do_not_pass(
    kind: str, shortcut: Callable[[StandingSurrogate, StandingSurrogate], np.ndarray]
) -> None:
    before, after = removed(kind)
    assert failed(after, before) == set()
    found = failed(taught(after, shortcut(before, after)), before)
    assert "labels_not_simulated" in found and ("labels_of_the_forgotten" in found) == (shortcut is stale)


def test_a_hub_that_parameters_still_count_on_is_found_out(kind: str) -> None:
    before, after = removed(kind)
    unmoved = replace(after, problem=after.problem.with_params(before.problem.params))
    assert "surrogate_excess" in failed(unmoved, before)
    broken = {name: value * torch.nan for name, value in before.problem.params.items()}
    found = failed(replace(after, problem=after.problem.with_params(broken)), before)
    assert found >= {"surrogate_excess", "surrogate_spread"}
    assert failed(None, before) == failed(after, None) == {"surrogate_missing"}
    assert not list(examine_surrogate(None, None))


def test_a_surrogate_is_judged_by_seed_sets_and_coins_that_it_did_not_learn_from(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = removed(kind)
    asked: list[LabelledGraph] = []

    def noted(surrogate: Surrogate, data: LabelledGraph) -> SpreadErrors:
        asked.append(data)
        return SpreadErrors(np.ones(1), 1.0)

    monkeypatch.setattr(surrogate_checks.SpreadErrors, "of", noted)
    assert failed(after, before) == set()
    assert [one.graph for one in asked] == [after.problem.data.graph, before.problem.data.graph]
    for one in asked:
        learned = {tuple(rows) for rows in (*before.labels.sets, *after.labels.sets)}
        assert len(one.labels.sets) == 24 and not learned & {tuple(rows) for rows in one.labels.sets}
        assert one.labels.seed != before.labels.seed and one.labels.model == LEARNED[kind]


@pytest.mark.parametrize("method", ["no_op", "graph_drop"])
def test_a_method_that_forgets_nothing_does_not_pass(folder: Path, method: str) -> None:
    target = opened(folder, method=method)
    target.remove(HUB)
    version = target.unlearn(HUB, retrain=False)
    assert version.method == f"replay+{method}"
    verdict = target.verify(HUB, version)
    names = {check.name for check in verdict.checks if not check.passed}
    kept = {"labels_of_the_forgotten", "labels_not_simulated"} if method == "no_op" else {"surrogate_excess"}
    assert names >= kept
    assert any("parameters of the surrogate" in part for part in verdict.not_covered)


# ---- borders ---------------------------------------------------------------------------------------------------------


def test_what_cannot_be_combined_is_refused_before_any_work() -> None:
    whole, learns = graph("learned"), surrogate("gcn", depth=2, width=6)
    with pytest.raises(InvalidRequest, match=r"must be frozen .* train the surrogate on random graphs"):
        Network.build(whole, PLANS["renormalised"], surrogate=learns)
    with pytest.raises(InvalidRequest, match="of the model lt"):
        Network.build(whole, Plan(k=6, model="lt"), surrogate=learns)
    with pytest.raises(InvalidRequest, match="something to learn"):
        Network.build(whole, PLANS["learned"], surrogate=surrogate("mean_field"))
    for kind, method, told in (("frozen", "reconverge", "left out"), ("learned", "wish", "no unlearning method")):
        with pytest.raises(ValueError, match=told):
            opened(stored(kind), method=method)
    with pytest.raises(InvalidOptions, match="`method`"):
        opened(stored("learned"), method=7)


@pytest.mark.parametrize("kind", ["learned"])
@pytest.mark.parametrize("file", ["labels.safetensors", "surrogate.safetensors"])
def test_a_file_that_was_changed_is_not_loaded(folder: Path, file: str) -> None:
    path = folder / "model" / file
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{file} must exist, as it was saved"):
        workspace.load(folder)


@pytest.mark.parametrize("kind", ["learned"])
def test_what_it_learned_enters_the_digest(folder: Path, tmp_path: Path) -> None:
    network = store.load(folder / "model", from_parquet(folder / workspace.GRAPH))
    own, found = standing(network), {store.described(folder / "model")["digest"]}
    counts = own.labels.counts.copy()
    counts[0, 0] ^= 1
    params = {name: value + 1 for name, value in own.problem.params.items()}
    others = (taught(own, counts), replace(own, problem=own.problem.with_params(params)), None)
    found |= {store.save(replace(network, surrogate=one), tmp_path / str(k)) for k, one in enumerate(others)}
    assert len(found) == 4
    assert unlearner("reconverge:accuracy=0.02:max_iterations=40") == own.method
