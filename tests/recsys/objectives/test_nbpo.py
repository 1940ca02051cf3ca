"""NBPO against the enumeration of who likes what, and against the plain logistic loss that it contains."""

from __future__ import annotations

import math

import pytest
import torch

from recsys.data import Interactions
from recsys.graph import BipartiteGraph
from recsys.objectives import NBPO, objective
from recsys.objectives.model_loss import ModelLoss
from recsys.objectives.negatives import uniform_negatives
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.tolerances import EXACT64
from unlearn.forget import ForgetSet


def factors(graph: BipartiteGraph, dim: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    table = torch.randn(graph.n_nodes, dim, dtype=torch.float64, generator=generator)
    return table[: graph.n_users], table[graph.n_users :]


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_equals_the_likelihood_summed_over_what_may_be_true(graph: BipartiteGraph) -> None:
    users, items = factors(graph)
    flips = torch.randn(graph.n_nodes, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(7))
    function = NBPO(negatives=3, flip_dim=3).bound({"flips": flips})
    records = torch.tensor([8, 0, 3])
    against = uniform_negatives(graph, records, 3, seed=0, epoch=2)

    def labelled(u: int, i: int, label: bool) -> float:
        """P(label) = sum over liked and not of P(label | liked) P(liked)."""
        flip = logistic(float(flips[u] @ flips[graph.n_users + i]))
        likes = logistic(float(users[u] @ items[i]))
        given_liked, given_not = (1 - flip, 0.0) if label else (flip, 1.0)
        return given_liked * likes + given_not * (1 - likes)

    expected: list[float] = []
    for record, negatives in zip(records.tolist(), against.tolist(), strict=True):
        u = int(graph.rows[record])
        expected.append(
            -math.log(labelled(u, int(graph.cols[record]), True))
            - sum(math.log(labelled(u, j, False)) for j in negatives)
        )
    found = function.sampled_losses(users, items, graph, records, epoch=2, batch=0)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), **EXACT64)


def test_scores_of_any_size_have_a_loss_and_a_gradient(graph: BipartiteGraph) -> None:
    """s(g) of a liked item stays unlabelled: as scores grow, the loss of a negative goes to -log s(g)."""
    users = torch.full((graph.n_users, 1), 10.0, requires_grad=True)
    items = torch.full((graph.n_items, 1), 10.0)  # every score is 100, beyond any exponential in float32
    flips = torch.ones(graph.n_nodes, 1)
    function = NBPO(negatives=2, flip_dim=1).bound({"flips": flips})
    found = function.sampled_losses(users, items, graph, torch.arange(graph.n_edges), epoch=1, batch=0)
    expected = math.log1p(math.exp(1.0)) + 2 * math.log1p(math.exp(-1.0))
    torch.testing.assert_close(found, torch.full_like(found, expected), rtol=0, atol=1e-4)
    assert torch.autograd.grad(found.sum(), users)[0].isfinite().all()


def test_is_the_logistic_loss_where_nothing_is_mislabelled(graph: BipartiteGraph) -> None:
    users, items = factors(graph)
    flips = torch.full((graph.n_nodes, 1), 30.0, dtype=torch.float64)
    flips[: graph.n_users] *= -1  # every product is -900
    records = torch.arange(graph.n_edges)
    function = NBPO(negatives=2, flip_dim=1)
    found = function.bound({"flips": flips}).sampled_losses(users, items, graph, records, epoch=1, batch=0)
    against = uniform_negatives(graph, records, 2, seed=0, epoch=1)
    scores = users @ items.T
    targets = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64).expand(len(records), 3)
    asked = torch.cat([graph.cols.unsqueeze(1), against], 1)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        scores[graph.rows].gather(1, asked), targets, reduction="none"
    )
    torch.testing.assert_close(found, expected.sum(1), **EXACT64)


