"""What the bounded surrogates promise whatever they have learned."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graph_influence.graph import SocialGraph
from graph_influence.surrogate import Capped, Hybrid, NonBacktracking, Surrogate, TensorGraph
from tests.graph_influence.surrogate.contract import SurrogateContract, random_tree
from tests.oracles.cascades import random_graph, worlds

MODELS = ("ic", "lt")
ALL = 50  # rounds after which nothing of a graph of 8 nodes moves by more than rounding


def anything(network: Surrogate, seed: int, size: float = 2.0) -> Surrogate:
    """The network with random parameters, as training might leave them."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in network.parameters():
            value.normal_(generator=random).mul_(size)
    return network.double()


@pytest.mark.parametrize("model", MODELS)
class TestHybrid(SurrogateContract):
    @pytest.fixture
    def surrogate(self, model: str) -> Surrogate:
        return anything(Hybrid(model=model), 0, 1.0)


class TestCapped(SurrogateContract):
    @pytest.fixture
    def surrogate(self) -> Surrogate:
        return anything(Capped(steps=4, width=4), 0, 0.5)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", range(30))
def test_the_hybrid_is_never_above_messages_and_rises_with_everything(seed, model):
    graph, random = TensorGraph.of(random_graph(seed, model)), torch.Generator().manual_seed(seed)
    seeds, p, open_ = (
        torch.rand(1, size, generator=random, dtype=torch.float64)
        for size in (graph.num_nodes, len(graph.source), graph.num_nodes)
    )
    hybrid, p = anything(Hybrid(6, model=model), seed), p * graph.probability
    found = hybrid(graph, seeds, p, open_)
    assert bool((seeds - 1e-12 <= found).all())
    assert bool((found <= NonBacktracking(6, model)(graph, seeds, p, open_) + 1e-12).all())
    for which, most in ((0, torch.ones_like(seeds)), (1, graph.probability[None]), (2, torch.ones_like(open_))):
        more = [seeds, p, open_]
        share = torch.rand(most.shape, generator=random, dtype=torch.float64)
        more[which] = torch.maximum(more[which], share * most)
        assert bool((hybrid(graph, *more) >= found - 1e-12).all())


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("seed", range(20))
def test_without_depth_the_hybrid_is_exact_on_trees(seed, model):
    social, hybrid = random_tree(seed, model), Hybrid(ALL, model=model)
    graph = TensorGraph.of(social)
    with torch.no_grad():
        hybrid.root_depths.zero_()
        found = hybrid(graph, graph.seeds(np.array([0])))[0]
    np.testing.assert_allclose(found, worlds(social, model).activation([0]), rtol=0, atol=1e-10)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("p", [(0.6, 0.3), (0.6, 0.0)])
def test_the_hybrid_lowers_success_as_its_formula_says(p, model):
    graph = TensorGraph.of(SocialGraph.from_arcs([0, 1], [2, 2], p, nodes=3))
    network = anything(Hybrid(3, units=2, model=model), 1)
    success, root = p[0] + p[1] - (p[0] * p[1] if model == "ic" else 0.0), np.hypot(*p)
    (u, v), b, c = (one.detach().numpy() for one in (network.root_slopes.T**2, network.offset, network.root_depths**2))
    lowered = (c / (1 + np.exp(-(b - u * np.log(success) - v * np.log(root))))).sum()
    found = network(graph, graph.seeds(np.array([0, 1])))[0, 2]
    assert found.item() == pytest.approx(success * np.exp(-lowered), rel=1e-12)


@pytest.mark.parametrize("network", [Hybrid(), Capped(width=4)])
def test_certain_arcs_have_the_gradient_that_is_reached_from_below(network):
    # 1 and 3 are surely active; 2 and 4 hang on them, 4 on both.
    social = SocialGraph.from_arcs([0, 1, 0, 1, 3], [1, 2, 3, 4, 4], [1.0, 1.0, 1.0, 0.5, 1.0], nodes=5)
    graph, network = TensorGraph.of(social), network.double()
    seeds, p = graph.seeds(np.array([0])), graph.probability.clone().requires_grad_()
    (found,) = torch.autograd.grad(network.spread(graph, seeds, p).sum(), p)
    for arc in range(5):
        less = graph.probability.clone()
        less[arc] -= 1e-5
        with torch.no_grad():
            drop = float(network.spread(graph, seeds) - network.spread(graph, seeds, less)) / 1e-5
        assert float(found[arc]) == pytest.approx(drop, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("seed", range(30))
def test_the_capped_stays_between_the_seeds_and_the_union_bound(seed):
    graph, random = TensorGraph.of(random_graph(seed)), torch.Generator().manual_seed(seed)
    seeds = torch.rand(1, graph.num_nodes, generator=random, dtype=torch.float64)
    previous, network = seeds, anything(Capped(1, 4), seed)
    walks, bound = seeds, seeds  # of each length, and of all so far
    for steps in range(1, 5):
        network.steps = steps
        found = network(graph, seeds)
        walks = torch.zeros_like(walks).index_add(
            1, graph.target, walks.index_select(1, graph.source) * graph.probability
        )
        bound = bound + walks
        assert bool((previous <= found).all()) and bool((found <= 1 + 1e-12).all())
        assert bool((found <= bound + 1e-12).all())
        previous = found


def test_open_gates_give_the_union_bound_where_it_is_exact():
    # Along a path there is one way to each node, and an arc of probability 1 from the seed has its whole gradient.
    social = SocialGraph.from_arcs([0, 1, 2], [1, 2, 3], [1.0, 0.5, 0.5], nodes=4)
    graph, network = TensorGraph.of(social), Capped().double()
    with torch.no_grad():
        network.readout.weight.zero_()
        network.readout.bias.fill_(50.0)
    p = graph.probability.clone().requires_grad_()
    spread = network.spread(graph, graph.seeds(np.array([0])), p)
    assert spread.item() == pytest.approx(worlds(social, "ic").spread([0]), abs=1e-12)
    spread.sum().backward()
    assert p.grad is not None
    np.testing.assert_allclose(p.grad, [1.75, 1.5, 0.5], atol=1e-12)


def test_arguments():
    with pytest.raises(ValueError, match="`steps` and `width` must be at least 1 for `capped`"):
        Capped(steps=0)
    with pytest.raises(ValueError, match="`units` must be at least 1 for `hybrid`"):
        Hybrid(units=0)
