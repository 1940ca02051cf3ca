"""The Influence Encoder and its losses, by enumeration."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from recsys.graph import BipartiteGraph
from recsys.methods.unlearnrec.deletion import Deletion
from recsys.methods.unlearnrec.encoder import Encoder
from recsys.methods.unlearnrec.losses import contrast, own, preservation, unlearning
from tests.recsys.methods.unlearnrec.models import OBJECTIVES, trained
from tests.tolerances import EXACT64
from tests.unlearn.toys import tiny_recommender
from unlearn.params import Params


def dense(graph: BipartiteGraph) -> Tensor:
    """The normalised adjacency by its definition."""
    found = torch.zeros(graph.n_nodes, graph.n_nodes, dtype=torch.float64)
    found[graph.rows, graph.cols + graph.n_users] = 1.0
    found = found + found.T
    degrees = found.sum(1).clamp_min(1)
    return found / (degrees[:, None] * degrees[None, :]).sqrt()


def random_like(params: Params, seed: int = 0) -> Params:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(x.shape, dtype=x.dtype, generator=generator) for name, x in params.items()}


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("layers", [1, 3])
def test_the_correction_is_its_formula_in_dense_matrices(layers: int, local: bool) -> None:
    problem = trained()
    graph = Deletion.of(problem, np.arange(0, 1000, 37)).deleted
    encoder = Encoder(layers, 0.3, local)
    readout = torch.cat(problem.readout())
    params = random_like(encoder.initial(problem.params["table"], 0))
    b, h = dense(graph), params["states"]
    powers = [torch.linalg.matrix_power(b, power) for power in range(layers + 1)]
    x = sum(power @ h for power in powers) - 0.3 * powers[-1] @ torch.diag(params["shares"].squeeze(1)) @ readout
    for depth in range(2):
        hidden = x @ params[f"perceptron.{depth}.weight"] + params[f"perceptron.{depth}.bias"]
        x = x + torch.where(hidden > 0, hidden, 0.99 * hidden)
    if local:
        x = x * (b.sum(1) > 0)[:, None]
        assert 0 < int((x != 0).any(1).sum()) < graph.n_nodes
    torch.testing.assert_close(encoder.correction(params, graph, readout), x, **EXACT64)


def test_at_the_start_only_the_withdrawn_signal_speaks() -> None:
    problem = trained()
    params = Encoder(3, 0.1, True).initial(problem.params["table"], 0)
    assert not params["states"].any()
    assert bool((params["shares"] == 2e-3).all())
    weights = torch.cat([params[f"perceptron.{depth}.weight"].flatten() for depth in range(2)])
    assert float(weights.std()) == pytest.approx(1 / math.sqrt(12), rel=0.15)


# ---- the losses ------------------------------------------------------------------------------------------------------


def test_the_terms_are_those_of_all_pairs_one_by_one() -> None:
    problem = trained()
    graph = problem.graph
    old = problem.readout()
    users, items = (table + 0.1 * torch.sin(torch.arange(table.numel()).view_as(table)) for table in old)
    deleted = Deletion.of(problem, np.array([3, 50, 400])).deleted
    expected = [
        -math.log(1 / (1 + math.exp(float(users[u] @ items[i]))))
        for u, i in zip(deleted.rows.tolist(), deleted.cols.tolist(), strict=True)
    ]
    assert float(unlearning(users, items, deleted)) == pytest.approx(sum(expected) / 3, rel=1e-10)

    rows, cols = graph.rows[5:60:9], graph.cols[5:60:9]
    total = 0.0
    for u, i in zip(rows.tolist(), cols.tolist(), strict=True):
        now, before = (
            float(a[u] @ b[i] / 4) - math.log(sum(math.exp(float(a[u] @ b[j] / 4)) for j in cols.tolist()))
            for a, b in ((users, items), old)
        )
        total += (now - before) ** 2 / len(rows)
    found = preservation((users, items), old, rows, cols, temperature=4.0)
    assert float(found) == pytest.approx(total, rel=1e-9)


def test_the_contrast_is_a_softmax_over_cosines_of_nodes_that_have_a_direction() -> None:
    whole, dropped = ([torch.randn(6, 4, dtype=torch.float64)] for _ in range(2))
    whole[0][4] = 0.0
    side = torch.tensor([0, 2, 3, 4])
    cosine = torch.nn.functional.cosine_similarity(whole[0][:, None], dropped[0][None], dim=2)
    kept = [0, 2, 3]
    terms = [-math.log(float(cosine[v, v].exp() / cosine[v, kept].exp().sum())) for v in kept]
    assert float(contrast(whole, dropped, [side], temperature=1.0)) == pytest.approx(sum(terms) / 3, rel=1e-10)
    leaf = whole[0].clone().requires_grad_()
    contrast(whole, [leaf], [side], temperature=1.0).backward()
    assert leaf.grad is not None
    assert not leaf.grad[4].any()  # a row of zeros, whose cosine has no derivative
    assert bool(leaf.grad[kept].any(1).all())


@pytest.mark.parametrize("kind", [*OBJECTIVES, "simgcl"])  # the last has a loss of its own
def test_the_own_loss_is_that_of_training(kind: str) -> None:
    problem = trained(objective=kind) if kind in OBJECTIVES else tiny_recommender(model=kind)
    everything = torch.arange(problem.n_records)
    whole, *tables = own(problem, problem.params, everything, epoch=0, batch=0)
    assert float(whole) == pytest.approx(float(problem.objective(problem.params)) / problem.n_records, rel=1e-9)
    for found, expected in zip(tables, problem.readout(), strict=True):
        torch.testing.assert_close(found, expected, **EXACT64)
    parts = [own(problem, problem.params, part, epoch=0, batch=0)[0] for part in everything.chunk(4)]
    assert float(torch.stack(parts).mean()) == pytest.approx(float(whole), rel=1e-9)
