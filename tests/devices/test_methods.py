"""Every method that can be applied serves a request on a GPU as it does on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch

import recsys.methods  # noqa: F401  (registers those that know recommenders)
from graph_influence.problem import SurrogateProblem
from graph_influence.surrogate import surrogate
from recsys.attribution import pair_scores, tracin
from recsys.problem import RecommenderProblem
from recsys.scorer import RankingScorer
from tests.devices.small import OBJECTIVES, assert_agrees, interactions, some_of_everything, some_users, trained
from tests.graph_influence.maximize.graphs import social
from tests.unlearn.toys import Perceptron, blobs, cross_entropy
from unlearn.attribution import GradientDot, Influence, TracIn
from unlearn.audit import compare
from unlearn.audit.pool import ModelPool, Plan
from unlearn.forget import ForgetSet
from unlearn.hooks import AttachedOptions, attach
from unlearn.methods import method, methods
from unlearn.worst_case import selector, selectors

# Signs of gradients decide in these, and a gradient that is nearly zero may have either on the other device.
SIGNED = {"iau": 1e-2, "masked": 1e-2}


@pytest.mark.parametrize("model", ["lightgcn", "mf", "social_lightgcn"])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("name", sorted(methods()))
def test_it_serves_as_on_the_cpu(gpu: torch.device, name: str, objective: str, model: str) -> None:
    here = trained(objective, model)
    unlearner = method(name)
    if unlearner.obstacle(here) is not None:
        assert unlearner.obstacle(here.to(gpu)) is not None
        return
    ends = []
    for problem in (here.to(gpu), here):
        state = unlearner.prepare(problem)
        for forget in (some_users(), some_of_everything()):
            result = unlearner.forget(problem, problem.resolve(forget, unknown="skip"), state)
            problem, state = result.problem, result.state
        ends.append(problem)
    if isinstance(ends[0], RecommenderProblem):
        assert all(value.device.type == gpu.type for value in ends[0].params.values())
    assert_agrees(ends[0], ends[1], rtol=SIGNED.get(name, 1e-4))


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_comparison_finds_the_same(gpu: torch.device, objective: str) -> None:
    here = trained(objective)
    compared = [method("reconverge" if objective == "whole_data" else "two_level"), method("iau")]
    found = [
        compare(one, [some_users()], compared, RankingScorer(interactions()), seed=0, key=b"k" * 32)
        for one in (here.to(gpu), here)
    ]
    for name in ("no_op", compared[0].name, "retrain"):
        ours, theirs = (one.central(name) for one in found)
        for figure in ("recall_at_20", "forget_auc", "retrain_gap", "effect"):
            assert ours[figure] == pytest.approx(theirs[figure], rel=1e-2, abs=1e-3), (name, figure)


def test_a_pool(gpu: torch.device, tmp_path: Path) -> None:
    here = trained("bpr")
    plan = Plan.halves(here.data.n_users, 4, seed=0, unit="user")
    pools = [ModelPool(one, plan, tmp_path / str(k), jobs=1) for k, one in enumerate((here.to(gpu), here))]
    for pool in pools:
        pool.fill()
    for j in range(len(plan)):
        assert_agrees(pools[0].model(j), pools[1].model(j), rtol=1e-4)


@pytest.mark.parametrize("name", selectors())
def test_the_worst_case(gpu: torch.device, name: str) -> None:
    here = trained("whole_data")
    chosen = selector(name, rounds=3) if name == "bilevel" else selector(name)
    found = [chosen.select(one, "users:10%", seed=0) for one in (here.to(gpu), here)]
    assert found[0].forget == found[1].forget


@pytest.mark.parametrize("attributor", [TracIn(), GradientDot(), Influence()], ids=lambda one: one.name)
def test_attribution(gpu: torch.device, attributor: TracIn | GradientDot | Influence) -> None:
    here = trained("bpr" if isinstance(attributor, TracIn) else "whole_data")
    query = pair_scores(torch.tensor([[0, 1], [5, 9]]))
    ours, theirs = (attributor.fit(one).scores(query).values for one in (here.to(gpu), here))
    torch.testing.assert_close(ours.cpu(), theirs, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("objective", ["whole_data", "bpr"])
def test_tracin_in_closed_form(gpu: torch.device, objective: str) -> None:
    here, pairs = trained(objective), torch.tensor([[0, 1], [5, 9]])
    torch.testing.assert_close(tracin(here.to(gpu), pairs).cpu(), tracin(here, pairs), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["reconverge", "fine_tune", "iau", "newton", "retrain"])
def test_a_surrogate(gpu: torch.device, name: str) -> None:
    random = np.random.default_rng(0)
    sets = [np.sort(random.permutation(30)[:3]) for _ in range(6)]
    ends = []
    for device in (gpu, torch.device("cpu")):
        network = surrogate("gcn", depth=2, width=3).double().to(device)
        options = AttachedOptions(solver="adam", epochs=20, lr=0.05)
        problem = SurrogateProblem.build(network, social(30), sets, runs=100, options=options).fit()
        assert all(value.device.type == device.type for value in problem.params.values())
        ends.append(method(name).forget(problem, ForgetSet(users=("p3",))).problem)
    assert_same(*ends)


@pytest.mark.parametrize("name", ["reconverge", "newton", "influence", "iau", "fine_tune", "delta_grad", "retrain"])
@pytest.mark.parametrize("solver", ["lbfgs", "adam"])
def test_an_attached_module(gpu: torch.device, name: str, solver: Literal["lbfgs", "adam"]) -> None:
    ends = []
    for device in (gpu, torch.device("cpu")):
        x, labels = (part.to(device) for part in blobs(200))
        module = Perceptron(30, 8, 10).double().to(device)
        options = AttachedOptions(solver=solver, epochs=30, max_iterations=60)
        problem = attach(module, cross_entropy, (x.double(), labels), penalty=1.0, options=options).fit()
        ends.append(method(name).forget(problem, ForgetSet(records=(1, 5, 8))).problem)
    assert_same(*ends)


def assert_same(there: Any, here: Any) -> None:
    for key, value in here.params.items():
        torch.testing.assert_close(there.params[key].cpu(), value, rtol=1e-3, atol=1e-5)
