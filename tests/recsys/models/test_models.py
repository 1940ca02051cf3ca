"""Every model: against a dense slow truth, with and without its graph, without a user, and on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recsys.data import Interactions
from recsys.graph import BipartiteGraph
from recsys.models import Recommender, build, registered
from recsys.models.base import LinearRecommender
from recsys.problem import RecommenderProblem
from recsys.store import load, load_ranker, save
from tests.tolerances import EXACT64
from unlearn.forget import ForgetSet

ARGUMENTS: dict[str, dict[str, Any]] = {
    "mf": {},
    "lightgcn": {"layers": 2},
    "ngcf": {"layers": 2},
    "sgl": {"layers": 2, "drop": 0.4, "weight": 0.3},
    "simgcl": {"layers": 2, "eps": 0.2, "negatives": 5},
    "xsimgcl": {"layers": 3, "contrast": 2, "temperature": 0.3},
}
DIM = 5


def made(name: str, graph: BipartiteGraph) -> Recommender:
    return build(name, graph.n_users, graph.n_items, dim=DIM, **ARGUMENTS[name])


def final(model: Recommender, params: dict[str, torch.Tensor], graph: BipartiteGraph) -> torch.Tensor:
    embedded: torch.Tensor = torch.func.functional_call(model, params, (graph,))
    return embedded


def cut(data: Interactions) -> BipartiteGraph:
    return BipartiteGraph.from_interactions(data.take(np.zeros(0, dtype=np.int64)), dtype=torch.float64)


def dense(name: str, data: Interactions, params: dict[str, torch.Tensor]) -> np.ndarray[Any, Any]:
    """The published equation in plain numpy over a dense adjacency matrix."""
    observed = data.csr().toarray() > 0
    n_users, n_items = observed.shape
    adjacency = np.zeros((n_users + n_items, n_users + n_items))
    for u, i in zip(*np.nonzero(observed), strict=True):
        value = 1 / np.sqrt(observed[u].sum() * observed[:, i].sum())
        adjacency[u, n_users + i] = adjacency[n_users + i, u] = value
    values = {key: value.numpy() for key, value in params.items()}
    table, layers = values["table"], ARGUMENTS[name].get("layers", 0)
    powers = [np.linalg.matrix_power(adjacency, layer) @ table for layer in range(layers + 1)]
    if name in ("mf", "lightgcn", "sgl"):
        return sum(powers) / len(powers)
    if name in ("simgcl", "xsimgcl"):
        return sum(powers[1:]) / layers
    parts = [table]
    for layer in range(layers):
        below = np.zeros_like(table)
        for v in range(len(table)):  # one node after the other, as the paper's messages go
            own = parts[-1][v]
            sent = own @ values[f"w1.{layer}"]
            for w in np.flatnonzero(adjacency[v]):
                other = parts[-1][w]
                sent = sent + adjacency[v, w] * (other @ values[f"w1.{layer}"] + (other * own) @ values[f"w2.{layer}"])
            below[v] = np.where(sent > 0, sent, 0.2 * sent)
        parts.append(below)
    lengths = [np.sqrt((part**2).sum(1, keepdims=True) + 1e-6) for part in parts[1:]]
    return np.concatenate([table, *(part / length for part, length in zip(parts[1:], lengths, strict=True))], 1)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_equals_the_dense_equation(name: str, data: Interactions, graph: BipartiteGraph) -> None:
    model = made(name, graph)
    params = model.initial(graph, 3, std=0.7)
    found = final(model, params, graph)
    torch.testing.assert_close(found, torch.from_numpy(dense(name, data, params)), **EXACT64)
    assert found.std() > 0.05


@pytest.mark.parametrize("name", ARGUMENTS)
def test_the_graph_matters_where_there_is_one(name: str, data: Interactions, graph: BipartiteGraph) -> None:
    model = made(name, graph)
    params = model.initial(graph, 3, std=0.7)
    same = torch.allclose(final(model, params, graph), final(model, params, cut(data)))
    assert same is (name == "mf")
    # One interaction less moves the embeddings of its two ends, and of nobody two more hops away than there are layers.
    fewer = BipartiteGraph.from_interactions(data.take(np.arange(1, len(data))), dtype=torch.float64)
    moved = (final(model, params, graph) != final(model, params, fewer)).any(1)
    ends = [int(graph.rows[0]), graph.n_users + int(graph.cols[0])]
    assert bool(moved[ends].all()) is (name != "mf")


@pytest.mark.parametrize("name", ARGUMENTS)
def test_rows_without_interactions_stay_finite_and_empty_ones_empty(name: str, graph: BipartiteGraph) -> None:
    """The last user and item have none; one of them has a zero row too, as if forgotten."""
    model = made(name, graph)
    params = model.initial(graph, 3, std=0.7)
    params["table"][-1] = 0.0
    leaves = {key: value.requires_grad_() for key, value in params.items()}
    records = torch.arange(graph.n_edges)
    embedded, own = model.training_pass(leaves, graph, records, epoch=1, batch=0)
    loss = embedded.square().sum() + (0.0 if own is None else own.sum())
    gradients = torch.autograd.grad(loss, list(leaves.values()))
    assert embedded.isfinite().all() and all(gradient.isfinite().all() for gradient in gradients)
    assert embedded[-1].abs().max() == 0 and gradients[0][-1].abs().max() == 0
    assert embedded[: graph.n_users - 1].abs().max() > 0


@pytest.mark.parametrize("name", ARGUMENTS)
def test_a_forgotten_row_is_zero_and_all_else_starts_as_before(name: str, data: Interactions) -> None:
    problem = RecommenderProblem.build(data, model=name, dim=DIM, dtype=torch.float64, **ARGUMENTS[name])
    forget = ForgetSet(users=["u03"], items=[105])
    remaining = problem.without(forget)
    gone = [3, data.n_users + 5]
    settled, fresh = remaining.settled(forget), remaining.model.initial(remaining.graph, problem.options.seed)
    assert set(settled) == set(fresh) == {key for key, _ in problem.model.named_parameters()}
    idle = remaining.graph.degrees().eq(0).nonzero().flatten().tolist()  # 0 is their optimum, too, in a linear model
    assert set(idle) > set(gone)
    cleared = idle if isinstance(problem.model, LinearRecommender) else gone
    for params, empty in ((settled, cleared), (fresh, gone)):
        others = [row for row in range(problem.graph.n_nodes) if row not in empty]
        assert params["table"][empty].abs().max() == 0 and params["table"][others].abs().min(1).values.max() > 0
        assert torch.equal(params["table"][others], problem.params["table"][others])
        for key in params.keys() - {"table"}:
            assert torch.equal(params[key], problem.params[key]) and params[key].abs().max() > 0
        users, items = remaining.with_params(params).readout()
        assert users[3].abs().max() == 0 and items[5].abs().max() == 0
    changed = dict(problem.row_changes(settled))
    assert changed["table"].nonzero().flatten().tolist() == cleared
    assert not any(rows.any() for key, rows in changed.items() if key != "table")


@pytest.mark.parametrize("name", ARGUMENTS)
def test_comes_back_from_disk(name: str, data: Interactions, tmp_path: Path) -> None:
    problem = RecommenderProblem.build(data, model=name, dim=DIM, **ARGUMENTS[name])
    save(problem, tmp_path)
    back = load(tmp_path, data)
    assert type(back.model) is type(problem.model)
    assert back.model.arguments() == problem.model.arguments() == {**problem.model.arguments(), **ARGUMENTS[name]}
    assert back.params.keys() == problem.params.keys()
    for ours, theirs in zip(back.readout(), problem.readout(), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(load_ranker(tmp_path).users, problem.readout()[0])


@pytest.mark.parametrize("name", ARGUMENTS)
def test_weights_of_interactions_reach_every_layer(name: str, data: Interactions, graph: BipartiteGraph) -> None:
    model = made(name, graph)
    params = model.initial(graph, 3, std=0.7)
    removed = torch.ones(graph.n_edges, dtype=torch.float64)
    removed[2] = 0.0
    fewer = BipartiteGraph.from_interactions(data.take(np.delete(np.arange(len(data)), 2)), dtype=torch.float64)
    torch.testing.assert_close(final(model, params, graph.weighted(removed)), final(model, params, fewer), **EXACT64)


def test_every_bad_argument_is_named_at_once() -> None:
    with pytest.raises(ValueError) as raised:
        build("xsimgcl", 3, 3, layers=2, contrast=3, eps=-0.1, weight=-1.0, temperature=0.0, negatives=0)
    assert all(f"`{name}`" in str(raised.value) for name in ("contrast", "eps", "weight", "temperature", "negatives"))
    with pytest.raises(ValueError, match="`drop`.*got 1"):
        build("sgl", 3, 3, drop=1.0)
    with pytest.raises(ValueError, match="`layers`"):
        build("ngcf", 3, 3, layers=-1)
    with pytest.raises(
        ValueError, match="^`dim` must be a positive integer .*\n`layers` must be an integer of at least 0"
    ):
        build("lightgcn", 3, 3, dim=0, layers=-1)
    with pytest.raises(ValueError, match="lightgcn, mf, ngcf, sgl, simgcl, social_lightgcn, xsimgcl"):
        build("nope", 3, 3)


@pytest.mark.parametrize("name", registered())
def test_sizes_are_integers_and_numbers_finite(name: str) -> None:
    given = build(name, 3, 3).arguments()
    assert {type(value) for value in given.values()} <= {int, float}
    for one, value in given.items():
        for wrong in (2.5, True) if isinstance(value, int) else (float("inf"), float("nan"), True):
            with pytest.raises(ValueError, match=f"^`{one}` must be .* for `{name}` .got {wrong}.$"):
                build(name, 3, 3, **{one: wrong})


def test_ngcf_weights_follow_their_name_and_have_xaviers_scale(graph: BipartiteGraph) -> None:
    wide = build("ngcf", graph.n_users, graph.n_items, dim=64, layers=2)
    params = wide.initial(graph, 0)
    weights = {key: value for key, value in params.items() if key != "table"}
    assert len(weights) == 4
    for value in weights.values():
        assert float(value.std()) == pytest.approx(1 / 8, rel=0.05)  # 64 in, 64 out: sqrt(2 / 128)
    assert len({float(value[0, 0]) for value in weights.values()}) == 4
