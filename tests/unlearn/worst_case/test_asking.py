"""The units that a problem names, and what forgotten ones are asked about."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recsys.problem import RecommenderProblem
from tests.tolerances import EXACT64
from tests.unlearn.toys import ridge
from unlearn.forget import ForgetSet
from unlearn.methods.base import method
from unlearn.units import Unit
from unlearn.worst_case import (
    Budget,
)
from unlearn.worst_case.asking import Asking

DTYPE = torch.float64


@pytest.mark.parametrize("unit", ["user", "item", "interaction"])
def test_units_own_the_records_that_their_forget_set_removes(problem: RecommenderProblem, unit: Unit) -> None:
    gone = problem.without(ForgetSet(users=(problem.data.users.take([3])[0],)))
    for each in (problem, gone):
        units = each.units(unit)
        assert len(units.owners) == each.n_records
        rows = np.unique(units.owners)[[0, 4, 7]]
        owned = torch.from_numpy(np.isin(units.owners, rows)).nonzero().flatten()
        assert each.records(units.forget_set(rows)).equal(owned)
        weights = torch.ones(len(units), dtype=DTYPE)
        weights[rows] = 0.0  # and `weighted` means the same units
        faded = each.weighted(unit, weights).record_losses(each.params)
        assert (faded == 0).nonzero().flatten().equal(owned)
    with pytest.raises(ValueError, match="`unit` must be interaction, user, item for lightgcn"):
        problem.units("tie")


def test_records_of_an_attached_module_keep_their_numbers() -> None:
    left = ridge().fit().without(ForgetSet(records=(0, 7)))
    assert left.units("record").forget_set(np.array([0, 5, 6])) == ForgetSet(records=(1, 6, 8))
    with pytest.raises(ValueError, match="of a kind that this problem counts"):
        left.units("user")


@pytest.mark.parametrize("kind", ["interaction", "user", "item"])
def test_forgotten_units_are_asked_as_a_model_without_them_answers(problem: RecommenderProblem, kind: Unit) -> None:
    """Single interactions by the scores of the remaining graph; of a user or item half is folded in first."""
    budget = Budget(kind, 4)
    room = budget.room(problem.units(kind))
    asking = Asking.of(problem, room, seed=3)
    rows = torch.tensor([1, 4, 9, 11])
    forget = room.forget_set(rows)
    after = method("retrain", coupled=True).forget(problem, forget).problem
    assert isinstance(after, RecommenderProblem)
    expected: list[float] = []
    place = room.place
    for row in rows.tolist():
        mine = (place == row) & asking.asked
        assert int(mine.sum()) == -(-int((place == row).sum()) // 2) if kind != "interaction" else mine.sum() == 1
        asked_everywhere = torch.isin(place, rows) & asking.asked
        pairs = tuple(pair for pair, one in zip(pairs_of(problem), asked_everywhere.tolist(), strict=True) if one)
        folded = problem.without(ForgetSet(interactions=pairs)).with_params(after.params)
        users, items = folded.readout()
        y = (users[problem.graph.rows[mine]] * items[problem.graph.cols[mine]]).sum(1)
        expected.append(float(((1 - y).square() - 0.1 * y.square()).mean()))
    torch.testing.assert_close(asking.losses(after.params, rows), torch.tensor(expected, dtype=DTYPE), **EXACT64)


def pairs_of(problem: RecommenderProblem) -> list[tuple[Any, Any]]:
    data = problem.data
    return list(zip(data.users.take(data.user_rows()), data.items.take(data.item_rows()), strict=True))


def test_a_weight_of_one_is_nearly_forgotten_and_of_zero_trained(problem: RecommenderProblem) -> None:
    room = Budget("user", 4).room(problem.units("user"))
    asking = Asking.of(problem, room, seed=0)
    nothing = asking.relaxed(problem.params, torch.zeros(len(room), dtype=DTYPE), degrees=True)
    torch.testing.assert_close(nothing, asking.trained(problem.params), **EXACT64)
    rows = torch.tensor([2, 5])
    w = torch.zeros(len(room), dtype=DTYPE).index_fill(0, rows, 1.0)
    nearly, gone = asking.relaxed(problem.params, w, degrees=True)[rows], asking.losses(problem.params, rows)
    torch.testing.assert_close(nearly, gone, rtol=0.02, atol=0.01)
    assert float((gone - nothing[rows]).abs().min()) > 0.05


def test_ties_are_asked_by_the_likeness_of_their_ends_on_the_graph_without_them(social: RecommenderProblem) -> None:
    room = Budget("tie", 4).room(social.units("tie"))
    asking = Asking.of(social, room, seed=0)
    rows = torch.tensor([0, 3, 4, 9])
    forget = room.forget_set(rows)
    after = method("retrain", coupled=True).forget(social, forget).problem
    assert isinstance(after, RecommenderProblem) and room.units.ends is not None
    users, items = after.readout()
    scores = users @ items.T
    pairs = room.units.ends[rows.numpy()].tolist()
    expected = [1 - float(torch.cosine_similarity(scores[a], scores[b], dim=0)) for a, b in pairs]
    assert asking.losses(after.params, rows).tolist() == pytest.approx(expected, rel=1e-9, abs=1e-11)
    # Relaxed: as trained at 0, nearly forgotten at 1, and with the right slope between.
    nothing = torch.zeros(len(room), dtype=DTYPE)
    assert asking.relaxed(social.params, nothing, degrees=True).equal(asking.trained(social.params))
    gone = nothing.index_fill(0, rows, 1.0)
    nearly, losses = (
        asking.relaxed(social.params, gone, degrees=True)[rows], asking.losses(social.params, rows)
    )  # fmt: skip
    torch.testing.assert_close(nearly, losses, rtol=0.01, atol=1e-3)
    assert float((losses - asking.trained(social.params)[rows]).abs().min()) > 1e-3
    w = torch.full_like(nothing, 0.3).requires_grad_()
    (slope,) = torch.autograd.grad(asking.relaxed(social.params, w, degrees=True).sum(), w)
    step = torch.zeros_like(nothing).index_fill(0, torch.tensor([5]), 1e-6)
    ahead, behind = (
        float(asking.relaxed(social.params, w.detach() + sign * step, degrees=True).sum()) for sign in (1, -1)
    )
    assert float(slope[5]) == pytest.approx((ahead - behind) / 2e-6, rel=1e-5)
