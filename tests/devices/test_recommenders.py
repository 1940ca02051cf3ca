"""A recommender on a GPU: the same values, derivatives, training, answers and files as on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recsys import models, objectives
from recsys.data import ratio
from recsys.evaluate import evaluate
from recsys.linear.growth import fit_width
from recsys.methods import Sharding
from recsys.models import LinearRecommender
from recsys.problem import RecommenderProblem
from recsys.store import load, save
from tests.devices.small import (
    CLOSE,
    OBJECTIVES,
    assert_agrees,
    pairs,
    some_of_everything,
    some_users,
    trained,
    untrained,
)  # fmt: skip
from tests.tolerances import EXACT64
from unlearn.forget import ForgetSet
from unlearn.methods import method
from unlearn.params import Params


def direction(problem: RecommenderProblem) -> Params:
    random = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(value.shape, generator=random, dtype=value.dtype).to(value.device)
        for name, value in problem.params.items()
    }


@pytest.mark.parametrize("model", models.registered())
@pytest.mark.parametrize("name", objectives.registered())
def test_values_gradients_and_curvature(gpu: torch.device, model: str, name: str) -> None:
    here = untrained(objectives.objective(name), model)
    there = here.to(gpu)
    built = RecommenderProblem.build(
        here.data, model=model, objective=here.objective_function, options=here.options, dtype=torch.float64,
        device=gpu, dim=8,
    )  # fmt: skip
    assert all(value.device.type == gpu.type for value in there.params.values())
    for params in (there.params, built.params):
        torch.testing.assert_close({k: v.cpu() for k, v in params.items()}, here.params, rtol=0, atol=0)
    ours, theirs = ([part.value_and_gradient(part.params), part.hessian_product(part.params, direction(part))]
                    for part in (there, here))  # fmt: skip
    assert ours[0][0] == pytest.approx(theirs[0][0], rel=1e-9)
    for one, other in ((ours[0][1], theirs[0][1]), (ours[1], theirs[1])):
        torch.testing.assert_close({k: v.cpu() for k, v in one.items()}, other, **EXACT64)


@pytest.mark.parametrize("model", models.registered())
@pytest.mark.parametrize("name", OBJECTIVES)
def test_training_ends_where_it_ends_on_the_cpu(gpu: torch.device, name: str, model: str) -> None:
    here = untrained(OBJECTIVES[name], model)
    after, there = here.fit(), here.to(gpu).fit()
    assert all(value.device.type == gpu.type for value in there.params.values())
    if name == "whole_data" and not isinstance(here.model, LinearRecommender):
        # Not convex: from another rounding, another minimum. They are about as low.
        values = [float(one.objective(one.params)) for one in (there, after)]
        assert values[0] == pytest.approx(values[1], rel=0.1)
        assert values[0] < 0.95 * float(here.objective(here.params))
    else:
        assert_agrees(there, after, rtol=1e-5)


def test_as_many_columns_are_needed(gpu: torch.device) -> None:
    here = untrained(OBJECTIVES["whole_data"])
    there, found = fit_width(here.to(gpu)), fit_width(here)
    assert there.model.dim == found.model.dim != here.model.dim
    assert there.params["table"].device.type == gpu.type
    torch.testing.assert_close(there.params["table"].cpu(), found.params["table"], rtol=0, atol=0)


@pytest.mark.parametrize("unit", ["user", "item", "interaction", "tie"])
def test_weights(gpu: torch.device, unit: str) -> None:
    here = trained("whole_data", "social_lightgcn")
    size = here.graph.sizes[unit]  # pyright: ignore[reportArgumentType]
    weights = torch.rand(size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ours, theirs = (
        torch.autograd.grad(part.weighted(unit, mine).objective(part.params), mine)[0].cpu()  # pyright: ignore[reportArgumentType]
        for part, mine in (
            (here.to(gpu), weights.to(gpu).requires_grad_()),
            (here, weights.clone().requires_grad_()),
        )
    )
    torch.testing.assert_close(ours, theirs, **EXACT64)


def test_the_proof(gpu: torch.device) -> None:
    """At a point that is not the end, where the bound would be all rounding."""
    here = trained("whole_data")
    here = here.with_params({name: 1.05 * value for name, value in here.params.items()})
    ours, theirs = here.to(gpu).optimality(), here.optimality()
    assert ours is not None and theirs is not None
    assert ours.score_distance == pytest.approx(theirs.score_distance, rel=1e-3)
    assert ours.curvature == pytest.approx(theirs.curvature, rel=1e-3)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_answers_recommendations_and_metrics(gpu: torch.device, name: str) -> None:
    here = trained(name)
    there = here.to(gpu)
    torch.testing.assert_close(there.outputs(pairs()).cpu(), here.outputs(pairs()), **CLOSE)
    users = here.data.users.take(np.arange(10))
    lists = [model.ranker().recommend(users, k=5, exclude=model.data).ids.tolist() for model in (there, here)]
    assert lists[0] == lists[1]
    split = ratio(here.data, seed=0)
    figures = [evaluate(*model.readout(), train=split.train, test=split.test).summary() for model in (there, here)]
    assert figures[0] == pytest.approx(figures[1])
    histories = here.data.csr()[:4]
    torch.testing.assert_close(there.fold_in(histories).cpu(), here.fold_in(histories), **CLOSE)
    histories = here.data.csr()[:, :4].T.tocsr()
    torch.testing.assert_close(there.fold_in_items(histories).cpu(), here.fold_in_items(histories), **CLOSE)


def test_a_model_stored_there_is_read_here(gpu: torch.device, tmp_path: Path) -> None:
    here = trained("bpr")
    save(here.to(gpu), tmp_path / "there")
    back = load(tmp_path / "there", here.data)
    assert isinstance(back, RecommenderProblem) and back.history.checkpoints
    torch.testing.assert_close(back.params, here.params, rtol=0, atol=0)


def test_a_recommender_goes_there_and_back(gpu: torch.device) -> None:
    here = trained("bpr")
    back = here.to(gpu).to("cpu")
    torch.testing.assert_close(back.params, here.params, rtol=0, atol=0)
    assert back.digest() == here.digest() == here.to(gpu).digest()
    one, other = back.history.optimizer, here.history.optimizer
    assert one is not None and other is not None and one.steps == other.steps
    torch.testing.assert_close(one.square, other.square, rtol=0, atol=0)


@pytest.mark.parametrize("request_", [some_users(), some_of_everything()], ids=["users", "mixed"])
def test_shards(gpu: torch.device, request_: ForgetSet) -> None:
    here = untrained(OBJECTIVES["whole_data"])
    ends = []
    for problem in (here.to(gpu), here):
        sharding = method("sharding")
        assert isinstance(sharding, Sharding)
        ends.append(sharding.forget(problem, request_, sharding.prepare(problem)).problem)
    assert_agrees(ends[0], ends[1], rtol=1e-5)
