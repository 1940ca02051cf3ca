"""What the social graph adds to the contract: exactness through files, verification that bites, serving, new ties."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from graph_influence import workspace
from graph_influence.errors import InvalidGraph, InvalidRequest, InvalidSeeds
from graph_influence.graph import SocialGraph
from graph_influence.maximize.coverage import greedy
from graph_influence.network import Network, Plan
from graph_influence.plugin import NetworkTarget, Serving, sealed, target
from graph_influence.plugin.arrivals import Stored
from graph_influence.plugin.verification import _differ, _held, examine
from graph_influence.rrsets import RRSets
from graph_influence.rrsets.in_arcs import InArcs
from graph_influence.rrsets.rows import Rows
from graph_influence.snapshot import from_parquet
from tests.graph_influence.maximize.graphs import social
from tests.graph_influence.plugin.workspaces import KEY, KIND, LEARNED, PLANS, built, graph, opened, people, stored
from tests.graph_influence.rrsets.rows import same_rows
from unlearn.digests import digest
from unlearn.forget import ForgetSet, UnknownIds
from unlearn.staging import Sealed
from unlearn.target import Batch, Pseudonyms, StaleVersion, Subject, Verdict
from unlearn.vocabulary import Vocabulary
from unlearn.workspace_target import InvalidOptions

BATCHES = (Batch("b1", people(0, 7)), Batch("b2", people(30)), Batch("b3", people(3, 55)))


@pytest.fixture(params=PLANS)
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


def users(batch: Batch) -> ForgetSet:
    return ForgetSet(users=tuple(one.value for one in batch.subjects))


def through(network: NetworkTarget, batch: Batch, *, retrain: bool = False) -> Verdict:
    network.remove(batch)
    version = network.unlearn(batch, retrain=retrain)
    verdict = network.verify(batch, version)
    network.publish(batch, version)
    network.purge(batch)
    return verdict


def same(one: Network, other: Network) -> bool:
    pairs = zip(
        *((n.standing.collections.selection, n.standing.collections.judging) for n in (one, other)), strict=True
    )
    return one.standing.nodes == other.standing.nodes and all(same_rows(a.members, b.members) for a, b in pairs)


def failed(verdict: Verdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}


def test_batch_after_batch_it_is_what_it_would_be_without_files_and_seals(folder: Path, kind: str) -> None:
    """Set by set: the coins are those of before, through graphs that are stored without whoever left."""
    network = built(kind)
    for batch in BATCHES:
        network.remove(users(batch))
        verdict = through(opened(folder), batch)
        assert verdict.passed and verdict.not_covered
        published = workspace.load(folder)
        assert same(published, network)
        assert (published.standing.ratio, published.standing.looks) == (network.standing.ratio, network.standing.looks)
        assert np.array_equal(published.graph.probability, network.graph.probability)
        assert (published.surrogate is None) == (network.surrogate is None)
        if published.surrogate is not None and network.surrogate is not None:
            assert digest(published.surrogate.labels) == digest(network.surrogate.labels)
            assert digest(published.surrogate.problem.params) == digest(network.surrogate.problem.params)


@pytest.mark.parametrize("kind", ["learned"])
@pytest.mark.parametrize(
    "where", ["maximize.judged.Collections.evidence", "standing_surrogate.StandingSurrogate.remove"]
)
def test_a_removal_that_is_interrupted_did_not_happen(kind: str, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network, untouched, expected = built(kind), built(kind), built(kind)
    expected.remove(users(BATCHES[0]))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"graph_influence.{where}", interrupted)
        with pytest.raises(KeyboardInterrupt):
            network.remove(users(BATCHES[0]))
    assert same(network, untouched) and network.graph.nodes == untouched.graph.nodes
    network.remove(users(BATCHES[0]))
    assert same(network, expected) and network.graph.nodes == expected.graph.nodes
    assert network.surrogate is not None and expected.surrogate is not None
    assert digest(network.surrogate.labels) == digest(expected.surrogate.labels)
    assert digest(network.surrogate.problem.params) == digest(expected.surrogate.problem.params)


def test_what_left_is_in_no_array_of_the_graph(folder: Path, kind: str) -> None:
    before = from_parquet(folder / workspace.GRAPH)
    gone = before.nodes.rows([one.value for one in BATCHES[0].subjects])
    through(opened(folder), BATCHES[0])
    after = from_parquet(folder / workspace.GRAPH)
    assert not np.isin(after.source[~np.isin(after.target, gone)], gone).any()
    assert (after.source[~after.alive] == after.target[~after.alive]).all()
    assert (after.probability[~after.alive] == 0).all() and not after.nodes.alive[gone].any()
    rebuilt = opened(folder)
    through(rebuilt, BATCHES[1], retrain=True)
    compact = from_parquet(folder / workspace.GRAPH)
    assert compact.alive.all() and compact.nodes.alive.all() and len(compact.nodes) == len(before.nodes) - 3


def test_what_is_sealed_is_put_back_exactly(kind: str) -> None:
    whole, plan = graph(kind), PLANS[kind]
    network, left = Network.build(whole, plan), whole
    contents: list[Sealed] = []
    for batch in BATCHES:
        contents.append(sealed.packed(left, [one.value for one in batch.subjects], 0, since="abc"))
        left = network.left(left, users(batch))
    blank = replace(left, source=np.where(left.alive, left.source, left.target))
    again = sealed.put_back(blank, contents, plan.semantics)
    assert again.nodes == whole.nodes and again.alive.all()
    assert np.array_equal(again.source, whole.source) and np.array_equal(again.probability, whole.probability)
    assert sum(content.counts["ties"] for content in contents) == int((~left.alive).sum())


def test_around_the_forgotten_are_those_of_their_ties_either_way_and_none_of_them() -> None:
    whole = SocialGraph.from_arcs([0, 1, 2, 3, 5], [1, 2, 3, 4, 1], nodes=Vocabulary(list("abcdef")))
    first = sealed.packed(whole, ["b"], 0, since="abc")
    second = sealed.packed(whole.without(ForgetSet(users=("b",))), ["d", "f"], 0, since="abc")
    assert sealed.others([first]).tolist() == [0, 2, 5]
    assert sealed.others([first, second]).tolist() == [0, 2, 4]
    assert sealed.others([]).tolist() == []


@pytest.mark.parametrize("kind", ["frozen"])
def test_a_rebuild_tosses_coins_that_nobody_has_seen(kind: str) -> None:
    """Of the same graph, by the old coins it would be the old sets."""
    network = built(kind)
    once = network.rebuilt(ForgetSet())
    twice = once.rebuilt(ForgetSet())
    assert once.graph.num_alive == network.graph.num_alive
    assert not same(once, network) and not same(twice, once) and not same(twice, network)


# ---- verification ----------------------------------------------------------------------------------------------------

WIDE = Plan(k=6, share=0.93)  # sets enough to see a bias of ten percent by


def rebuilt_sets(sets: RRSets, changed: dict[int, np.ndarray]) -> RRSets:
    """The store with some sets put in the place of its own."""
    members = [changed.get(number, sets.members[number]) for number in range(len(sets))]
    length = np.array([len(one) for one in members], dtype=np.int32)
    rows = Rows.empty().extended(length, [np.concatenate(members).astype(np.int32)])
    return RRSets.resumed(sets.graph, sets.arcs, sets.seed, rows)


def masked(sets: RRSets, row: int) -> dict[int, np.ndarray]:
    """Take the person out of the sets, and leave what they had brought along."""
    touched = {int(number): sets.members[int(number)] for number in sets.sets[row]}
    return {number: held[held != row] for number, held in touched.items() if len(held) > 1}


def redrawn(sets: RRSets, row: int, after: SocialGraph) -> dict[int, np.ndarray]:
    """Throw the touched sets away and draw as many others, from any root."""
    fresh = RRSets(after, seed=99)
    numbers = sets.sets[row]
    fresh.grow(len(numbers))
    return {int(number): fresh.members[k] for k, number in enumerate(numbers)}


NOTHING = pd.DataFrame({"source": [], "target": [], "probability": []})


@pytest.mark.parametrize("shortcut", ["masked", "redrawn"])
def test_shortcuts_do_not_pass(shortcut: str) -> None:
    """Sets without the person's name, and yet of another distribution."""
    whole, row = graph("frozen"), 0
    forget = ForgetSet(users=tuple(whole.nodes.take([row])))
    network, content = Network.build(whole, WIDE, seed=1), sealed.packed(whole, forget.users, 0, since="abc")
    left = network.left(whole, forget)
    pair = network.standing.collections
    biased = [
        rebuilt_sets(sets, masked(sets, row) if shortcut == "masked" else redrawn(sets, row, left))
        for sets in (pair.selection, pair.judging)
    ]
    network.remove(forget)
    assert examine(network, Stored(left, NOTHING), [content]).passed
    pair = network.standing.collections  # others, where seeds were chosen anew
    for now, sets in zip((pair.selection, pair.judging), biased, strict=True):
        now.members, now._sets = sets.members, None
    network.standing.selected = greedy(pair.selection, 6, np.flatnonzero(left.nodes.alive).astype(np.int32))
    assert failed(examine(network, Stored(left, NOTHING), [content])) >= {"not_replayed", "spread_around"}


