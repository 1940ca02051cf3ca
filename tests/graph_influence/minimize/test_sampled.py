"""Dominator trees against trying every unit: the same worlds, the same whole numbers."""

from __future__ import annotations

from math import ceil, log

import numpy as np
import pytest

from graph_influence.coins import coin, stream, unit
from graph_influence.diffusion import diffusion
from graph_influence.graph import SocialGraph
from graph_influence.minimize import AdvancedGreedy, GreedyReplace, Outbreak, ReverseSampling
from graph_influence.minimize.strategies import greedy, replaced
from graph_influence.outbreak import Worlds
from graph_influence.outbreak.dominators import add_drops
from tests.graph_influence.minimize.contract import exact_drops, spread_without
from tests.oracles.cascades import ends, random_graph

RUNS = 300
BOTH = [(unit_, model) for unit_ in ("arcs", "nodes") for model in ("ic", "lt")]


def outbreak_of(seed: int, unit_: str, model: str) -> Outbreak:
    graph = random_graph(seed, model)
    seeds = np.arange(min(2, max(1, graph.num_nodes - 2)))
    return Outbreak(graph, seeds, unit_, model)  # pyright: ignore[reportArgumentType]


def simulated(outbreak: Outbreak, chosen: list[int]) -> int:
    """Nodes reached in all runs of the simulator, whose coins are those of the worlds."""
    left = diffusion(outbreak.model, outbreak.without(chosen), runs=RUNS, seed=5)
    return int(left.simulate_rows(outbreak.seeds).sizes.sum())


def tried(outbreak: Outbreak, chosen: list[int]) -> np.ndarray:
    """By how many fewer the simulator reaches in all runs without each unit, [k]."""
    whole, found = simulated(outbreak, chosen), np.zeros(outbreak.units, dtype=np.int64)
    for one in set(np.flatnonzero(outbreak.removable).tolist()) - set(chosen):
        found[one] = whole - simulated(outbreak, [*chosen, one])
    return found


@pytest.mark.parametrize(("unit_", "model"), BOTH)
@pytest.mark.parametrize("seed", range(12))
def test_drops_are_exactly_what_deleting_each_unit_does_in_the_same_worlds(seed, unit_, model):
    outbreak = outbreak_of(seed, unit_, model)
    worlds = Worlds(outbreak, RUNS, 5)
    units = np.flatnonzero(outbreak.removable).tolist()
    for chosen in ([], units[:1], units[2:4], units[1:2]):
        spread, drops = worlds.drops(chosen)
        assert round(spread * RUNS) == simulated(outbreak, chosen)
        counted = np.where(outbreak.removable, np.rint(drops * RUNS), 0)
        assert counted.tolist() == tried(outbreak, chosen).tolist()


def test_a_larger_graph_with_cycles_and_cross_arcs():
    random = np.random.default_rng(0)
    graph = SocialGraph.from_arcs(*random.integers(60, size=(2, 240)), random.uniform(0.2, 0.9, 240), nodes=60)
    for unit_ in ("arcs", "nodes"):
        outbreak = Outbreak(graph, np.array([3, 9, 40]), unit_)
        drops = Worlds(outbreak, RUNS, 5).drops([])[1]
        assert np.where(outbreak.removable, np.rint(drops * RUNS), 0).tolist() == tried(outbreak, []).tolist()


def test_what_comes_and_goes_leaves_no_trace():
    outbreak = outbreak_of(3, "arcs", "ic")
    worlds, random = Worlds(outbreak, RUNS, 5), np.random.default_rng(1)
    for _ in range(10):
        worlds.drops(random.permutation(outbreak.units)[:3].tolist())
    first, again = Worlds(outbreak, RUNS, 5).drops([1]), worlds.drops([1])
    assert first[0] == again[0] and first[1].tolist() == again[1].tolist()


def many() -> Outbreak:
    random = np.random.default_rng(0)
    graph = SocialGraph.from_arcs(*random.integers(60, size=(2, 240)), random.uniform(0.2, 0.9, 240), nodes=60)
    return Outbreak(graph, np.array([3, 9, 40]))


