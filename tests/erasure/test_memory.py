"""Forgotten means gone: no canary is in anything that a served request leaves in memory, and no row in a tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass

import numpy as np
import pytest
import torch

from recsys.joint_graph import JointGraph
from recsys.problem import RecommenderProblem
from tests.erasure.canaries import (
    KEEPS_ROWS,
    KINDS,
    OBJECTIVES,
    applicable,
    cases,
    served,
    trained,
    undetermined_nodes,
)
from tests.oracles.traces import in_object
from unlearn.forget import ForgetSet
from unlearn.history import History
from unlearn.methods import method
from unlearn.params import Params


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "objective"), [(name, one) for one in OBJECTIVES for name in applicable(one)])
def test_nothing_in_memory_remembers(name: str, kind: str, objective: str) -> None:
    before, case = trained(objective), cases()[kind]
    result = served(name, kind, objective)
    after = result.problem
    assert isinstance(after, RecommenderProblem)
    for canary in case.canaries:
        assert in_object(before, [canary])
    assert not in_object((after, result.state, result.rows_changed, result.arguments), case.canaries)

    rows = before.data.users.rows(case.forget.users), before.data.items.rows(case.forget.items)
    for ids, keys, gone in zip(
        (after.data.users, after.data.items), (after.graph.user_keys, after.graph.item_keys), rows, strict=True
    ):
        assert not ids.alive[gone].any()
        assert not keys[gone].any()
    assert not after.data.degrees()[0][rows[0]].any()
    assert not after.data.degrees()[1][rows[1]].any()
    for user, item in case.forget.interactions:
        pair = before.data.users.rows([user]), before.data.items.rows([item])
        assert before.data.contains(*pair).all()
        assert not after.data.contains(*pair).any()
        assert not ((after.graph.rows == pair[0][0]) & (after.graph.cols == pair[1][0])).any()


TRAIN_ANEW = {"retrain", "two_level"}  # on what remains: a row without data is as it was drawn, or near 0


def remembered(history: History) -> list[Params]:
    """All that a history holds and that has the parameters' shapes."""
    states = [history.optimizer, *(one.optimizer for one in history.checkpoints)]
    moments = [moment for state in states if state is not None for moment in (state.mean, state.square)]
    return [*moments, *(one.params for one in history.checkpoints)]


def tensors(found: object) -> list[torch.Tensor]:
    """All tensors in a state's payload."""
    if isinstance(found, torch.Tensor):
        return [found]
    if is_dataclass(found) and not isinstance(found, type):
        found = [getattr(found, one.name) for one in fields(found)]
    if isinstance(found, Mapping):
        found = list(found.values())
    return [one for part in found for one in tensors(part)] if isinstance(found, list | tuple) else []


@pytest.mark.parametrize(
    ("name", "kind", "objective"),
    [
        (name, kind, one)
        for one in OBJECTIVES
        for name in applicable(one)
        for kind in ("users", "items", "mixed", "emptied")
        if name not in KEEPS_ROWS and not (kind == "emptied" and name in TRAIN_ANEW)
    ],
)
def test_no_tensor_keeps_a_row(name: str, kind: str, objective: str) -> None:
    before, case = trained(objective), cases()[kind]
    result = served(name, kind, objective)
    after = result.problem
    assert isinstance(after, RecommenderProblem)
    gone = undetermined_nodes(before, case.forget)
    assert len(gone) >= 1
    assert (before.params["table"][gone] != 0).any(1).all()
    kept = [
        after.params,
        *remembered(after.history),
        {
            f"state {n}": one.view_as(after.params["table"]) if one.numel() == after.params["table"].numel() else one
            for n, one in enumerate(tensors(result.state and result.state.payload))
        },
        {"readout": torch.cat(after.readout()), "popularity": torch.from_numpy(np.concatenate(after.data.degrees()))},
    ]
    remembering = [
        key for tensors in kept for key, value in tensors.items()
        if value.shape[:1] == (len(after.params["table"]),) and bool(value[gone].any())
    ]  # fmt: skip
    assert remembering == []


def test_training_kept_what_there_was_to_keep() -> None:
    history = trained("bpr").history
    gone = undetermined_nodes(trained("bpr"), cases()["users"].forget)
    assert len(history.checkpoints) == 2
    assert len(remembered(history)) == 2 * 3 + 2
    assert all(one["table"][gone].any() for one in remembered(history))


@pytest.mark.parametrize(("name", "objective"), [(name, one) for one in OBJECTIVES for name in applicable(one)])
def test_a_model_that_used_ties_keeps_none_of_those_forgotten(name: str, objective: str) -> None:
    """Not in data, arcs or degrees, and no tensor is what it was when the ties were there."""
    before, unlearner = trained(objective, "social_lightgcn"), method(name)
    units = before.units("tie")
    forget = units.forget_set(np.arange(0, len(units), 5)) | ForgetSet(users=cases()["users"].forget.users)
    result = unlearner.forget(before, before.resolve(forget), unlearner.prepare(before))
    after = result.problem
    assert isinstance(after, RecommenderProblem)
    assert isinstance(before.graph, JointGraph) and isinstance(after.graph, JointGraph)
    assert before.data.ties is not None and after.data.ties is not None
    gone = {frozenset(before.data.users.rows(tie).tolist()) for tie in forget.ties}
    rows = set(before.data.users.rows(forget.users).tolist())
    for left in (after.data.ties.tolist(), after.graph.ends.tolist()):
        assert left and not gone & set(map(frozenset, left)) and not rows & {end for tie in left for end in tie}
    assert torch.equal(after.graph.degrees(), before.without(forget).graph.degrees())
    old = [tensor for kept in remembered(before.history) for tensor in kept.values()]
    assert not any(
        torch.equal(one, other) for kept in remembered(after.history) for one in kept.values() for other in old
    )
    assert not in_object((after, result.state), forget.users)