def test_sets_that_their_coins_give_over_other_places_than_those_of_the_graph_do_not_pass() -> None:
    whole = graph("frozen")
    network, half = (
        Network.build(whole, WIDE, seed=1),
        InArcs.of(replace(whole, probability=whole.probability / 2), "ic"),
    )
    pair = network.standing.collections
    for sets in (pair.selection, pair.judging):
        other = RRSets.resumed(whole, half, sets.seed, Rows.empty())
        other.grow(len(sets))
        sets.arcs, sets.members, sets._sets = half, other.members, None
    network.standing.selected = greedy(pair.selection, 6, np.arange(whole.num_nodes, dtype=np.int32))
    names = failed(examine(network, Stored(whole, NOTHING), []))
    assert names >= {"seed_spread", "set_size"} and "not_replayed" not in names


def test_a_version_over_another_graph_or_without_its_seeds_does_not_pass() -> None:
    whole = graph("frozen")
    network = Network.build(whole, PLANS["frozen"])
    assert examine(network, Stored(whole, NOTHING), []).passed
    left = network.left(whole, users(BATCHES[0]))
    assert failed(examine(network, Stored(left, NOTHING), [])) == {"forgotten_ids", "removed_ties"}
    arc = np.array([5])
    fewer = whole.without_rows(np.empty(0, np.int64), arc)
    assert failed(examine(network, Stored(fewer, NOTHING), [])) == {"removed_ties"}
    cut = Network.build(fewer, PLANS["frozen"])
    assert failed(examine(cut, Stored(whole, NOTHING), [])) == {"lost_ties"}
    half = replace(whole, probability=whole.probability / 2)
    assert failed(examine(network, Stored(half, NOTHING), [])) == {"other_probabilities"}
    network.standing.selected.rows[:] = network.standing.selected.rows[0]
    assert failed(examine(network, Stored(whole, NOTHING), [])) >= {"missing_seeds", "proven_ratio"}