COURSE = ([], [4], [4, 70], [70], [], [1, 2, 3, 4, 5, 6])  # few come and go, then many


def drops_of(worlds: Worlds) -> list[tuple[float, list[float]]]:
    return [(spread, drops.tolist()) for spread, drops in map(worlds.drops, COURSE)]


@pytest.mark.parametrize("backward", [False, True])
def test_counts_are_the_same_and_as_few_on_any_number_of_threads(backward, monkeypatch):
    def counted(threads: int) -> list[tuple[float, list[float]]]:
        monkeypatch.setattr("unlearn.parallel.config.NUMBA_NUM_THREADS", threads)
        worlds = Worlds(many(), 3_000, 5, backward=backward)
        found = drops_of(worlds)
        assert len(worlds._blocks) >= 5 and len(worlds._tallies) <= threads
        return found

    alone = counted(1)
    assert counted(4) == alone
    fresh = [Worlds(many(), 3_000, 5, backward=backward).drops(chosen) for chosen in COURSE]
    assert [(spread, drops.tolist()) for spread, drops in fresh] == alone


def test_an_interrupted_count_is_begun_again(monkeypatch):
    monkeypatch.setattr("unlearn.parallel.config.NUMBA_NUM_THREADS", 1)
    worlds, calls = Worlds(many(), 3_000, 5), list[int]()
    worlds.drops([4])

    def interrupted(*given):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return add_drops(*given)

    with monkeypatch.context() as patched:
        patched.setattr("graph_influence.outbreak.worlds.add_drops", interrupted)
        with pytest.raises(KeyboardInterrupt):
            worlds.drops([4, 70])
    assert drops_of(worlds) == drops_of(Worlds(many(), 3_000, 5))


def leads(outbreak: Outbreak, run: int, chosen: list[int]) -> bool:
    """Whether the seeds reach the node where backward world `run` begins, by search over named coins."""
    graph = outbreak.without(chosen)
    key = np.uint64(stream(np.uint64(5), np.uint64(run)))
    alive = np.flatnonzero(outbreak.graph.nodes.alive)
    start = int(alive[int(unit(key) * len(alive))])
    share = graph.share / 2.0**53
    active, todo = set(outbreak.seeds.tolist()), outbreak.seeds.tolist()
    while todo:
        node = todo.pop()
        for arc, (tail, head) in enumerate(ends(graph)):
            if tail == node and head not in active and graph.alive[arc]:
                low = 0.0 if outbreak.model == "ic" else share[arc]
                tossed = coin(key, np.uint64(arc if outbreak.model == "ic" else head))
                if low <= tossed < low + graph.probability[arc]:
                    active.add(head)
                    todo.append(head)
    return start in active and bool(graph.nodes.alive[start])


@pytest.mark.parametrize(("unit_", "model"), BOTH)
@pytest.mark.parametrize("seed", [3, 5, 8])
def test_backward_worlds_lose_exactly_what_the_seeds_no_longer_reach(seed, unit_, model):
    outbreak = outbreak_of(seed, unit_, model)
    runs, n = 60, outbreak.graph.num_nodes
    worlds = Worlds(outbreak, runs, 5, backward=True)
    units = np.flatnonzero(outbreak.removable).tolist()
    for chosen in ([], units[:2]):
        spread, drops = worlds.drops(chosen)
        whole = sum(leads(outbreak, run, chosen) for run in range(runs))
        assert spread == pytest.approx(n * whole / runs)
        for one in set(units) - set(chosen):
            left = sum(leads(outbreak, run, [*chosen, one]) for run in range(runs))
            assert drops[one] == pytest.approx(n * (whole - left) / runs)


