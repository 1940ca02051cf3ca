"""Forward simulation against enumeration, closed forms, and a plain search that tosses the same coins."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from graph_influence.coins import coin, stream
from graph_influence.diffusion import IndependentCascade, LinearThreshold, diffusion, models
from graph_influence.errors import InvalidGraph, InvalidSeeds, UnknownIds
from graph_influence.graph import SocialGraph
from graph_influence.labels import Labels
from tests.oracles.cascades import ends, random_graph, worlds
from unlearn.forget import ForgetSet
from unlearn.vocabulary import Vocabulary

NONE = np.array([], dtype=np.int64)
MODELS = ["ic", "lt"]


def chain(n, p=1.0):
    return SocialGraph.from_arcs(range(n - 1), range(1, n), p, nodes=n)


def weighted(n, arcs, seed):
    """A random graph with 1 / in-degree, on which both models run."""
    random = np.random.default_rng(seed)
    graph = SocialGraph.from_arcs(*random.integers(n, size=(2, arcs)), nodes=n)
    return graph.with_probability((1.0 / np.maximum(graph.in_degree(), 1))[graph.target])


@pytest.mark.parametrize("model", MODELS)
def test_spread_and_activation_agree_with_enumeration(model):
    """200 graphs, before and after a node and an arc have left: means within 4 standard errors."""
    worst = 0.0
    for seed in range(200):
        graph = random_graph(seed, model)
        random = np.random.default_rng(seed)
        row, arc = random.integers(graph.num_nodes), random.integers(graph.num_arcs)
        for there in (graph, graph.without_rows(np.array([row]), np.array([arc]))):
            alive = np.flatnonzero(there.nodes.alive)
            seeds = random.choice(alive, size=min(len(alive), 1 + seed % 2), replace=False)
            found = diffusion(model, there, runs=1500, seed=1000 + seed, threads=1).simulate_rows(seeds)
            every = worlds(there, model)
            reached = every.reached(seeds.tolist())
            exact, sizes = every.chance @ reached, reached.sum(axis=1)
            variance = every.chance @ (sizes - exact.sum()) ** 2
            error = np.sqrt(np.maximum(exact * (1 - exact), 0) / 1500) + 1e-9
            assert (np.abs(found.activation_probability - exact) < 5 * error).all()
            assert found.spread.mean == pytest.approx(found.activation_probability.sum())
            if variance > 0.02:  # a mean of rarer events is not normal yet
                worst = max(worst, abs(found.spread.mean - exact.sum()) / np.sqrt(variance / 1500))
    assert worst < 4


@pytest.mark.parametrize("model", MODELS)
def test_cascades_are_what_a_search_over_the_named_coins_finds(model):
    graph = weighted(60, 240, 1).without_rows(np.array([3]), np.array([10, 11]))
    found = diffusion(model, graph, runs=200, seed=5).simulate_rows(np.array([0, 7]))
    assert len(set(found.sizes.tolist())) > 10
    for run, size in enumerate(found.sizes.tolist()):
        key = np.uint64(stream(np.uint64(5), np.uint64(run)))
        live = []
        for arc, (tail, head) in enumerate(ends(graph)):
            low = 0.0 if model == "ic" else graph.share[arc] / 2.0**53
            tossed = coin(key, np.uint64(arc if model == "ic" else head))
            if low <= tossed < low + graph.probability[arc]:
                live.append((tail, head))
        active, before = {0, 7}, 0
        while len(active) > before:
            before = len(active)
            active |= {head for tail, head in live if tail in active}
        assert size == len(active)


@pytest.mark.parametrize("model", MODELS)
def test_trees_have_closed_forms(model):
    # A binary tree of depth 9, each arc with p = .6: level k has (2 * .6) ** k active nodes on average.
    heads = np.arange(1, 2**10 - 1)
    tree = SocialGraph.from_arcs((heads - 1) // 2, heads, 0.6, nodes=2**10 - 1)
    found = diffusion(model, tree, runs=4000, seed=2).simulate([0])
    mean, error = found.trajectory()
    expected = 1.2 ** np.arange(10)
    assert np.abs(mean - expected)[1:] == pytest.approx(0, abs=1) and (np.abs(mean - expected) <= 4 * error).all()
    assert found.spread.mean == pytest.approx(mean.sum())
    low, high = found.spread.interval(0.99)
    assert low < expected.sum() < high


def test_errors_of_steps_are_those_of_their_sizes():
    star = SocialGraph.from_arcs(np.zeros(20, dtype=int), np.arange(1, 21), 0.3, nodes=21)
    found = IndependentCascade(star, runs=50, seed=1).simulate([0])
    mean, error = found.trajectory()
    assert mean.tolist() == [1, found.sizes.mean() - 1]
    assert [*error, found.spread.standard_error] == pytest.approx([0, *[stats.sem(found.sizes)] * 2])


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_intervals_are_those_of_students_t(level):
    spread = IndependentCascade(chain(30, 0.7), runs=6, seed=4).simulate([0]).spread
    expected = stats.t.interval(level, 5, spread.mean, spread.standard_error)
    assert spread.interval(level) == pytest.approx(expected, rel=1e-9)


def test_steps_of_a_path_follow_each_other():
    found = IndependentCascade(chain(6), runs=3).simulate([0, 3])
    assert found.trajectory()[0].tolist() == [2, 2, 2]
    assert (found.spread.mean, found.spread.standard_error) == (6, 0)


@pytest.mark.parametrize("model", MODELS)
def test_results_do_not_depend_on_threads_and_repeat_by_seed(model):
    graph = weighted(300, 1500, 4)

    def simulated(**arguments):
        return diffusion(model, graph, **{"runs": 2500, "seed": 9} | arguments).simulate([1, 2, 3])

    one, two, three = (simulated(threads=threads) for threads in (1, 2, 3))
    for other in (two, three):
        for name in ("sizes", "activations", "growth"):
            assert np.array_equal(getattr(one, name), getattr(other, name))
    gains = [diffusion(model, graph, runs=100, threads=threads).marginal_gains([1]).mean for threads in (1, 2)]
    assert np.array_equal(*gains)
    assert not np.array_equal(one.sizes, simulated(seed=10).sizes)
    # A longer simulation goes on from a shorter one.
    assert np.array_equal(one.sizes[:700], simulated(runs=700).sizes)


@pytest.mark.parametrize("threads", [1, 2])
def test_kernels_are_short_on_large_graphs_for_interrupts_and_sums_stay(threads, monkeypatch):
    graph, kernel, calls = weighted(40, 150, seed=5), models.simulate, []

    def watched(arcs, seeds, candidates, seed, first, sizes, *sums):
        calls.append((int(first), len(sizes)))
        kernel(arcs, seeds, candidates, seed, first, sizes, *sums)

    model = diffusion("ic", graph, runs=3_000, seed=4, threads=threads)
    whole = model.simulate_rows(np.array([0, 3]))
    monkeypatch.setattr(models, "simulate", watched)
    monkeypatch.setattr(models, "_TOSSES", 100 * (graph.num_arcs + graph.num_nodes + 1))
    short = model.simulate_rows(np.array([0, 3]))
    assert max(runs for _, runs in calls) == 100 and len({first for first, _ in calls}) == len(calls)
    assert sum(runs for _, runs in calls) == 3_000
    for name in ("sizes", "activations", "growth"):
        assert np.array_equal(getattr(whole, name), getattr(short, name))


@pytest.mark.parametrize("model", MODELS)
def test_who_leaves_takes_only_what_depended_on_them(model):
    graph = weighted(300, 1200, 6)
    left = graph.without(ForgetSet(users=(20, 21), ties=tuple(ends(graph)[:5])))
    first, second = (diffusion(model, one, runs=3000, seed=1).simulate([0, 1, 2]) for one in (graph, left))
    assert (first.sizes >= second.sizes).all()
    lost = first.minus(second)
    independent = diffusion(model, left, runs=3000, seed=2).simulate([0, 1, 2]).spread
    assert lost.mean > 3 * lost.standard_error
    error = np.hypot(first.spread.standard_error, independent.standard_error)
    assert 3 * lost.standard_error < error
    assert abs(first.spread.mean - independent.mean - lost.mean) < 4 * error


@pytest.mark.parametrize("model", MODELS)
def test_more_seeds_reach_more_in_every_run(model):
    prepared = diffusion(model, weighted(200, 900, 3), runs=500)
    few, many = prepared.simulate([4, 5]), prepared.simulate([4, 5, 6])
    assert (many.sizes >= few.sizes).all() and (many.sizes > few.sizes).any()
    assert (many.activations >= few.activations).all()
    assert many.minus(few).mean == pytest.approx(many.spread.mean - few.spread.mean)


def test_runs_that_share_no_coins_are_not_compared():
    ours = IndependentCascade(chain(4, 0.5), runs=10).simulate([0])
    for wrong in (
        LinearThreshold(chain(4, 0.5), runs=10),
        IndependentCascade(chain(5, 0.5), runs=10),
        IndependentCascade(chain(4, 0.5), runs=11),
        IndependentCascade(chain(4, 0.5), runs=10, seed=1),
    ):
        with pytest.raises(ValueError, match="one model, seed, number of runs and rows"):
            ours.minus(wrong.simulate([0]))


@pytest.mark.parametrize("model", MODELS)
def test_gains_are_differences_of_spreads_in_the_same_runs(model):
    graph = weighted(80, 300, 8).without_rows(np.array([11]), NONE)
    prepared = diffusion(model, graph, runs=300, seed=3)
    gains = prepared.marginal_gains([2, 40])
    base = prepared.simulate([2, 40])
    assert gains.rows.tolist() == [row for row in range(80) if row != 11]
    assert gains.spread == base.spread
    for row, mean, error in zip(gains.rows.tolist(), gains.mean, gains.standard_error, strict=True):
        if row in (2, 40):
            assert (mean, error) == (0, 0)
            continue
        expected = prepared.simulate([2, 40, row]).minus(base)
        assert (mean, error) == (pytest.approx(expected.mean), pytest.approx(expected.standard_error))
    some = prepared.marginal_gains([2, 40], [5, 2])
    assert some.rows.tolist() == [5, 2] and some.mean.tolist() == [gains.mean[gains.rows == 5][0], 0]


def test_gains_are_exact_where_single_precision_is_not():
    """2 ** 24 is the last whole number that float32 counts to one by one; 3001 times 6000 is beyond it."""
    gains = IndependentCascade(chain(3001), runs=6000).marginal_gains([], [0, 1500, 3000])
    assert gains.mean.tolist() == [3001, 1501, 1]
    assert gains.standard_error.tolist() == [0, 0, 0]


def test_certain_and_impossible_arcs_are_that():
    graph = SocialGraph.from_arcs([0, 1, 2], [1, 2, 3], [1.0, 1.0, 0.0], nodes=4)
    for model in MODELS:
        assert diffusion(model, graph, runs=5000).simulate([0]).sizes.tolist() == [3] * 5000


def test_rows_of_more_arcs_than_a_word_has_bits():
    star = SocialGraph.from_arcs(np.zeros(1000, dtype=int), np.arange(1, 1001), np.linspace(0, 1, 1000), nodes=1001)
    found = IndependentCascade(star, runs=4000).simulate([0])
    error = np.sqrt(np.linspace(0, 1, 1000) * (1 - np.linspace(0, 1, 1000)) / 4000) + 1e-9
    assert (np.abs(found.activation_probability[1:] - np.linspace(0, 1, 1000)) < 5 * error).all()


def test_a_single_run_has_no_error_and_nobody_no_spread():
    prepared = LinearThreshold(chain(4, 0.5), runs=1)
    spread = prepared.simulate([0]).spread
    assert np.isnan([spread.standard_error, *spread.interval()]).all()
    assert np.isnan(prepared.marginal_gains([], [0]).standard_error).all()
    assert prepared.simulate([]).spread.mean == 0


def test_bad_input_is_named_at_once():
    nodes = Vocabulary(["a", "b", "c"])
    graph = SocialGraph.from_arcs([0, 1], [2, 2], [0.8, 0.7], nodes=nodes)
    with pytest.raises(InvalidGraph, match="node c"):
        LinearThreshold(graph)
    with pytest.raises(ValueError, match="one of ic, lt"):
        diffusion("sir", graph)
    prepared = IndependentCascade(graph)
    with pytest.raises(UnknownIds) as caught:
        prepared.simulate(["a", "a", "x", "y"])
    text = str(caught.value)
    for part in ("nodes, 3 (got 4)", "named again: 'a'", "2 are unknown or forgotten: 'x', 'y'"):
        assert part in text
    with pytest.raises(InvalidSeeds, match="named again: 'b'"):
        prepared.marginal_gains(["b", "b"])
    with pytest.raises(InvalidSeeds, match="collection"):
        prepared.simulate("abc")
    with pytest.raises(UnknownIds, match="forgotten"):
        IndependentCascade(graph.without(ForgetSet(users=("b",)))).simulate(["b"])
    for wrong in ({"runs": 0}, {"threads": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            IndependentCascade(graph, **wrong)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (np.array([7, -1, 0]), "from 0 to 2 (2 are not: 7, -1)"),
        (np.array([1, 2, 1]), "more than once: 1"),
        (np.array([True, False, True]), "one dimension (got bool"),
        (np.array([0.5]), "one dimension (got float64"),
        (np.array([[0, 1]]), "2 dimensions"),
    ],
)
def test_rows_that_are_none_of_the_graph_reach_no_kernel(rows, said):
    """Kernels look at no bounds: such a row read and wrote memory of others."""
    graph = SocialGraph.from_arcs([0, 1], [2, 2], [0.8, 0.7], nodes=3)
    prepared, nobody = IndependentCascade(graph, runs=2), np.empty(0, dtype=np.int64)
    for ask in (
        lambda: prepared.simulate_rows(rows),
        lambda: prepared.gains_rows(rows, nobody),
        lambda: prepared.gains_rows(nobody, rows),
        lambda: Labels.drawn(graph, [np.array([0]), rows], runs=2),
    ):
        with pytest.raises(InvalidSeeds) as caught:
            ask()
        assert said in str(caught.value)
