"""The whole training loss as a function of the parameters, for every model with every kind of objective."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from recsys.data import Interactions
from recsys.objectives import BPR, Multinomial, Objective, RelMF, SampledSoftmax, WholeData
from recsys.objectives.model_loss import ModelLoss
from recsys.problem import RecommenderProblem
from tests.tolerances import EXACT64
from unlearn.forget import ForgetSet

MODELS: dict[str, dict[str, Any]] = {
    "mf": {},
    "ngcf": {"layers": 2},
    "sgl": {"layers": 2, "weight": 0.5, "drop": 0.3},
    "simgcl": {"layers": 2, "weight": 0.5},
    "xsimgcl": {"layers": 2, "weight": 0.5},
}
OBJECTIVES = [WholeData(a=0.2), Multinomial(), RelMF(a=0.2), BPR(negatives=2)]


def built(data: Interactions, name: str, objective: Objective) -> tuple[ModelLoss, dict[str, torch.Tensor]]:
    problem = RecommenderProblem.build(data, model=name, dim=4, dtype=torch.float64, **MODELS[name])
    loss = ModelLoss(problem.model, objective, problem.graph)
    return loss, loss.initial(1, std=0.5)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: o.name)
@pytest.mark.parametrize("name", MODELS)
def test_parts_add_up_and_the_gradient_matches_finite_differences(
    name: str, objective: Objective, data: Interactions
) -> None:
    loss, params = built(data, name, objective)
    value, gradient = loss.value_and_gradient(params)
    parts = loss.record_losses(params).sum() + loss.background(params) + objective.penalty(params)
    assert value == pytest.approx(float(loss.value(params)), rel=1e-12) == pytest.approx(float(parts), rel=1e-12)
    assert gradient.keys() == params.keys()
    generator = torch.Generator().manual_seed(4)
    for key, at in params.items():
        direction = torch.randn(at.shape, dtype=torch.float64, generator=generator)
        ahead, behind = (float(loss.value({**params, key: at + step * direction})) for step in (1e-6, -1e-6))
        assert float((gradient[key] * direction).sum()) == pytest.approx((ahead - behind) / 2e-6, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_losses_of_some_records_are_their_part_of_all(name: str, data: Interactions) -> None:
    loss, params = built(data, name, BPR())
    some = torch.tensor([5, 0, 7])
    torch.testing.assert_close(loss.record_losses(params, some), loss.record_losses(params)[some], **EXACT64)


@pytest.mark.parametrize("objective", [WholeData(a=0.2), Multinomial(), RelMF(a=0.2)], ids=lambda o: o.name)
def test_idle_are_the_forgotten_and_those_without_edges_that_rest_at_zero(
    objective: Objective, data: Interactions
) -> None:
    """The oracle is the gradient: where no edge reaches, zero is the optimum or it pulls away from there."""
    trained = RecommenderProblem.build(data, objective=objective, dim=4, layers=2, dtype=torch.float64)
    forget = ForgetSet(users=["u03"], items=[105])
    remaining = trained.without(forget)
    loss = remaining.loss
    params = {"table": torch.randn_like(remaining.params["table"])}
    alone = torch.cat([torch.from_numpy(degrees == 0) for degrees in remaining.data.degrees()])
    params["table"][alone] = 0.0
    still = loss.value_and_gradient(params)[1]["table"].abs().amax(1) == 0
    assert alone[[3, 11, 12 + 5, 12 + 14]].all()
    assert loss.idle_nodes.tolist() == (alone & still).nonzero().flatten().tolist()


@pytest.mark.parametrize("objective", [*OBJECTIVES, SampledSoftmax()], ids=lambda o: o.name)
def test_where_no_item_remains_the_penalty_alone_is_left(objective: Objective, data: Interactions) -> None:
    trained = RecommenderProblem.build(data, model="mf", objective=objective, dim=4, dtype=torch.float64)
    left = trained.without(ForgetSet(items=tuple(range(100, 115))))
    table, direction = torch.randn(2, *left.params["table"].shape, dtype=torch.float64)
    table[data.n_users :] = direction[data.n_users :] = 0.0  # rows of the forgotten are cleared
    params = {"table": table}
    value, gradient = left.value_and_gradient(params)
    product = left.hessian_product(params, {"table": direction})
    assert value == pytest.approx(float(left.penalty(params))) == pytest.approx(float(left.objective(params)))
    torch.testing.assert_close(gradient["table"], 2.0 * objective.l2 * table, **EXACT64)
    torch.testing.assert_close(product["table"], 2.0 * objective.l2 * direction, **EXACT64)


@pytest.mark.parametrize("name", ["sgl", "simgcl", "xsimgcl"])
def test_the_contrast_is_in_the_loss_of_its_records_with_their_weights(name: str, data: Interactions) -> None:
    loss, params = built(data, name, WholeData(a=0.2))
    graph = loss.graph
    final, own = loss.model.training_pass(params, graph, torch.arange(graph.n_edges), epoch=0, batch=0)
    assert own is not None and own.min() > 0
    bare = loss.objective.record_losses(final[: graph.n_users], final[graph.n_users :], graph)
    torch.testing.assert_close(loss.record_losses(params), bare + own, **EXACT64)
    # All of one weight, arcs are what they were (a / sqrt(a a)); losses take the weight.
    halved = ModelLoss(loss.model, loss.objective, graph.weighted(torch.full_like(graph.values, 0.5)))
    torch.testing.assert_close(halved.record_losses(params), 0.5 * (bare + own), **EXACT64)


@pytest.mark.parametrize("name", ["simgcl", "xsimgcl", "ngcf"])
def test_second_derivatives_exist(name: str, data: Interactions) -> None:
    loss, params = built(data, name, BPR())
    leaves = {key: value.requires_grad_() for key, value in params.items()}
    direction = torch.randn_like(leaves["table"])
    (gradient,) = torch.autograd.grad(loss.value(leaves), leaves["table"], create_graph=True)
    (product,) = torch.autograd.grad((gradient * direction).sum(), leaves["table"])
    ahead, behind = (
        loss.value_and_gradient({**params, "table": params["table"].detach() + step * direction})[1]["table"]
        for step in (1e-6, -1e-6)
    )
    torch.testing.assert_close(product, (ahead - behind) / 2e-6, rtol=1e-4, atol=1e-4)
    assert product.isfinite().all() and product.norm() > 1e-2