@pytest.mark.parametrize("which", ["selection", "judging"])
def test_sets_are_judged_by_coins_that_had_no_part_in_them(which: str) -> None:
    """Fresh sets by the coins of either collection would be its own, whose difference is known beforehand."""
    whole = graph("frozen")
    network = Network.build(whole, PLANS["frozen"])
    pair = network.standing.collections
    again = RRSets(whole, seed=getattr(pair, which).seed)
    again.grow(len(pair))
    seeds = np.isin(np.arange(whole.num_nodes), network.standing.selected.rows)
    known = _differ("seed_spread", *(1.0 * (_held(sets, seeds) > 0) for sets in (pair.judging, again))).value

    def found() -> float:
        verdict = examine(network, Stored(whole, NOTHING), [])
        return next(check.value for check in verdict.checks if check.name == "seed_spread")

    first = found()
    network.standing.looks += 1
    assert len({known, first, found()}) == 3  # and each look at a network has coins of its own


@pytest.mark.parametrize("kind", ["frozen"])
def test_a_version_that_another_has_overtaken_brings_nobody_back(folder: Path, kind: str) -> None:
    network = opened(folder)
    first, second = BATCHES[:2]
    network.remove(first)
    old = network.unlearn(first, retrain=False)
    network.remove(second)
    network.publish(second, network.unlearn(second, retrain=False))
    with pytest.raises(StaleVersion, match="another version was published"):
        network.publish(first, old)
    assert not any(one.value in workspace.load(folder).graph.nodes for one in second.subjects)
    again = network.unlearn(first, retrain=False)
    assert again.replaces != old.replaces and again.facts["people_removed"] == 0
    network.publish(first, again)
    assert not any(network.purge(first).values())


# ---- serving and taking in -------------------------------------------------------------------------------------------


