"""The contrast against a double loop; views that are what they say, and that nobody's leaving disturbs."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from recsys.data import Interactions
from recsys.graph import BipartiteGraph
from recsys.models import SGL, ContrastiveRecommender, SimGCL, XSimGCL, build
from recsys.models.contrastive import info_nce
from recsys.objectives import BPR
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.tolerances import EXACT64
from unlearn.forget import ForgetSet

CONTRASTIVE = ("sgl", "simgcl", "xsimgcl")


def made(name: str, graph: BipartiteGraph, **arguments: Any) -> ContrastiveRecommender:
    model = build(name, graph.n_users, graph.n_items, **{"dim": 6, "layers": 2, **arguments})
    assert isinstance(model, ContrastiveRecommender)
    return model


def random_table(graph: BipartiteGraph, dim: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(graph.n_nodes, dim, dtype=torch.float64, generator=generator)


def naive(one: torch.Tensor, other: torch.Tensor, v: int, among: list[int], temperature: float) -> float:
    def similarity(w: int) -> float:
        return math.exp(float(torch.cosine_similarity(one[v], other[w], dim=0)) / temperature)

    return -math.log(similarity(v) / (similarity(v) + sum(similarity(w) for w in among if w != v)))


@pytest.mark.parametrize("among", [[0, 3, 4, 7], [5], []])
def test_info_nce_equals_the_double_loop(among: list[int]) -> None:
    one, other = torch.randn(2, 9, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    rows = torch.tensor([3, 1, 3, 8])
    found = info_nce(one, other, rows, torch.tensor(among, dtype=torch.int64), temperature=0.3)
    expected = torch.tensor([naive(one, other, int(v), among, 0.3) for v in rows], dtype=torch.float64)
    torch.testing.assert_close(found, expected, **EXACT64)


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_own_losses_are_the_weighted_contrast_of_both_ends(name: str, graph: BipartiteGraph) -> None:
    model, table, n = made(name, graph, weight=0.7), random_table(graph), graph.n_users
    _, one, other = model.views(table, graph, epoch=2, batch=1)
    records = torch.tensor([4, 0, 9])
    _, own = model.training_pass({"table": table}, graph, records, epoch=2, batch=1)
    present = [sorted(set(graph.rows.tolist())), sorted(set(graph.cols.tolist()))]
    expected = [
        0.7
        * (
            naive(one[:n], other[:n], int(graph.rows[r]), present[0], model.temperature)
            + naive(one[n:], other[n:], int(graph.cols[r]), present[1], model.temperature)
        )
        for r in records
    ]
    assert own is not None
    torch.testing.assert_close(own, torch.tensor(expected, dtype=torch.float64), **EXACT64)


def test_noise_has_the_length_eps_and_the_signs_of_what_it_falls_on(graph: BipartiteGraph) -> None:
    model, table = made("simgcl", graph, eps=0.3, layers=1), random_table(graph)
    final, one, other = model.views(table, graph, epoch=1, batch=0)
    connected = graph.normalized.to_dense().sum(1) > 0
    for view in (one, other):
        noise = view - final
        assert ((noise * final)[connected] > 0).all()
        torch.testing.assert_close(
            noise[connected].norm(dim=1), final.new_full((int(connected.sum()),), 0.3), **EXACT64
        )
        assert noise[~connected].abs().max() == 0
    assert not torch.equal(one, other)
    again, later = (model.views(table, graph, epoch=e, batch=b)[1] for e, b in ((1, 0), (1, 1)))
    assert torch.equal(one, again) and not torch.equal(one, later)


def test_noise_is_uniform_over_the_box_before_it_is_scaled(graph: BipartiteGraph) -> None:
    model = made("simgcl", graph, eps=1.0, layers=1, dim=1001)
    final, one, _ = model.views(torch.ones(graph.n_nodes, 1001, dtype=torch.float64), graph, epoch=1, batch=0)
    noise = (one - final)[0]
    ordered = noise.sort().values / noise.max()
    # A uniform sample's order statistics stay within the Kolmogorov bound of a straight line.
    assert (ordered - torch.linspace(0, 1, 1001, dtype=torch.float64)).abs().max() < 2.0 / math.sqrt(1001)
    assert float(noise.norm()) == pytest.approx(1.0)


def test_xsimgcl_trains_on_the_noisy_pass_and_contrasts_a_layer_of_it(graph: BipartiteGraph) -> None:
    table = random_table(graph)
    model = made("xsimgcl", graph, layers=3, contrast=2, eps=0.3)
    assert isinstance(model, XSimGCL)
    final, one, other = model.views(table, graph, epoch=1, batch=4)
    layers = model.noisy_layers(table, graph, epoch=1, batch=4, view=0)
    torch.testing.assert_close(final, (layers[0] + layers[1] + layers[2]) / 3, **EXACT64)
    assert torch.equal(one, final) and torch.equal(other, layers[1])
    served = torch.func.functional_call(model, {"table": table}, (graph,))
    assert (final - served).abs().max() > 0.01
    quiet = made("xsimgcl", graph, layers=3, contrast=2, eps=0.0)
    torch.testing.assert_close(quiet.views(table, graph, epoch=1, batch=4)[0], served, **EXACT64)


def test_sgl_views_are_lightgcn_on_the_graph_that_the_draw_leaves(data: Interactions, graph: BipartiteGraph) -> None:
    model, table = made("sgl", graph, drop=0.4), random_table(graph)
    assert isinstance(model, SGL)
    lightgcn = build("lightgcn", graph.n_users, graph.n_items, dim=6, layers=2)
    final, *views = model.views(table, graph, epoch=3, batch=0)
    torch.testing.assert_close(final, torch.func.functional_call(lightgcn, {"table": table}, (graph,)), **EXACT64)
    shares = []
    for view, found in enumerate(views):
        stays = model.dropped(graph, 3, view).values > 0
        shares.append(float(stays.double().mean()))
        smaller = BipartiteGraph.from_interactions(data.take(np.flatnonzero(stays.numpy())), dtype=torch.float64)
        torch.testing.assert_close(found, torch.func.functional_call(lightgcn, {"table": table}, (smaller,)), **EXACT64)
    deviation = math.sqrt(0.4 * 0.6 / graph.n_edges)
    assert all(abs(share - 0.6) < 4 * deviation for share in shares)
    kept = [model.dropped(graph, epoch, view).values > 0 for epoch, view in ((3, 0), (3, 1), (4, 0))]
    assert not torch.equal(kept[0], kept[1]) and not torch.equal(kept[0], kept[2])


@pytest.mark.parametrize("request_", [ForgetSet(users=["u03"]), ForgetSet(items=[104])])
def test_without_somebody_everybody_elses_draws_are_bit_identical(request_: ForgetSet, data: Interactions) -> None:
    before = RecommenderProblem.build(data, model="sgl", dim=6, dtype=torch.float64).graph
    smaller = data.without(request_)
    after = BipartiteGraph.from_interactions(smaller, dtype=torch.float64)
    gone = 3 if request_.users else data.n_users + 4
    others = [row for row in range(before.n_nodes) if row != gone]

    def pairs(graph: BipartiteGraph, chosen: torch.Tensor) -> set[tuple[int, int]]:
        return {(int(graph.rows[e]), int(graph.cols[e])) for e in chosen.nonzero()}

    sgl = made("sgl", before, drop=0.4)
    assert isinstance(sgl, SGL)
    for view in range(2):
        was, now = (pairs(graph, sgl.dropped(graph, 2, view).values > 0) for graph in (before, after))
        left = pairs(after, torch.ones(after.n_edges, dtype=torch.bool))
        assert now == was & left and now != left

    noisy = made("simgcl", before, layers=1, eps=0.5)
    assert isinstance(noisy, SimGCL)
    noise: list[torch.Tensor] = []
    for graph in (before, after):
        table = torch.ones(graph.n_nodes, 6, dtype=torch.float64)  # all signs positive: the noise alone is compared
        final, one, _ = noisy.views(table, graph, epoch=2, batch=3)
        noise.append((one - final) * (final > 0))
    alive = [row for row in others if noise[1][row].abs().max() > 0]
    assert len(alive) > 20
    torch.testing.assert_close(noise[0][alive], noise[1][alive], rtol=0, atol=1e-15)

    few = made("simgcl", before, negatives=6)
    for epoch in range(1, 5):
        was, now = (few._negatives(graph, epoch, 0) for graph in (before, after))
        for kind, (old, new) in enumerate(zip(was, now, strict=True)):
            lost = set(old.tolist()) - set(new.tolist())
            assert set(new.tolist()) <= set(old.tolist())
            degrees = smaller.degrees()[kind]
            assert all(degrees[row] == 0 for row in lost)


def test_negatives_are_drawn_by_node_and_as_many_as_asked_for(graph: BipartiteGraph) -> None:
    model = made("simgcl", graph, negatives=6)
    drawn = [[set(part.tolist()) for part in model._negatives(graph, epoch, 0)] for epoch in range(1, 41)]
    for kind, size in enumerate((graph.n_users, graph.n_items)):
        counts = [len(part[kind]) for part in drawn]
        assert np.mean(counts) == pytest.approx(6 * (size - 1) / size, abs=1.0)  # one of each kind has no interactions
        assert size - 1 not in set.union(*(part[kind] for part in drawn))
    everyone = made("simgcl", graph)._negatives(graph, 1, 0)
    assert [len(part) for part in everyone] == [graph.n_users - 1, graph.n_items - 1]


def test_negatives_are_drawn_anew_for_each_batch_and_of_either_kind_by_themselves() -> None:
    pairs = np.argwhere(np.random.default_rng(0).random((40, 40)) < 0.5)
    graph = BipartiteGraph.from_interactions(Interactions.from_frame(pd.DataFrame(pairs, columns=["user", "item"])))
    model = made("simgcl", graph, negatives=20)  # users and items have the same ids
    one, other = (model._negatives(graph, 1, batch) for batch in (0, 1))
    assert not torch.equal(one[0], other[0]) and not torch.equal(one[1], other[1])
    assert not torch.equal(one[0], one[1])


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_nobody_is_contrasted_with_whom_the_weights_leave_nothing(name: str, graph: BipartiteGraph) -> None:
    model, params = made(name, graph), {"table": random_table(graph)}
    users = torch.ones(graph.n_users, dtype=torch.float64)
    users[3] = 0.0
    stays = (graph.rows != 3).nonzero().flatten()
    faded = graph.weighted_by("user", users)
    smaller = replace(faded, rows=faded.rows[stays], cols=faded.cols[stays], weights=None)
    negatives = model._negatives(faded, 1, 0)
    assert [part.tolist() for part in negatives] == [part.tolist() for part in model._negatives(smaller, 1, 0)]
    assert 3 not in negatives[0] and 3 in model._negatives(graph, 1, 0)[0]
    _, own = model.training_pass(params, faded, stays, epoch=1, batch=0)
    assert own is not None and own.isfinite().all()


def test_layers_have_noise_of_their_own(graph: BipartiteGraph) -> None:
    model, ones = made("simgcl", graph), torch.ones(graph.n_nodes, 6, dtype=torch.float64)
    first, second = (model._directions(graph, ones, 1, 0, 0, layer) for layer in (0, 1))  # pyright: ignore
    table = torch.rand(graph.n_nodes, 6, dtype=torch.float64)  # all positive, as the noise then is
    noisy = model.noisy_layers(table, graph, epoch=1, batch=0, view=0)  # pyright: ignore
    x = graph.propagate(table)
    for layer, noise in zip(noisy, (first, second), strict=True):
        torch.testing.assert_close(layer, x + model.eps * x.sign() * noise, **EXACT64)  # pyright: ignore
        x = graph.propagate(layer)
    assert (first - second).abs().max() > 0.1


def trained(data: Interactions, name: str, **arguments: Any) -> RecommenderProblem:
    options = TrainingOptions(epochs=12, batch_size=16, lr=0.03)
    sizes = {"dim": 6, "layers": 2} | arguments
    return RecommenderProblem.build(data, model=name, objective=BPR(), options=options, **sizes).fit()


def test_sgl_without_weight_trains_as_lightgcn(data: Interactions) -> None:
    plain, weightless, contrasted = (
        trained(data, "lightgcn"), trained(data, "sgl", weight=0.0), trained(data, "sgl", weight=0.5)
    )  # fmt: skip
    torch.testing.assert_close(weightless.params["table"], plain.params["table"], rtol=0, atol=1e-5)
    assert (contrasted.params["table"] - plain.params["table"]).abs().max() > 0.1


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_training_brings_the_views_together(name: str, data: Interactions) -> None:
    """Against the same model trained without: the contrast at draws that training has not seen."""

    def contrast(problem: RecommenderProblem) -> float:
        model = made(name, problem.graph, weight=1.0)
        records = torch.arange(problem.graph.n_edges)
        _, own = model.training_pass(problem.params, problem.graph, records, epoch=0, batch=0)
        assert own is not None
        return float(own.mean())

    assert contrast(trained(data, name, weight=1.0)) < 0.9 * contrast(trained(data, name, weight=0.0))


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_training_repeats(name: str, data: Interactions) -> None:
    assert torch.equal(trained(data, name).params["table"], trained(data, name).params["table"])
    other = trained(data, name, seed=1)
    assert not torch.equal(other.params["table"], trained(data, name).params["table"])
    moved = trained(data, name).model.reseeded(1)
    assert (type(moved), moved.arguments()) == (type(other.model), other.model.arguments())
