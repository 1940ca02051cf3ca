"""Units: numbers, owners and forget sets say the same thing about the same data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from recsys.data import Interactions
from tests.unlearn.toys import ridge, tiny_recommender
from unlearn.forget import ForgetSet
from unlearn.hooks import attach


@pytest.mark.parametrize("unit", ["user", "item", "interaction"])
def test_the_forget_set_of_units_removes_the_records_that_they_own(unit: Any) -> None:
    problem = tiny_recommender()
    units = problem.units(unit)
    chosen = np.array([1, 4, 6])
    forget = units.forget_set(chosen)
    removed = problem.records(problem.resolve(forget)).numpy()
    assert removed.tolist() == np.flatnonzero(np.isin(units.owners, chosen)).tolist() and len(removed) >= 3
    remaining = problem.without(forget).units(unit)
    assert units.counts.tolist() == [int((units.owners == number).sum()) for number in range(len(units))]
    # Keys go with the unit, not with its number.
    kept = np.delete(units.keys, chosen)
    assert np.array_equal(remaining.keys[remaining.keys != 0], kept) and len(set(kept.tolist())) == len(kept)
    weights = torch.ones(len(units), dtype=torch.float64)
    weights[torch.from_numpy(chosen)] = 0.0
    losses = problem.weighted(unit, weights).record_losses(problem.params)
    assert losses.eq(0.0).nonzero().flatten().tolist() == removed.tolist()
    if unit != "interaction":
        assert problem.without(forget).units(unit).forget_set(chosen) == ForgetSet()


def test_numbered_records_are_their_own_units() -> None:
    problem = ridge().without(ForgetSet(records=(0, 2)))
    units = problem.units("record")
    assert len(units) == 38 and units.owners.tolist() == list(range(38))
    assert units.forget_set(np.array([0, 1])) == ForgetSet(records=(1, 3))
    assert np.array_equal(units.keys, np.delete(ridge().units("record").keys, [0, 2]))
    assert ridge().units("record").keys.all()  # 0 is the key of what is forgotten
    with pytest.raises(ValueError, match='"user" of a AttachedProblem'):
        problem.units("user")


def test_attached_data_counts_itself_and_ties_are_no_records() -> None:
    recommender = tiny_recommender()

    def losses(module: torch.nn.Module, data: Interactions) -> torch.Tensor:
        return module(torch.from_numpy(np.stack([data.user_rows(), data.item_rows()], 1)).double()).squeeze(-1)

    problem = attach(torch.nn.Linear(2, 1).double(), losses, recommender.data)
    assert np.array_equal(problem.units("user").owners, recommender.units("user").owners)
    assert problem.without(problem.units("user").forget_set(np.arange(3))).digest() != problem.digest()
    with pytest.raises(ValueError, match="for lightgcn"):
        recommender.units("tie")
    ties = problem.units("tie")
    assert (ties.owners == -1).all() and ties.counts.tolist() == [0] * len(ties)
    last = problem.without(ForgetSet(users=tuple(recommender.data.users.take([recommender.data.n_users - 1]))))
    assert last.units("user").counts.tolist() == [*problem.units("user").counts[:-1], 0]