def test_it_serves_the_published_version_and_nothing_about_the_blocked(folder: Path, kind: str) -> None:
    network = opened(folder)
    serving = Serving(network)
    seeds = serving.seeds()
    gone, other = seeds[0], seeds[1]
    batch = Batch("b1", (Subject(KIND, str(gone)),))
    before = serving.spread([other])
    assert before == Network.build(graph(kind), PLANS[kind], seed=3).standing.collections.judging.spread(
        graph(kind).nodes.rows([other])
    )
    network.suppress(batch.subjects)
    assert serving.seeds() == seeds[1:] and serving.spread([other, gone]) is None
    network.remove(batch)
    assert serving.spread([other]) == before  # what is not verified does not serve
    network.publish(batch, network.unlearn(batch, retrain=False))
    network.purge(batch)
    assert gone not in serving.seeds() and len(serving.seeds()) == len(seeds)
    assert serving.spread([other]) != before
    with pytest.raises(UnknownIds):
        serving.spread(["nobody"])
    with pytest.raises(InvalidSeeds, match="must be a collection of ids"):
        serving.spread("ab")


@pytest.mark.parametrize("kind", ["frozen"])
def test_a_suppression_that_comes_while_it_answers_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = opened(folder)
    serving = Serving(network)
    (first, second, *_), latest = serving.seeds(), serving._latest

    def interrupted() -> Network:
        version = latest()
        network.suppress((Subject(KIND, str(first)),))
        return version

    monkeypatch.setattr(serving, "_latest", interrupted)
    assert serving.spread([second, first]) is None and serving.spread([second]) is not None


@pytest.mark.parametrize("kind", ["frozen", "renormalised", "learned"])
def test_new_ties_wait_for_a_rebuild_but_of_nobody_blocked(folder: Path, kind: str) -> None:
    network, before = opened(folder), graph(kind)
    blocked, gone, one, two = (subject.value for subject in people(7, 30, 55, 90))
    network.suppress([Subject(KIND, blocked)])
    new = pd.DataFrame(
        {"source": [blocked, one, one, one, gone], "target": [one, two, "new", one, two], "probability": [0.5] * 5}
    )
    if kind == "renormalised":
        del new["probability"]
    taken = network.take_in(new)
    assert (taken.stored, taken.refused, taken.unknown) == (2, 1, 1)
    assert network.take_in(new).stored == 0
    with pytest.raises(InvalidGraph, match="target"):
        network.take_in(new[["source"]])
    batch = Batch("b1", people(30))
    removal = network.remove(batch)
    assert removal.counts["ties"] == int((~network.data().graph.alive).sum()) + 1
    network.publish(batch, network.unlearn(batch, retrain=False))
    network.purge(batch)
    assert len(network.data().arrived) == 1 and (network.data().graph.arcs([(one, two)]) < 0).all()
    assert through(network, Batch("b2", people(20)), retrain=True).passed
    after = network.data()
    arc = after.graph.arcs([(one, two)])[0]
    assert after.arrived.empty and arc >= 0
    expected = 0.5 if kind != "renormalised" else 1 / after.graph.in_degree()[after.graph.nodes.rows([two])[0]]
    assert after.graph.probability[arc] == expected
    learned = workspace.load(folder).surrogate
    assert learned is None or learned.problem.data.graph.alive[arc]
    assert int(after.graph.alive.sum()) == int(before.without(ForgetSet(users=tuple(
        one.value for one in people(30, 20)))).alive.sum()) + 1  # fmt: skip


