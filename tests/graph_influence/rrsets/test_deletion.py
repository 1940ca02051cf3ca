"""A store that followed deletions is the store drawn from what is left: set by set, both ways, whatever the order."""

from __future__ import annotations

import pickle
import signal
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from graph_influence.errors import InvalidGraph
from graph_influence.graph import SocialGraph
from graph_influence.rrsets import RRSets, deletion
from tests.graph_influence.rrsets.conftest import social, uneven, weighted_cascade
from tests.graph_influence.rrsets.rows import same_rows
from unlearn.forget import ForgetSet
from unlearn.interruption import answered
from unlearn.vocabulary import Vocabulary

Weights = Callable[[SocialGraph], SocialGraph]
NONE = np.empty(0, dtype=np.int64)
SETS = 4_000


def frozen(graph: SocialGraph) -> SocialGraph:
    return graph


def constant(graph: SocialGraph) -> SocialGraph:
    return graph.with_probability(np.full(graph.num_arcs, 0.1))


def whole(store: RRSets) -> None:
    """Its index is what a new one would be, and what left is nowhere."""
    assert same_rows(store.sets, store.members.inverted(store.graph.num_nodes))
    for rows in (store.members, store.sets):
        held = np.zeros(rows.used, dtype=np.bool_)
        for row in range(len(rows)):
            place = slice(rows.start[row], rows.start[row] + rows.length[row])
            assert not held[place].any()
            held[place] = True
        assert (rows.data[: rows.used][~held] == -1).all()


def anew(store: RRSets) -> RRSets:
    fresh = RRSets(store.graph, store.model, seed=store.seed, sentinels=np.flatnonzero(store._sentinel))
    fresh.grow(len(store))
    return fresh


def deletions(graph: SocialGraph, seed: int, steps: int, semantics: Weights) -> list[SocialGraph]:
    """Users, hubs among them, single ties, and both at once, one after the other."""
    random = np.random.default_rng(seed)
    graphs: list[SocialGraph] = []
    for step in range(steps):
        left = graphs[-1] if graphs else graph
        rows = random.choice(np.flatnonzero(left.nodes.alive), step % 3, p=_by_degree(left), replace=False)
        arcs = random.choice(np.flatnonzero(left.alive), 2 * (step % 2) + (step % 3 == 0), replace=False)
        graphs.append(semantics(left.without_rows(rows, arcs)))
    return graphs


def _by_degree(graph: SocialGraph) -> np.ndarray:
    degree = (graph.out_degree() + 1)[graph.nodes.alive]
    return degree / degree.sum()


