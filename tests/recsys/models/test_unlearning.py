"""Unlearning methods on models with several parameters: rows go, shared weights stay or are moved, nothing breaks."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest
import torch

from recsys.data import Interactions
from recsys.objectives import BPR
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from unlearn.forget import ForgetSet
from unlearn.methods import method

MODELS: dict[str, dict[str, Any]] = {"ngcf": {"layers": 2}, "sgl": {}, "simgcl": {}, "xsimgcl": {}}


@functools.cache
def trained(name: str) -> RecommenderProblem:
    pairs = [(f"u{u}", (u * 3 + k * (1 + u % 2)) % 11) for u in range(9) for k in range(4)]
    data = Interactions.from_frame(pd.DataFrame(pairs, columns=["user", "item"]))
    options = TrainingOptions(epochs=4, batch_size=16, lr=0.02)
    return RecommenderProblem.build(data, model=name, objective=BPR(), dim=4, options=options, **MODELS[name]).fit()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("by", ["row_drop", "fine_tune", "iau", "retrain"])
def test_a_user_is_gone_from_every_parameter_and_the_rest_is_sound(by: str, name: str) -> None:
    problem, unlearner = trained(name), method(by)
    forget = ForgetSet(users=["u4"])
    result = unlearner.forget(problem, forget, unlearner.prepare(problem))
    after = result.problem
    assert isinstance(after, RecommenderProblem)
    row = int(problem.data.users.rows(["u4"])[0])
    assert after.params.keys() == problem.params.keys()
    assert after.params["table"][row].abs().max() == 0 and after.readout()[0][row].abs().max() == 0
    assert all(value.isfinite().all() and value.abs().max() > 0 for value in after.params.values())
    assert after.n_records == problem.n_records - 4
    shared = [key for key in problem.params if key != "table"]
    moved = [not torch.equal(after.params[key], problem.params[key]) for key in shared]
    assert moved == [by in ("fine_tune", "iau", "retrain")] * len(shared)


@pytest.mark.parametrize("name", MODELS)
def test_a_coupled_retrain_differs_only_by_what_the_user_taught(name: str) -> None:
    """Nearer to the original than a retrain that starts and draws anew: without coupling the two would be alike."""
    problem = trained(name)
    remaining = problem.without(ForgetSet(users=["u4"]))
    others = [row for row in range(problem.graph.n_nodes) if row != int(problem.data.users.rows(["u4"])[0])]
    coupled, independent = remaining.fit(), remaining.fit(options=replace(problem.options, seed=7))
    near, far = ((p.params["table"] - problem.params["table"])[others].norm() for p in (coupled, independent))
    assert 0 < near < 0.5 * far