@pytest.mark.parametrize("model", ["mf", "lightgcn", "ngcf"])
def test_gradient_of_both_tables_matches_finite_differences(model: str, data: Interactions) -> None:
    problem = RecommenderProblem.build(data, model=model, dim=4, dtype=torch.float64)
    loss = ModelLoss(problem.model, NBPO(negatives=2, flip_dim=3), problem.graph)
    params = loss.initial(3, std=0.5)
    assert params["flips"].shape == (problem.graph.n_nodes, 3)
    value, gradient = loss.value_and_gradient(params)
    assert value == pytest.approx(float(loss.record_losses(params).sum() + loss.objective.penalty(params)), rel=1e-12)
    for name, at in params.items():
        direction = torch.randn(at.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
        ahead, behind = (float(loss.value({**params, name: at + step * direction})) for step in (1e-5, -1e-5))
        slope = float((gradient[name] * direction).sum())
        assert slope == pytest.approx((ahead - behind) / 2e-5, rel=1e-5)
        assert abs(slope) > 1e-3


def test_the_penalty_weighs_the_tables_apart(graph: BipartiteGraph) -> None:
    params = {"table": torch.full((3, 2), 2.0), "flips": torch.full((3, 1), 3.0)}
    assert float(NBPO(l2=0.1, flip_l2=0.5).penalty(params)) == pytest.approx(0.1 * 24 + 0.5 * 27)


def test_an_improbable_label_pushes_less_than_in_the_logistic_loss(graph: BipartiteGraph) -> None:
    """A sampled negative with a high score and a probable flip is believed to be a positive and left in peace."""

    def push(flip: float) -> float:
        users, items = torch.full((graph.n_users, 1), 2.0), torch.ones(graph.n_items, 1, requires_grad=True)
        flips = torch.cat([torch.full((graph.n_users, 1), flip), torch.ones(graph.n_items, 1)])
        function = NBPO(negatives=1, flip_dim=1).bound({"flips": flips})
        records = torch.tensor([0])
        losses = function.sampled_losses(users, items, graph, records, epoch=1, batch=0)
        negative = int(uniform_negatives(graph, records, 1, seed=0, epoch=1))
        return float(torch.autograd.grad(losses.sum(), items)[0][negative])

    pushes = [push(flip) for flip in (-8.0, 0.0, 2.0)]
    assert pushes[0] == pytest.approx(2 * logistic(2.0), rel=1e-2)
    assert pushes[0] > 1.5 * pushes[1] > 3 * pushes[2] > 0


def test_trains_both_tables_and_forgets_the_rows_of_both(data: Interactions) -> None:
    options = TrainingOptions(epochs=30, batch_size=16, lr=0.02)
    problem = RecommenderProblem.build(data, objective=NBPO(flip_dim=3), dim=4, layers=2, options=options)

    def loss(p: RecommenderProblem) -> ModelLoss:
        return ModelLoss(p.model, p.objective_function, p.graph)

    start = loss(problem).initial(0, std=0.1)
    trained = problem.fit(start)
    assert float(loss(problem).value(trained.params)) < 0.9 * float(loss(problem).value(start))
    assert all((trained.params[name] - start[name]).abs().max() > 0.05 for name in ("table", "flips"))
    forget = ForgetSet(users=["u03"])
    remaining = trained.without(forget)
    fresh = loss(remaining).initial(0, std=0.1)
    others = [row for row in range(problem.graph.n_nodes) if row != 3]
    for settled, name in ((remaining.settled(forget), "table"), (remaining.settled(forget), "flips")):
        assert settled[name][3].abs().max() == 0 and settled[name][others].abs().max() > 0
        assert fresh[name][3].abs().max() == 0 and torch.equal(fresh[name][others], start[name][others])
    retrained = remaining.fit(fresh)
    assert all(value[3].abs().max() == 0 for value in retrained.params.values())


def test_arguments_and_errors() -> None:
    with pytest.raises(ValueError) as raised:
        NBPO(l2=-1.0, flip_l2=float("nan"), negatives=0, flip_dim=0)
    assert all(f"`{name}`" in str(raised.value) for name in ("l2", "flip_l2", "negatives", "flip_dim"))
    bound = NBPO(flip_l2=0.3).bound({"flips": torch.ones(2, 2)})
    assert objective("nbpo", **bound.arguments()) == NBPO(flip_l2=0.3) == bound
    assert bound.arguments().keys() == {"seed", "l2", "negatives", "flip_dim", "flip_l2"}


def test_unbound_losses_say_what_they_need(graph: BipartiteGraph) -> None:
    with pytest.raises(ValueError, match="`flips` must be given.*bound"):
        NBPO().record_losses(*factors(graph), graph)