@pytest.mark.parametrize(("unit_", "model"), BOTH)
@pytest.mark.parametrize("backward", [False, True])
def test_estimates_are_unbiased(backward, unit_, model):
    for seed in (2, 6, 9):
        outbreak, samples = outbreak_of(seed, unit_, model), 40_000
        spread, drops = Worlds(outbreak, samples, 1, backward=backward).drops([])
        # A world counts at most n nodes: no standard error is above n / (2 sqrt(samples)).
        error = outbreak.graph.num_nodes / 2 / samples**0.5
        assert spread == pytest.approx(spread_without(outbreak, []), abs=4 * error)
        np.testing.assert_allclose(
            drops[outbreak.removable], exact_drops(outbreak, [])[outbreak.removable], atol=4 * error
        )


@pytest.mark.parametrize(("unit_", "model"), BOTH)
@pytest.mark.parametrize("seed", [3, 7])
def test_advanced_greedy_is_greedy_by_trying_every_unit_in_common_worlds(seed, unit_, model, monkeypatch):
    monkeypatch.setattr("graph_influence.minimize.sampled.purpose", lambda *_: 5)
    outbreak = outbreak_of(seed, unit_, model)
    chosen: list[int] = []
    for _ in range(2):
        drops = np.where(outbreak.removable, tried(outbreak, chosen), -1)
        drops[chosen] = -1
        chosen.append(int(drops.argmax()))
    assert AdvancedGreedy(samples=RUNS, unit=unit_, model=model).choose(outbreak, 2) == chosen


@pytest.mark.parametrize("seed", [3, 7])
def test_reverse_sampling_is_greedy_in_as_many_backward_worlds_as_its_error_asks_for(seed, monkeypatch):
    monkeypatch.setattr("graph_influence.minimize.sampled.purpose", lambda *_: 5)
    outbreak, n = outbreak_of(seed, "arcs", "ic"), random_graph(seed, "ic").num_alive
    worlds = Worlds(outbreak, ceil(0.1 * n * log(n) / 0.4**2), 5, backward=True)
    expected = greedy(outbreak, lambda chosen: worlds.drops(chosen)[1], 3)
    assert ReverseSampling().choose(outbreak, 3) == expected


def test_routes_that_must_be_cut_together_are_found_by_replacing():
    # Two sure ways from seed 0 lead to 3 and its crowd; another arc of the crowd's has some behind it.
    crowd = [(3, node) for node in range(5, 12)] + [(3, 4), (4, 12), (4, 13)]
    tails, heads = zip(*[(0, 1), (0, 2), (1, 3), (2, 3), *crowd], strict=True)
    graph = SocialGraph.from_arcs(tails, heads, nodes=14)
    outbreak = Outbreak(graph, np.array([0]))
    by_greedy = AdvancedGreedy(samples=10).choose(outbreak, 2)
    by_replacing = GreedyReplace(samples=10).choose(outbreak, 2)
    assert spread_without_crowd(outbreak, by_greedy) > 8
    assert spread_without_crowd(outbreak, by_replacing) <= 3
    assert {ends(graph)[arc] for arc in by_replacing} <= {(0, 1), (0, 2), (1, 3), (2, 3)}


def spread_without_crowd(outbreak: Outbreak, chosen: list[int]) -> float:
    return float(diffusion("ic", outbreak.without(chosen), runs=1).simulate_rows(outbreak.seeds).sizes[0])


def test_replacing_goes_beyond_the_neighbours_of_the_seeds():
    # Node 2 is behind one arc from each of two seeds: cutting what leaves it is better than cutting either.
    graph = SocialGraph.from_arcs([0, 1, 2, 3, 3], [2, 2, 3, 4, 5], nodes=6)
    found = GreedyReplace(samples=10).choose(Outbreak(graph, np.array([0, 1])), 1)
    assert [ends(graph)[arc] for arc in found] == [(2, 3)]


def test_replacing_ends_with_the_first_that_is_the_best_in_its_own_place():
    graph = SocialGraph.from_arcs([0, 0, 1], [1, 2, 3], nodes=4)
    drops = {(): [5.0, 4.0, 3.0], (0,): [0.0, 5.0, 3.0], (1,): [1.0, 0.0, 5.0]}
    found = replaced(Outbreak(graph, np.array([0])), lambda chosen: np.array(drops[tuple(chosen)]), 2)
    assert found == [0, 1]


