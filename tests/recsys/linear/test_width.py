"""What is said of a model whose solution fills all the columns that it has."""

from __future__ import annotations

import pytest
import torch

from recsys.data import synthetic
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_model_is_too_narrow_where_the_solution_fills_it(dtype: torch.dtype) -> None:
    data = synthetic(n_users=300, n_items=250, n_interactions=5000, seed=4)

    def caveat(dim: int, objective: WholeData) -> str | None:
        return RecommenderProblem.build(data, objective=objective, dtype=dtype, dim=dim).fit().caveat

    wide, narrow = caveat(100, WholeData(l2=0.1)), caveat(40, WholeData(l2=0.1))  # the solution has a rank of 70
    assert wide is None
    assert narrow is not None and "all 40 columns" in narrow and "`dim`" in narrow
    assert caveat(40, WholeData(l2=1.0)) is None  # one of lower rank


def test_a_column_is_filled_above_a_hundredth_of_the_largest_and_of_a_score() -> None:
    problem = RecommenderProblem.build(synthetic(n_users=60, n_items=40, n_interactions=600, seed=0), dim=4)
    columns = torch.linalg.qr(torch.randn(100, 4, generator=torch.Generator().manual_seed(0))).Q
    for largest, share, filled in ((30.0, 0.02, True), (30.0, 0.005, False), (0.5, 0.025, True), (0.5, 0.015, False)):
        table = columns * torch.tensor([1.0, 0.7, 0.4, share]) * largest
        assert (problem.with_params({"table": table}).caveat is not None) is filled


def test_of_a_model_that_its_penalty_leaves_nothing_nothing_is_said() -> None:
    data = synthetic(n_users=60, n_items=40, n_interactions=600, seed=0)
    problem = RecommenderProblem.build(data, objective=WholeData(l2=50.0), dim=4).fit()
    assert problem.params["table"].abs().max() < 1e-6 and problem.caveat is None


def test_nothing_is_wider_than_there_are_users_or_items() -> None:
    data = synthetic(n_users=60, n_items=20, n_interactions=600, seed=0)
    assert RecommenderProblem.build(data, objective=WholeData(l2=0.01), dim=20).fit().caveat is None


def test_of_parameters_that_are_no_numbers_nothing_is_said() -> None:
    problem = RecommenderProblem.build(synthetic(n_users=60, n_items=40, n_interactions=600, seed=0), dim=4)
    assert problem.with_params({"table": problem.params["table"] * torch.nan}).caveat is None


def test_of_other_objectives_nothing_is_said() -> None:
    data = synthetic(n_users=60, n_items=40, n_interactions=600, seed=0)
    problem = RecommenderProblem.build(data, objective="bpr", dim=4, options=TrainingOptions(epochs=1))
    assert problem.fit().caveat is None