@pytest.mark.parametrize("kind", ["frozen"])
def test_twice_as_many_new_ties_take_no_more_lookups(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, rows, asked = opened(folder), Vocabulary.rows, list[int]()

    def counted(vocabulary: Vocabulary, ids: Any, **how: Any) -> Any:
        asked.append(1)
        return rows(vocabulary, ids, **how)

    monkeypatch.setattr(Vocabulary, "rows", counted)
    names, looked_up = graph("frozen").nodes.ids, list[int]()
    for many in (30, 60):
        asked.clear()
        ties = {"source": names[:many], "target": names[many : 2 * many], "probability": [0.1] * many}
        assert network.take_in(pd.DataFrame(ties)).stored > 0
        looked_up.append(len(asked))
    assert looked_up[0] == looked_up[1]


def test_a_tie_that_is_there_already_stays_as_it_is() -> None:
    network = built("frozen")
    before = network.graph
    (tail, head), new = before.nodes.take([before.source[5], before.target[5]]), before.nodes.take([119, 0])
    assert before.probability[5] != 0.25 and before.arcs([(new[0], new[1])])[0] < 0
    more = pd.DataFrame({"source": [tail, new[0]], "target": [head, new[1]], "probability": [0.25, 0.25]})
    after = network.rebuilt(ForgetSet(), more).graph
    there, came = after.arcs([(tail, head), (new[0], new[1])])
    assert after.probability[there] == before.probability[5] and after.probability[came] == 0.25
    assert after.num_arcs == before.num_arcs + 1


@pytest.mark.parametrize("kind", ["frozen", "renormalised"])
def test_a_probability_that_is_none_is_refused_where_there_must_be_one(folder: Path, kind: str) -> None:
    network, (one, two, three) = opened(folder), (subject.value for subject in people(55, 90, 3))
    new = pd.DataFrame({"source": [one, one], "target": [two, three], "probability": [0.5, "much"]})
    if kind == "frozen":
        with pytest.raises(InvalidGraph, match=r"numbers from 0 to 1 \(1 bad, row 1\)"):
            network.take_in(new)
        assert network.data().arrived.empty
        return
    assert network.take_in(new).stored == 2  # they will be those of weighted cascade
    more = pd.DataFrame({"source": [two, three], "target": [one, two], "probability": [1, None]})
    assert network.take_in(more).stored == 2
    assert network.data().arrived["probability"].isna().all()


def test_drift_grows_until_a_rebuild_and_seeds_stand_again(folder: Path, kind: str) -> None:
    network, drifts = opened(folder), list[float]()
    for number, batch in enumerate(BATCHES):
        removal = network.remove(batch)
        drifts.append(removal.drift)
        assert 0 < removal.share <= removal.drift + 1e-12
        version = network.unlearn(batch, retrain=number == 1)
        replay = "replay+reconverge" if kind in LEARNED else "replay"
        assert version.method == ("rebuild" if number == 1 else replay)
        network.publish(batch, version)
        network.purge(batch)
        assert len(Serving(network).seeds()) == 6
    assert drifts[1] > drifts[0] and drifts[2] < drifts[1]


def test_suppression_goes_by_what_was_written(tmp_path: Path) -> None:
    numbered = replace(social(40), nodes=Vocabulary(np.arange(40)))
    workspace.save(Network.build(numbered, Plan(k=2, share=0.5)), str(tmp_path / "network"))
    network = opened(tmp_path / "network")
    for value, expected in (("7", 1), ("007", 0), ("seven", 0), ("--5", 0), ("\u00b2", 0)):
        assert network.resolve(Batch("b", (Subject(KIND, value),)))["people"] == expected
    everybody = Batch("all", tuple(Subject(KIND, str(number)) for number in range(39)))
    network.remove(everybody)
    network.publish(everybody, network.unlearn(everybody, retrain=True))
    assert Serving(network).seeds() == (39,)  # fewer than were asked for
    last = Batch("last", (Subject(KIND, "39"),))
    network.remove(last)
    for retrain in (True, False):
        with pytest.raises(InvalidRequest, match="nobody is left"):
            network.unlearn(last, retrain=retrain)


def test_what_cannot_be_used_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(InvalidOptions) as refused:
        target({"workspce": "x", "identity_type": 7}, Pseudonyms(KEY))
    assert all(name in str(refused.value) for name in ("`workspce`", "`identity_type`", "`workspace`"))
    with pytest.raises(FileNotFoundError, match="unlearn influence prepare"):
        opened(tmp_path / "nowhere")
    with pytest.raises(InvalidGraph, match="weighted cascade"):
        Network.build(graph("uneven"), PLANS["renormalised"])
    rounded = graph("frozen").with_probability(graph("frozen").probability.round(7))  # nobody could leave it
    with pytest.raises(InvalidGraph, match="in place of"):
        Network.build(rounded, PLANS["renormalised"])
    with pytest.raises(InvalidRequest, match="semantics"):
        Network.build(graph("frozen"), replace(PLANS["frozen"], semantics="melted"))  # pyright: ignore[reportArgumentType]


def test_a_file_that_was_changed_is_not_loaded(tmp_path: Path) -> None:
    shutil.copytree(stored("frozen"), tmp_path / "network")
    sets = tmp_path / "network" / "model" / "sets.safetensors"
    content = bytearray(sets.read_bytes())
    content[-1] ^= 1
    sets.write_bytes(content)
    with pytest.raises(ValueError, match="sets.safetensors must exist, as it was saved"):
        workspace.load(str(tmp_path / "network"))