# Arcs of one probability take equal places, so a store that never knew the deleted ones draws the same sets.
@pytest.mark.parametrize("sentinels", [[], [0, 9, 77]], ids=["whole", "truncated"])
@pytest.mark.parametrize(
    ("weights", "semantics"),
    [(weighted_cascade, frozen), (weighted_cascade, weighted_cascade), (constant, frozen)],
    ids=["frozen", "renormalised", "constant"],
)
def test_an_updated_store_is_a_fresh_store(
    model, weights: Weights, semantics: Weights, sentinels: list[int], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("graph_influence.rrsets.store._REBUILD", np.inf)
    graph = weights(social())
    if model == "lt" and weights is constant:
        graph = graph.with_probability(np.full(graph.num_arcs, 1 / graph.in_degree().max()))
    store = RRSets(graph, model, seed=11, sentinels=sentinels)
    store.grow(SETS)
    redrawn = changed = 0
    for left in deletions(graph, 1, 12, semantics):
        done = store.update(left)
        redrawn, changed = redrawn + done.redrawn, changed + done.changed
        assert not done.rebuilt
        fresh = anew(store)
        assert same_rows(store.members, fresh.members)
        assert np.array_equal(store.covered, fresh.covered)
        assert store.spread(range(5, 300)) == fresh.spread(range(5, 300)) if not sentinels else True
        whole(store)
    assert 0 < changed <= redrawn
    store.grow(500)
    fresh = anew(store)
    assert same_rows(store.members, fresh.members)


# Unequal arcs keep their old places, which a fresh store cannot know; given the places, it draws the same sets.
@pytest.mark.parametrize("reweighted", [False, True])
def test_unequal_arcs_keep_their_places(model, reweighted: bool):
    def less(graph: SocialGraph) -> SocialGraph:
        return replace(graph, probability=graph.probability * 0.98) if reweighted else graph

    graph = uneven(social())
    store = RRSets(graph, model, seed=2)
    store.grow(SETS)
    for left in deletions(graph, 3, 6, less):
        rebuilt = store.update(left).rebuilt
        assert rebuilt == reweighted  # as all probabilities changed
        fresh = RRSets(left, model, seed=2)
        fresh.arcs = store.arcs
        fresh.grow(SETS)
        assert same_rows(store.members, fresh.members)
        whole(store)


def test_a_copy_follows_its_own_graph_and_the_store_stays_as_it_was(model):
    graph = weighted_cascade(social())
    store = RRSets(graph, model, seed=2, sentinels=[0, 9])
    store.grow(SETS)
    assert len(store.sets)
    twin = store.copy()
    assert not twin.update(graph.without_rows(np.array([9]), NONE)).rebuilt
    for one in (store, twin):
        whole(one)
        assert same_rows(one.members, anew(one).members) and np.array_equal(one.covered, anew(one).covered)


def test_an_arc_that_left_does_not_hold_down_what_grows_behind_it():
    graph = SocialGraph.from_arcs([1, 2, 3], [0, 0, 0], [0.05, 0.04, 0.03], nodes=4)
    store = RRSets(graph)
    store.grow(SETS)
    store.update(graph.without_rows(NONE, np.array([0])).with_probability([0.0, 0.5, 0.4]))
    roots = store.members.data[store.members.start] == 0
    assert abs(store.members.length[roots].mean() - 1.9) < 4 * 0.7 / roots.sum() ** 0.5


def test_sets_without_who_left_stay_bit_for_bit(model):
    graph = weighted_cascade(social())
    store = RRSets(graph, model)
    store.grow(SETS)
    before = [store.members[number].copy() for number in range(SETS)]
    done = store.update(graph.without_rows(np.array([4]), NONE))
    theirs = [4 in members for members in before]
    assert done.redrawn == done.changed == sum(theirs) > 0
    for number in range(SETS):
        now = store.members[number]
        if not theirs[number]:
            assert np.array_equal(now, before[number])
        elif before[number][0] != 4:
            # Under frozen probabilities nobody comes, and the root stays.
            assert now[0] == before[number][0] and set(now.tolist()) < set(before[number].tolist())


def test_a_tie_is_looked_for_where_both_ends_are(model):
    graph = weighted_cascade(social())
    store = RRSets(graph, model, seed=1)
    store.grow(SETS)
    arc = int(np.flatnonzero(graph.source == 0)[0])
    both = np.intersect1d(store.sets[0], store.sets[int(graph.target[arc])])
    done = store.update(graph.without_rows(NONE, np.array([arc])))
    assert done.redrawn == len(both) and 0 < done.changed <= done.redrawn


def test_many_who_leave_are_a_rebuild_with_the_same_outcome(model):
    graph = weighted_cascade(social())
    store = RRSets(graph, model, seed=4)
    store.grow(SETS)
    assert store.update(graph.without_rows(np.arange(60), NONE)).rebuilt
    assert same_rows(store.members, anew(store).members)
    whole(store)


def test_an_interrupt_finds_no_update_half_done(model, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = weighted_cascade(social())
    store = RRSets(graph, model, seed=5)
    store.grow(SETS)
    left, work = graph.without_rows(np.array([graph.num_nodes - 1]), NONE), deletion._replace
    assert len(store.sets[graph.num_nodes - 1])

    def pressed(*given: object) -> object:
        signal.raise_signal(signal.SIGINT)
        return work(*given)  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patch, answered():
        patch.setattr(deletion, "_replace", pressed)
        with pytest.raises(KeyboardInterrupt):
            store.update(left)
    store.update(left)  # whoever asks again finds it done, or does it
    whole(store)
    assert same_rows(store.members, anew(store).members) and store.graph is left


def test_many_updates_take_bounded_room(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("graph_influence.rrsets.store._REBUILD", np.inf)
    graph = weighted_cascade(social())
    store = RRSets(graph)
    store.grow(SETS)
    random = np.random.default_rng(0)
    most = store.members.length.sum()
    packed = 0
    for _ in range(150):
        used = store.members.used
        alive = np.flatnonzero(store.graph.nodes.alive)
        store.update(weighted_cascade(store.graph.without_rows(random.choice(alive, 1), NONE)))
        packed += store.members.used < used
        most = max(most, store.members.length.sum())
        assert len(store.members.data) <= 1.7 * most
        assert len(store.sets.data) <= 1.7 * most + 3 * 300
    assert packed > 1
    whole(store)
    assert same_rows(store.members, anew(store).members)


def test_what_an_update_refuses_leaves_the_store_alone(model):
    graph = weighted_cascade(social())
    store = RRSets(graph, model)
    store.grow(100)
    left = graph.without_rows(np.array([3]), np.array([0]))
    store.update(left)
    before = store.members.packed().data[: store.members.length.sum()].tolist()
    heavy = left.probability.copy()
    crowded = int(np.argmax(left.in_degree()))
    heavy[np.flatnonzero(left.alive & (left.target == crowded))[-1]] = 1.0
    for wrong, required in (
        (graph.without_rows(NONE, np.array([0])), "come back"),
        (graph.without_rows(np.array([3]), NONE), "come back"),
        (left.compact(), "numbered as those"),
        (replace(left, source=left.source[::-1]), "numbered as those"),
        (replace(left, probability=heavy), "descending" if model == "ic" else "sum to at most 1"),
    ):
        with pytest.raises(InvalidGraph, match=required):
            store.update(wrong)
        assert store.members.packed().data[: len(before)].tolist() == before and store.graph is left


def test_when_everybody_has_left_there_are_no_sets():
    graph = weighted_cascade(social())
    store = RRSets(graph)
    store.grow(100)
    assert store.update(graph.without_rows(np.arange(300), NONE)).rebuilt
    assert len(store) == 0 and len(store.compact()) == 0


def test_a_compact_store_is_one_of_a_graph_that_never_knew_them(model):
    canaries = [f"{number:032x}" for number in np.random.default_rng(9).integers(2**62, size=300)]
    graph = weighted_cascade(social(nodes=Vocabulary(canaries)))
    store = RRSets(graph, model, seed=6, sentinels=[40, 41])
    store.grow(SETS)
    gone = [canaries[row] for row in (0, 8, 41)]
    store.update(store.graph.without(ForgetSet(users=gone)))
    store = store.compact()
    stored = pickle.dumps(vars(store))
    assert canaries[1].encode() in stored  # the search finds who is there
    for canary in gone:
        assert canary.encode() not in stored
    stayed = np.setdiff1d(np.arange(300), [0, 8, 41])
    number = np.full(300, -1)
    number[stayed] = np.arange(297)
    kept = np.isin(graph.source, stayed) & np.isin(graph.target, stayed)
    never = SocialGraph.from_arcs(
        number[graph.source[kept]],
        number[graph.target[kept]],
        graph.probability[kept],
        nodes=Vocabulary([canaries[row] for row in stayed.tolist()]),
    )
    fresh = RRSets(never, model, seed=6, sentinels=[38])
    fresh.grow(SETS)
    assert same_rows(store.members, fresh.members) and np.array_equal(store.covered, fresh.covered)


def test_a_sentinel_who_had_left_before_the_store_was_made_is_none(model):
    graph = weighted_cascade(social()).without_rows(np.array([0, 41]), NONE)
    stores = [RRSets(graph, model, seed=6, sentinels=rows) for rows in ([0, 40, 41], [40])]
    for store in stores:
        store.grow(SETS)
    one, other = (store.compact() for store in stores)
    assert stores[0].spread([40, 50]) == stores[1].spread([40, 50])
    assert same_rows(one.members, other.members) and np.array_equal(one.covered, other.covered)


def test_before_compaction_already_no_array_holds_the_row(model):
    graph = weighted_cascade(social())
    store = RRSets(graph, model)
    store.grow(SETS)
    store.update(graph.without_rows(np.array([0]), NONE))
    assert not (store.members.data[: store.members.used] == 0).any()
    assert not (store.arcs.tail == 0).any()
    assert store.sets.length[0] == 0
