"""What every surrogate must do, learned or not: a suite to inherit from, and graphs to try it on."""

from __future__ import annotations

import numpy as np
import torch

from graph_influence.graph import SocialGraph
from graph_influence.surrogate import Surrogate, TensorGraph
from tests.oracles.cascades import random_graph
from tests.tolerances import EXACT64
from unlearn.forget import ForgetSet

NOBODY = np.array([], dtype=np.int64)


def random_tree(seed: int, model: str = "ic", *, certain: bool = False) -> SocialGraph:
    """A graph of 2 to 8 nodes that is a tree without directions, with one arc or both between neighbours."""
    random = np.random.default_rng(seed)
    n = int(random.integers(2, 9))
    ends = np.array([(random.integers(child), child) for child in range(1, n)])
    both = random.permutation(np.concatenate([ends, ends[:, ::-1]]))[: random.integers(1, 13)]
    p = random.uniform(size=len(both))
    if certain:
        p[random.uniform(size=len(p)) < 0.4] = 1.0
    if model == "lt":
        p /= np.maximum(np.bincount(both[:, 1], p, minlength=n), 1 + 1e-12)[both[:, 1]]
    return SocialGraph.from_arcs(*both.T, p, nodes=n)


class SurrogateContract:
    """Inherit, parametrised or not, with a fixture `surrogate` in float64."""

    def test_each_set_of_a_batch_is_answered_by_itself(self, surrogate: Surrogate) -> None:
        social = random_graph(3, "lt")
        graph = TensorGraph.of(social)
        random = torch.Generator().manual_seed(0)
        seeds = torch.rand(3, graph.num_nodes, generator=random, dtype=torch.float64)
        p = torch.rand(3, len(graph.source), generator=random, dtype=torch.float64) * graph.probability
        open_ = torch.rand(3, graph.num_nodes, generator=random, dtype=torch.float64)
        together = surrogate(graph, seeds, p, open_)
        assert together.shape == (3, graph.num_nodes)
        alone = [surrogate(graph, *(part[k : k + 1] for part in (seeds, p, open_)))[0] for k in range(3)]
        torch.testing.assert_close(together, torch.stack(alone), **EXACT64)
        torch.testing.assert_close(surrogate.spread(graph, seeds, p, open_), together.sum(1), **EXACT64)

    def test_probabilities_and_susceptibility_are_those_of_the_graph_unless_given(self, surrogate: Surrogate) -> None:
        graph = TensorGraph.of(random_graph(3, "lt"))
        seeds = graph.seeds(np.array([0]), np.array([1, 2]))
        ones = torch.ones(graph.num_nodes, dtype=torch.float64)
        torch.testing.assert_close(surrogate(graph, seeds), surrogate(graph, seeds, graph.probability, ones), **EXACT64)

    def test_numbers_of_nodes_do_not_matter(self, surrogate: Surrogate) -> None:
        social = random_graph(7, "lt")
        order = np.random.default_rng(0).permutation(social.num_nodes)
        ends = order[social.source], order[social.target]
        other = SocialGraph.from_arcs(*ends, social.probability, nodes=social.num_nodes)
        found = [surrogate(graph, graph.seeds(rows))[0] for graph, rows in (
            (TensorGraph.of(social), np.array([0, 2])), (TensorGraph.of(other), order[[0, 2]]))]  # fmt: skip
        torch.testing.assert_close(found[1][order], found[0], **EXACT64)

    def test_a_removed_arc_has_probability_0(self, surrogate: Surrogate) -> None:
        social = random_graph(3, "lt")
        graph, seeds = TensorGraph.of(social), np.array([0, 3])
        for arc in range(social.num_arcs):
            p = graph.probability.clone()
            p[arc] = 0.0
            left = TensorGraph.of(social.without_rows(NOBODY, np.array([arc])))
            ours, theirs = surrogate(graph, graph.seeds(seeds), p), surrogate(left, left.seeds(seeds))
            torch.testing.assert_close(ours, theirs, **EXACT64)

    def test_a_blocked_node_is_one_that_left(self, surrogate: Surrogate) -> None:
        social = random_graph(3, "lt")
        graph, seeds = TensorGraph.of(social), np.array([0, 3])
        for node in (1, 2, 4):
            open_ = torch.ones(graph.num_nodes, dtype=torch.float64)
            open_[node] = 0.0
            left = TensorGraph.of(social.without(ForgetSet(users=(node,))))
            ours, theirs = surrogate(graph, graph.seeds(seeds), None, open_), surrogate(left, left.seeds(seeds))
            others = [row for row in range(graph.num_nodes) if row != node]
            assert float(ours[0, node].detach()) == 0.0
            torch.testing.assert_close(ours[:, others], theirs[:, others], **EXACT64)

    def test_gradients_are_those_of_finite_differences(self, surrogate: Surrogate) -> None:
        graph = TensorGraph.of(random_graph(7, "lt"))
        random = torch.Generator().manual_seed(1)
        shapes = graph.num_nodes, len(graph.source), graph.num_nodes
        given = [
            (0.1 + 0.8 * torch.rand(size, generator=random, dtype=torch.float64)).requires_grad_() for size in shapes
        ]

        def spread(seeds: torch.Tensor, retention: torch.Tensor, open_: torch.Tensor) -> torch.Tensor:
            return surrogate.spread(graph, seeds[None], retention * graph.probability, open_)

        assert torch.autograd.gradcheck(spread, tuple(given), atol=1e-6)

    def test_an_empty_graph_spreads_nothing(self, surrogate: Surrogate) -> None:
        graph = TensorGraph.of(SocialGraph.from_arcs([], [], nodes=4))
        assert surrogate(graph, graph.seeds(np.array([2]))).shape == (1, 4)
