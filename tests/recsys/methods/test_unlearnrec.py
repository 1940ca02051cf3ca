"""The Influence Encoder: its formula and its losses by enumeration, what it is trained and chosen on, what it keeps."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from recsys.data import Interactions, ratio, synthetic
from recsys.evaluate import evaluate
from recsys.graph import BipartiteGraph
from recsys.methods.unlearnrec import UnlearnRec
from recsys.methods.unlearnrec.deletion import Deletion, held_out, simulated
from recsys.methods.unlearnrec.encoder import Encoder, losing
from recsys.methods.unlearnrec.losses import contrast, own, preservation, unlearning
from recsys.methods.unlearnrec.training import Recipe, pretrain
from recsys.objectives import BPR, Objective, WholeData
from recsys.objectives.negatives import uniform_negatives
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.tolerances import EXACT64
from tests.unlearn.toys import ridge, tiny_data
from unlearn.forget import ForgetSet
from unlearn.methods import MissingRequirement, method
from unlearn.params import Params

MILD: dict[str, Any] = {"preserve": 10.0, "temperature": 10.0}  # a few steps on small data are to move something
OBJECTIVES: dict[str, Objective] = {"bpr": BPR(), "whole_data": WholeData(a=0.1, l2=0.1)}


@functools.cache
def trained(model: str = "lightgcn", objective: str = "bpr") -> RecommenderProblem:
    """A model that tells what it was trained on from what it was not."""
    options = TrainingOptions(seed=1, epochs=40, batch_size=200, learning_rate=0.03, tolerance=1e-4, max_iterations=100)
    return RecommenderProblem.build(
        tiny_data(100, 100, 1000), model=model, objective=OBJECTIVES[objective], options=options, dtype=torch.float64,
        dim=12,
    ).fit()  # fmt: skip


def pairs(data: Interactions, positions: list[int]) -> ForgetSet:
    """The interactions at these positions."""
    rows, columns = data.user_rows()[positions], data.indices[positions]
    return ForgetSet(interactions=tuple(zip(data.users.take(rows), data.items.take(columns), strict=True)))


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


# ---- the network -----------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_own_loss_is_that_of_training(objective: str) -> None:
    problem = trained(objective=objective)
    everything = torch.arange(problem.n_records)
    whole, *tables = own(problem, problem.params, everything, epoch=0, batch=0)
    assert float(whole) == pytest.approx(float(problem.objective(problem.params)) / problem.n_records, rel=1e-9)
    for found, expected in zip(tables, problem.readout(), strict=True):
        torch.testing.assert_close(found, expected, **EXACT64)
    parts = [own(problem, problem.params, part, epoch=0, batch=0)[0] for part in everything.chunk(4)]
    assert float(torch.stack(parts).mean()) == pytest.approx(float(whole), rel=1e-9)


# ---- what it is trained and chosen on --------------------------------------------------------------------------------


def codes(graph: BipartiteGraph) -> set[int]:
    return set((graph.rows * graph.n_items + graph.cols).tolist())


def test_simulated_deletions_share_nothing_with_the_one_held_out() -> None:
    problem = trained()
    judge = held_out(problem, rate=0.1, seed=4)
    drawn = list(simulated(problem, rate=0.1, seed=4, count=30))
    every = codes(problem.graph)
    for deletion in (judge, *drawn):
        deleted, remaining = codes(deletion.deleted), codes(deletion.remaining.graph)
        assert not deleted & remaining
        assert deleted | remaining == every
        assert 0.06 * len(every) < len(deleted) < 0.14 * len(every)
    others = [codes(deletion.deleted) for deletion in drawn]
    assert not codes(judge.deleted) & set.union(*others)
    assert len(set.union(*others)) > 0.8 * len(every)  # and together they cover what is not held out
    assert all(one != other for one, other in pairwise(others))


def test_without_one_user_the_others_deletions_stay_what_they_were() -> None:
    problem = trained()
    gone = problem.data.users.ids[5]
    for whole, rest in zip(
        simulated(problem, rate=0.1, seed=4, count=3),
        simulated(problem.without(ForgetSet(users=(gone,))), rate=0.1, seed=4, count=3),
        strict=True,
    ):
        n = whole.deleted.n_items
        assert codes(rest.deleted) == {code for code in codes(whole.deleted) if code // n != 5}


def test_the_network_that_answers_is_the_best_on_the_deletion_held_out() -> None:
    """At a rate at which training overshoots, the best is neither the first nor the last."""
    problem = trained()
    unlearner = UnlearnRec(epochs=12, lr=0.05, batch_size=200)
    recipe = Recipe(
        unlearner.unlearn, unlearner.preserve, unlearner.contrast, unlearner.temperature, unlearner.batch_size,
        unlearner.lr, unlearner.seed,
    )  # fmt: skip
    encoder = Encoder(unlearner.layers, unlearner.withdrawal, unlearner.local)
    candidates = list(pretrain(encoder, recipe, problem, rate=unlearner.rate, epochs=12))
    losses = [loss for _, loss in candidates]
    best = losses.index(min(losses))
    assert 0 < best < 12
    chosen = unlearner.prepare(problem).payload
    assert chosen.keys() == candidates[best][0].keys()
    assert all(torch.equal(chosen[name], value) for name, value in candidates[best][0].items())

    judge = held_out(problem, rate=unlearner.rate, seed=unlearner.seed)
    graph, records = judge.remaining.graph, recipe.batches(judge.remaining, 0)[0]
    table = problem.params["table"] + encoder.correction(chosen, judge.deleted, torch.cat(problem.readout()))
    loss, users, items = own(judge.remaining, {"table": table}, records, epoch=0, batch=0)
    rows, cols = graph.rows[records], graph.cols[records]
    loss = loss + 0.5 * unlearning(users, items, judge.deleted)
    loss = loss + 5 * preservation((users, items), problem.readout(), rows, cols, temperature=1.0)
    assert losses[best] == pytest.approx(float(loss), rel=1e-9)


def test_the_contrast_moves_no_row_beyond_a_step() -> None:
    """States start at zero, where a cosine has no derivative: one that blew up would freeze its row for good."""
    problem, encoder = trained(), Encoder(3, 0.1, True)
    recipe = Recipe(unlearn=0.5, preserve=10.0, contrast=0.0, temperature=10.0, batch_size=1024, lr=1e-3, seed=0)
    without, with_contrast = (
        list(pretrain(encoder, one, problem, rate=0.1, epochs=4))[-1][0]["states"]
        for one in (recipe, replace(recipe, contrast=1.0))
    )
    moved = without.norm(dim=1) > 0
    assert torch.equal(with_contrast.norm(dim=1) > 0, moved)
    assert not torch.allclose(with_contrast, without, rtol=0.0, atol=1e-5)
    ratio = with_contrast.norm(dim=1)[moved] / without.norm(dim=1)[moved]
    assert 0.3 < float(ratio.min()) < float(ratio.max()) < 3.0


# ---- what it does ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "objective"),
    [("mf", "bpr"), ("mf", "whole_data"), ("lightgcn", "bpr"), ("lightgcn", "whole_data"), ("sgl", "bpr")],
)
def test_deleted_pairs_fall_while_the_others_keep_their_place(model: str, objective: str) -> None:
    """Against dropping the edges alone, and against a network that is not asked to unlearn."""
    problem = trained(model, objective)
    forget = pairs(problem.data, list(range(0, 1000, 31)))
    graph, records = problem.graph, problem.records(forget)
    unconnected = uniform_negatives(graph, records, 20, seed=3, epoch=7)
    kept = torch.ones(graph.n_edges, dtype=torch.bool)
    kept[records] = False

    def means(after: RecommenderProblem) -> tuple[float, float]:
        """Deleted and remaining pairs on a scale where 0 is an unconnected pair and 1 a pair as it was."""
        users, items = after.readout()
        before = problem.outputs(torch.stack([graph.rows, graph.cols], 1))
        apart = float((users[graph.rows[records]][:, None] * items[unconnected]).sum(2).mean())
        scores = (users[graph.rows] * items[graph.cols]).sum(1)
        unit = float(before.mean()) - apart
        return (float(scores[records].mean()) - apart) / unit, (float(scores[kept].mean()) - apart) / unit

    unlearner = UnlearnRec(batch_size=250, epochs=8, lr=1e-2, **MILD)
    dropped = means(method("graph_drop").forget(problem, forget).problem)
    full, idle = (
        means(one.forget(problem, forget, one.prepare(problem)).problem)
        for one in (unlearner, replace(unlearner, unlearn=0.0))
    )
    assert full[0] < dropped[0] - 0.2
    assert full[0] < idle[0] - 0.1
    assert full[0] < full[1] - 0.2


@pytest.mark.parametrize("local", [True, False])
def test_only_rows_that_lose_an_interaction_are_corrected(local: bool) -> None:
    problem = trained()
    forget = pairs(problem.data, [3, 40, 41])
    unlearner = UnlearnRec(local=local, epochs=2, **MILD)
    result = unlearner.forget(problem, forget, unlearner.prepare(problem))
    expected = losing(Deletion.of(problem, np.array([3, 40, 41])).deleted)
    assert 3 <= int(expected.sum()) <= 6
    changed = result.rows_changed["table"]
    assert torch.equal(changed, expected) is local
    assert local or int(changed.sum()) > 0.9 * len(changed)


@functools.cache
def of_split() -> tuple[RecommenderProblem, Interactions]:
    split = ratio(synthetic(n_users=120, n_items=80, n_interactions=2000, seed=5), seed=5)
    options = TrainingOptions(seed=1, epochs=60, batch_size=250, learning_rate=0.01)
    return RecommenderProblem.build(split.refit(), objective=BPR(), options=options, dim=16).fit(), split.test


def test_fine_tuning_wins_utility_back_and_an_answer_takes_a_fraction_of_a_retrain() -> None:
    """The two relations that the paper reports."""
    problem, test = of_split()
    forget = pairs(problem.data, list(range(0, problem.n_records, 20)))
    remaining = problem.without(forget)
    unlearner = UnlearnRec(batch_size=500, epochs=15, lr=1e-2, **MILD)
    state = unlearner.prepare(problem)
    plain, tuned = (replace(unlearner, fine_tune=epochs).forget(problem, forget, state) for epochs in (0, 5))

    def utility(after: RecommenderProblem) -> float:
        return evaluate(*after.readout(), train=remaining.data, test=test).summary()["ndcg_at_20"]

    def loss(after: RecommenderProblem) -> float:
        return float(remaining.objective(after.params))

    assert loss(tuned.problem) < loss(plain.problem)
    assert utility(tuned.problem) > utility(plain.problem)
    retrain = remaining.fit().history.seconds
    assert retrain is not None
    assert retrain > 10 * plain.seconds
    assert retrain > tuned.seconds


# ---- what stays ------------------------------------------------------------------------------------------------------


def test_the_state_drops_the_rows_of_those_forgotten_and_keeps_the_rest() -> None:
    problem = trained()
    data = problem.data
    forget = ForgetSet(users=(data.users.ids[4],), items=(data.items.ids[7],)) | pairs(data, [500])
    unlearner = UnlearnRec(epochs=2, **MILD)
    state = unlearner.prepare(problem)
    result = unlearner.forget(problem, forget, state)
    gone = torch.tensor([4, data.n_users + 7])
    left = torch.ones(problem.graph.n_nodes, dtype=torch.bool)
    left[gone] = False
    assert result.state is not None
    after: Params = result.state.payload
    assert after.keys() == state.payload.keys()
    for name, value in state.payload.items():
        if value.shape[0] != problem.graph.n_nodes:
            assert torch.equal(after[name], value)
            continue
        assert bool(value[gone].any(1).all())
        assert not after[name][gone].any()
        assert torch.equal(after[name][left], value[left])
    assert not result.problem.params["table"][gone].any()
    nodes, dim = problem.params["table"].shape
    assert state.megabytes == pytest.approx(8e-6 * (nodes * (dim + 1) + 2 * (dim * dim + dim)))


def test_requests_compose_on_the_table_and_the_network_that_the_last_one_left() -> None:
    problem = trained()
    data = problem.data
    unlearner = UnlearnRec(epochs=3, **MILD)
    first = unlearner.forget(problem, ForgetSet(users=(data.users.ids[4],)), unlearner.prepare(problem))
    request = pairs(data, [500, 501, 777])
    second = unlearner.forget(first.problem, request, first.state).problem
    assert first.state is not None
    positions = first.problem.records(request).numpy()
    deleted = Deletion.of(first.problem, positions).deleted
    readout = torch.cat(first.problem.readout())
    correction = Encoder(3, 0.1, True).correction(first.state.payload, deleted, readout)
    assert float(correction.abs().max()) > 1e-4
    torch.testing.assert_close(second.params["table"], first.problem.params["table"] + correction, **EXACT64)


def test_a_request_of_ties_alone_changes_no_score() -> None:
    problem = trained()
    assert problem.data.ties is not None
    tie = problem.data.users.take(problem.data.ties[0])
    result = UnlearnRec(epochs=1).forget(problem, ForgetSet(ties=((tie[0], tie[1]),)))
    assert result.n_rows_changed == 0


def test_arguments_are_checked_together_and_models_before_work() -> None:
    bad: dict[str, Any] = {
        "layers": 0, "withdrawal": -1.0, "unlearn": -1.0, "preserve": -1.0, "contrast": -1.0, "temperature": 0.0,
        "rate": 0.5, "epochs": -1, "batch_size": 0, "lr": 0.0, "fine_tune": -1,
    }  # fmt: skip
    with pytest.raises(ValueError, match="layers") as raised:
        UnlearnRec(**bad)
    for name in bad:
        assert f"`{name}` must be" in str(raised.value)
    with pytest.raises(MissingRequirement, match="works on a RecommenderProblem"):
        UnlearnRec().forget(ridge(), ForgetSet(records=(0,)))
    wide = RecommenderProblem.build(tiny_data(), model="ngcf", dim=4)
    with pytest.raises(MissingRequirement, match="as wide as the table"):
        UnlearnRec().prepare(wide)
