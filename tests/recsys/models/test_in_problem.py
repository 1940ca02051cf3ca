"""A problem's objective is the whole training loss: with the model's own part, and with the objective's parameters."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recsys.data import Interactions
from recsys.objectives import BPR, NBPO, Objective, WholeData
from recsys.objectives.model_loss import ModelLoss
from recsys.problem import RecommenderProblem
from recsys.store import load, save
from recsys.train import TrainingOptions
from tests.tolerances import EXACT64
from unlearn.forget import ForgetSet
from unlearn.methods import method

OPTIONS = TrainingOptions(epochs=4, batch_size=16, lr=0.02)


def build(data: Interactions, model: str, objective: Objective) -> RecommenderProblem:
    return RecommenderProblem.build(data, model=model, objective=objective, dim=4, dtype=torch.float64, options=OPTIONS)


@pytest.mark.parametrize("objective", [BPR(), NBPO(flip_dim=3), WholeData(a=0.2)], ids=lambda o: o.name)
@pytest.mark.parametrize("model", ["lightgcn", "ngcf", "sgl", "simgcl", "xsimgcl"])
def test_objective_and_gradient_are_those_of_the_whole_loss(
    model: str, objective: Objective, data: Interactions
) -> None:
    problem = build(data, model, objective)
    loss = ModelLoss(problem.model, objective, problem.graph)
    params = problem.params
    assert params.keys() == loss.initial(0, std=0.1).keys()
    some = torch.tensor([3, 1])
    torch.testing.assert_close(problem.record_losses(params, some), loss.record_losses(params)[some], **EXACT64)
    torch.testing.assert_close(problem.objective(params), loss.value(params), **EXACT64)
    torch.testing.assert_close(problem.background(params), loss.background(params), **EXACT64)
    value, gradient = problem.value_and_gradient(params)
    expected_value, expected = loss.value_and_gradient(params)
    assert value == pytest.approx(expected_value, rel=1e-12)
    for name in params:
        torch.testing.assert_close(gradient[name], expected[name], **EXACT64)
    direction = {name: torch.randn_like(at) for name, at in params.items()}
    slope = sum(float((gradient[name] * direction[name]).sum()) for name in params)
    ahead, behind = (
        float(problem.objective({name: at + step * direction[name] for name, at in params.items()}))
        for step in (1e-6, -1e-6)
    )
    assert slope == pytest.approx((ahead - behind) / 2e-6, rel=1e-5)


@pytest.mark.parametrize("model", ["lightgcn", "ngcf", "simgcl"])
def test_nbpo_is_trained_stored_and_forgotten(model: str, data: Interactions, tmp_path: Path) -> None:
    problem = build(data, model, NBPO(flip_dim=3))
    trained = problem.fit()
    assert (trained.params["flips"] - problem.params["flips"]).abs().max() > 0.01
    save(trained, tmp_path)
    back = load(tmp_path, data)
    assert isinstance(back, RecommenderProblem)
    assert all(torch.equal(back.params[name], value) for name, value in trained.params.items())
    assert float(back.objective(back.params)) == float(trained.objective(trained.params))
    forget = ForgetSet(users=["u03"])
    for name in ("fine_tune", "iau", "retrain"):
        unlearner = method(name)
        after = unlearner.forget(trained, forget, unlearner.prepare(trained)).problem
        assert isinstance(after, RecommenderProblem)
        assert after.params["flips"][3].abs().max() == after.params["table"][3].abs().max() == 0
        assert after.params["flips"].isfinite().all() and after.params["flips"].abs().max() > 0


@pytest.mark.parametrize("model", ["sgl", "simgcl", "xsimgcl"])
def test_another_seed_draws_other_views(model: str, data: Interactions) -> None:
    problem = build(data, model, BPR())
    same, other = problem.fit(), problem.fit(options=replace(OPTIONS, seed=3))
    assert same.model.arguments() == problem.model.arguments()
    assert other.model.arguments() == problem.model.arguments() | {"seed": 3}


def test_weights_as_long_as_the_table_are_not_taken_for_rows(data: Interactions) -> None:
    nodes = data.n_users + data.n_items
    problem = RecommenderProblem.build(data, model="ngcf", objective=NBPO(flip_dim=3), dim=nodes, layers=1)
    forget = ForgetSet(users=["u03"])
    settled = problem.without(forget).settled(forget)
    assert settled["table"].shape == settled["w1.0"].shape
    assert {name for name, rows in problem.row_changes(settled) if rows.any()} == {"table", "flips"}
    assert problem.touched(forget).keys() == {"table", "flips"}
    histories = data.csr()[[0, 4]]
    assert problem.fold_in(histories).shape == (2, data.n_items)
