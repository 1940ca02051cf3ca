"""Message passing against every world of small graphs: exact on trees, above the truth elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from graph_influence.graph import SocialGraph
from graph_influence.surrogate import MeanField, NonBacktracking, Surrogate, TensorGraph, surrogate, surrogates
from tests.graph_influence.surrogate.contract import NOBODY, SurrogateContract, random_tree
from tests.oracles.cascades import ends, random_graph, worlds
from tests.tolerances import EXACT64

MODELS = ("ic", "lt")
FORMS = {
    f"{kind.name} {rounds} {model}": kind(rounds, model)
    for kind in (MeanField, NonBacktracking)
    for rounds in (1, 7, None)
    for model in MODELS
}
ALL = 50  # rounds after which nothing of a graph of 8 nodes moves by more than rounding


@pytest.mark.parametrize("form", FORMS)
class TestContract(SurrogateContract):
    @pytest.fixture
    def surrogate(self, form: str) -> Surrogate:
        return FORMS[form]


def exact_gradients(social: SocialGraph, seeds: list[int], model: str) -> np.ndarray:
    """By how much the enumerated spread drops without each arc."""
    whole = worlds(social, model).spread(seeds)
    left = [worlds(social.without_rows(NOBODY, np.array([arc])), model) for arc in range(social.num_arcs)]
    return np.array([whole - one.spread(seeds) for one in left])


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", range(40))
def test_non_backtracking_is_exact_on_trees(seed, model):
    social = random_tree(seed, model)
    graph = TensorGraph.of(social)
    for rows in ([0], [social.num_nodes - 1, 0]):
        rows = list(dict.fromkeys(rows))
        found = NonBacktracking(ALL, model)(graph, graph.seeds(np.array(rows)))[0]
        np.testing.assert_allclose(found, worlds(social, model).activation(rows), rtol=0, atol=1e-10)


@pytest.mark.parametrize("seed", range(40))
def test_certain_arcs_are_no_exception(seed):
    social = random_tree(seed, certain=True)
    graph = TensorGraph.of(social)
    seeds, p = graph.seeds(np.array([0])), graph.probability.clone().requires_grad_()
    spread = NonBacktracking(ALL).spread(graph, seeds, p)
    assert spread.item() == pytest.approx(worlds(social, "ic").spread([0]), abs=1e-10)
    spread.sum().backward()
    np.testing.assert_allclose((p * p.grad).detach(), exact_gradients(social, [0], "ic"), atol=1e-7)


def test_the_gradient_of_a_certain_arc_is_what_hangs_on_it():
    # Seed 0 surely reaches 1, and 1 surely reaches 2 and 3; 3 is also reached from 0 directly.
    social = SocialGraph.from_arcs([0, 1, 1, 0], [1, 2, 3, 3], nodes=4)
    graph = TensorGraph.of(social)
    for form in (NonBacktracking(), MeanField()):
        p = graph.probability.clone().requires_grad_()
        form.spread(graph, graph.seeds(np.array([0])), p).sum().backward()
        assert p.grad is not None
        found = dict(zip(ends(social), p.grad.tolist(), strict=True))
        assert found == pytest.approx({(0, 1): 2.0, (1, 2): 1.0, (1, 3): 0.0, (0, 3): 0.0}, abs=1e-6)


@pytest.mark.parametrize("other", [0.3, 0.5, 0.9])
def test_a_certain_arc_beside_an_uncertain_one_counts_where_that_fails(other):
    # Seeds 0 and 1 both try node 2, the first surely: the spread is 2 + p + other - p other.
    social = SocialGraph.from_arcs([0, 1], [2, 2], [1.0, other], nodes=3)
    graph = TensorGraph.of(social)
    for form in (NonBacktracking(), MeanField()):
        p = graph.probability.clone().requires_grad_()
        form.spread(graph, graph.seeds(np.array([0, 1])), p).sum().backward()
        assert p.grad is not None
        np.testing.assert_allclose(p.grad, [1.0 - other, 0.0], rtol=0, atol=1e-12)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", range(60))
def test_both_are_upper_bounds_and_the_mean_field_is_the_looser(seed, model):
    social = random_graph(seed, model)
    graph = TensorGraph.of(social)
    rows = list(range(min(2, social.num_nodes - 1))) or [0]
    seeds = graph.seeds(np.array(rows))
    truth = worlds(social, model).activation(rows)
    previous = seeds[0]
    for rounds in range(1, 9):
        tight, loose = (kind(rounds, model)(graph, seeds)[0] for kind in (NonBacktracking, MeanField))
        assert bool((tight <= loose + 1e-12).all())
        assert bool((previous <= tight + 1e-12).all())
        previous = tight
    # Eight rounds are as many steps as a cascade on eight nodes can take.
    assert bool((previous.numpy() >= truth - 1e-12).all())
    assert bool((previous <= 1 + 1e-12).all())


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", range(25))
def test_a_round_is_a_step_of_the_cascade(seed, model):
    social = random_tree(seed, model)
    graph = TensorGraph.of(social)
    everything = worlds(social, model)
    active = np.zeros((len(everything.chance), social.num_nodes), dtype=np.bool_)
    active[:, 0] = True
    for rounds in range(1, 4):
        before = active.copy()
        for arc, (tail, head) in enumerate(ends(social)):
            active[:, head] |= before[:, tail] & everything.live[:, arc]
        found = NonBacktracking(rounds, model)(graph, graph.seeds(np.array([0])))[0]
        np.testing.assert_allclose(found, everything.chance @ active, rtol=0, atol=1e-10)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", range(25))
def test_gradient_times_value_is_the_drop_on_trees(seed, model):
    social = random_tree(seed, model)
    graph = TensorGraph.of(social)
    p = graph.probability.clone().requires_grad_()
    open_ = torch.ones(graph.num_nodes, dtype=torch.float64, requires_grad=True)
    NonBacktracking(ALL, model).spread(graph, graph.seeds(np.array([0])), p, open_).sum().backward()
    assert p.grad is not None and open_.grad is not None
    np.testing.assert_allclose((p * p.grad).detach(), exact_gradients(social, [0], model), atol=1e-9)
    whole = worlds(social, model).spread([0])
    for node in range(1, social.num_nodes):
        left = social.without_rows(np.array([node]), NOBODY)
        assert float(open_.grad[node]) == pytest.approx(whole - worlds(left, model).spread([0]), abs=1e-9)


@pytest.mark.parametrize("seed", range(25))
def test_gain_of_a_seed_is_its_gradient_on_trees(seed):
    social = random_tree(seed)
    graph = TensorGraph.of(social)
    seeds = graph.seeds(np.array([0])).requires_grad_()
    NonBacktracking(ALL).spread(graph, seeds).sum().backward()
    assert seeds.grad is not None
    everything = worlds(social, "ic")
    for node in range(1, social.num_nodes):
        gain = everything.spread([0, node]) - everything.spread([0])
        assert float(seeds.grad[0, node]) == pytest.approx(gain, abs=1e-9)


@pytest.mark.parametrize("seed", range(10))
def test_a_fractional_seed_is_a_coin_on_trees(seed):
    social = random_tree(seed)
    graph = TensorGraph.of(social)
    s = np.random.default_rng(seed).uniform(size=social.num_nodes)
    truth = np.zeros(social.num_nodes)
    for active in np.ndindex(*(2,) * social.num_nodes):
        chance = np.prod(np.where(active, s, 1 - s))
        truth += chance * worlds(social, "ic").activation(np.flatnonzero(active).tolist())
    found = NonBacktracking(ALL)(graph, torch.tensor(s)[None])[0]
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-10)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", [MeanField, NonBacktracking])
def test_the_fixed_point_and_its_implicit_gradient_are_those_of_many_rounds(kind, model):
    social = random_graph(12, model)
    graph = TensorGraph.of(social)
    found = []
    for rounds in (300, None):
        given = (graph.seeds(np.array([0])), graph.probability.clone())
        given = tuple(value.requires_grad_() for value in given)
        value = kind(rounds, model).spread(graph, *given)
        found.append((value.detach(), *torch.autograd.grad(value.sum(), given)))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-7, atol=1e-8)


def test_the_fixed_point_keeps_one_round_in_memory():
    graph = TensorGraph.of(random_graph(12))
    p = graph.probability.clone().requires_grad_()

    def nodes(rounds: int | None) -> int:
        seen, todo = set(), [NonBacktracking(rounds).spread(graph, graph.seeds(np.array([0])), p).grad_fn]
        while todo:
            one = todo.pop()
            if one is not None and one not in seen:
                seen.add(one)
                todo += [parent for parent, _ in one.next_functions]
        return len(seen)

    assert nodes(None) <= nodes(3) < nodes(20)


def test_an_arc_and_its_reverse_echo_in_the_mean_field_only():
    social = SocialGraph.from_arcs([0, 1, 1], [1, 0, 2], [0.5, 1.0, 0.5], nodes=3)
    graph = TensorGraph.of(social)
    seeds = graph.seeds(np.array([0])) * 0.5
    assert float(NonBacktracking(ALL).spread(graph, seeds)) == pytest.approx(0.5 * (1 + 0.5 + 0.25), abs=1e-12)
    assert float(MeanField(ALL).spread(graph, seeds)) > 0.5 * 1.75 + 0.1


def test_names_and_arguments():
    assert {"mean_field", "non_backtracking"} <= set(surrogates())
    assert repr(surrogate("mean_field", rounds=3, model="lt")) == "MeanField(rounds=3, model='lt')"
    with pytest.raises(ValueError, match="is no surrogate; there are .*mean_field"):
        surrogate("crystal_ball")
    with pytest.raises(ValueError, match="`rounds` must be at least 1"):
        NonBacktracking(0)
    with pytest.raises(ValueError, match="`model` must be ic or lt"):
        MeanField(model="sis")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("form", FORMS)
def test_a_gpu_gives_the_same(form):
    found = []
    for device in ("cpu", "cuda"):
        graph = TensorGraph.of(random_graph(7, "lt"), device)
        graph = replace(graph, probability=graph.probability.clone().requires_grad_())
        value = FORMS[form].spread(graph, graph.seeds(np.array([0]), np.array([1, 2])))
        found.append((value.cpu(), torch.autograd.grad(value.sum(), graph.probability)[0].cpu()))
    torch.testing.assert_close(found[1], found[0], **EXACT64)