@pytest.mark.parametrize("kind", [AdvancedGreedy, ReverseSampling])
def test_threads_do_not_matter(kind, monkeypatch):
    from numba.core import config

    graph = random_graph(3)
    found = []
    for threads in (1, 3):
        monkeypatch.setattr(config, "NUMBA_NUM_THREADS", threads)
        worlds = Worlds(Outbreak(graph, np.array([0])), 1_200, 9, backward=kind is ReverseSampling)
        found.append([worlds.drops(chosen)[1].tolist() for chosen in ([], [1], [2, 0])])
    assert found[0] == found[1]


def test_worlds_that_are_large_are_fewer(monkeypatch):
    monkeypatch.setattr("graph_influence.outbreak.worlds._ROOM", 1_000)
    graph = SocialGraph.from_arcs(range(9), range(1, 10), nodes=10)
    assert Worlds(Outbreak(graph, np.array([0])), 5_000, 0).samples == 111
    monkeypatch.setattr("graph_influence.outbreak.worlds._ROOM", 20)  # of which two worlds take 18
    few = Worlds(Outbreak(graph, np.array([0])), 5_000, 0)
    assert few.samples == 2
    assert few.drops([])[0] == 10 and few.drops([4])[0] == 5
    monkeypatch.setattr("graph_influence.outbreak.worlds._ROOM", 5)
    assert Worlds(Outbreak(graph, np.array([0])), 5_000, 0).samples == 1


@pytest.mark.parametrize("room", [60, 200, 2_000])
def test_however_few_worlds_there_is_room_for_they_are_no_larger_than_others(room, monkeypatch):
    """A hub is reached by chance, and with it all: sizes that end the sample would count large worlds too often."""
    monkeypatch.setattr("graph_influence.outbreak.worlds._ROOM", room)
    graph = SocialGraph.from_arcs([0, *[1] * 40], range(1, 42), [0.3, *[1.0] * 40], nodes=42)
    outbreak = Outbreak(graph, np.array([0]))
    spreads = np.array([Worlds(outbreak, 5_000, seed).drops([])[0] for seed in range(2_000)])
    assert abs(spreads.mean() - (1 + 0.3 * 41)) < 4 * spreads.std() / len(spreads) ** 0.5


@pytest.mark.parametrize("samples", [1, 64, 700])
def test_worlds_are_the_first_runs_of_their_coins(samples, monkeypatch):
    from graph_influence.outbreak import worlds

    graph, drawn, sample = SocialGraph.from_arcs(range(9), range(1, 10), nodes=10), [], worlds._sample

    def spied(*arguments):
        block = sample(*arguments)
        drawn.append((int(arguments[2]), int(arguments[3]), len(block[0]) - 1))
        return block

    monkeypatch.setattr(worlds, "_sample", spied)
    assert Worlds(Outbreak(graph, np.array([0])), samples, 0).samples == samples
    (others, first, few), *kept = drawn
    assert others != 0 and (first, few) == (0, min(samples, 64))
    assert {seed for seed, _, _ in kept} == {0}
    ends = [first + count for _, first, count in sorted(kept)]
    assert [first for _, first, _ in sorted(kept)] == [0, *ends[:-1]] and ends[-1] == samples


def test_backward_worlds_begin_with_who_is_there_and_count_them():
    graph = SocialGraph.from_arcs([0, 1, 0, 5], [1, 2, 3, 6], [1.0, 1.0, 1.0, 1.0], nodes=8)
    left = graph.without_rows(np.array([4, 5, 7]), np.empty(0, dtype=np.int64))
    spread, drops = Worlds(Outbreak(left, np.array([0])), 20_000, 3, backward=True).drops([])
    assert spread == pytest.approx(4, abs=0.1) and drops[left.alive].max() == pytest.approx(2, abs=0.1)
