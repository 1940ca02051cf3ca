"""What the method does to deleted pairs and to the others, and what it keeps."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from recsys.data import Interactions, ratio, synthetic
from recsys.evaluate import evaluate
from recsys.methods.unlearnrec import UnlearnRec
from recsys.methods.unlearnrec.deletion import Deletion, held_out
from recsys.methods.unlearnrec.encoder import Encoder, losing
from recsys.methods.unlearnrec.training import EncoderTraining
from recsys.objectives import BPR
from recsys.objectives.negatives import uniform_negatives
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.recsys.methods.unlearnrec.models import MILD, pairs, trained
from tests.tolerances import EXACT64
from tests.unlearn.toys import ridge, tiny_data
from unlearn.forget import ForgetSet
from unlearn.methods import MissingRequirement, method
from unlearn.params import Params


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
    options = TrainingOptions(seed=1, epochs=60, batch_size=250, lr=0.01)
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


def test_fine_tuning_goes_by_half_of_the_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, whole = trained(), EncoderTraining.loss
    weights = set[tuple[float, float]]()

    def loss(self: EncoderTraining, *arguments: Any, **options: Any) -> Any:
        weights.add((self.unlearn, self.preserve))
        return whole(self, *arguments, **options)

    unlearner = UnlearnRec(unlearn=0.4, preserve=6.0, epochs=1, fine_tune=1)
    state = unlearner.prepare(problem)
    monkeypatch.setattr(EncoderTraining, "loss", loss)
    unlearner.forget(problem, pairs(problem.data, [0, 100]), state)
    assert weights == {(0.2, 3.0)}


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
        "share": 0.5, "epochs": -1, "batch_size": 0, "lr": 0.0, "fine_tune": -1,
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


def test_a_model_of_a_single_interaction_prepares_or_says_why_not() -> None:
    """By chance, a tenth, that one is what the encoder would be judged by."""

    def of(user: str) -> RecommenderProblem:
        frame = pd.DataFrame({"user": [user], "item": ["item"]})
        return RecommenderProblem.build(Interactions.from_frame(frame), dim=2)

    problems = [of(f"user {number}") for number in range(40)]
    held = [held_out(problem, share=0.1, seed=0).remaining.n_records == 0 for problem in problems]
    UnlearnRec(epochs=1).prepare(problems[held.index(False)])
    with pytest.raises(MissingRequirement, match=r"needs interactions that remain .* \(got 1 in all\)"):
        UnlearnRec(epochs=1).prepare(problems[held.index(True)])
