"""Users that a model never saw: their row is where the gradient of their loss is zero, and near a retrain's."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from recsys.closed_form import closed_form
from recsys.data import Interactions, synthetic
from recsys.foldin import neighbourhood
from recsys.newcomers import newcomers, solved
from recsys.objectives import BPR, Multinomial, Objective, RelMF, WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.tolerances import EXACT64
from unlearn.forget import ForgetSet

OBJECTIVES = [WholeData(a=0.1, l2=1.0), Multinomial(l2=0.5), RelMF(a=0.1, l2=1.0)]
NEW = 6  # users that the model does not know


@pytest.fixture(scope="module")
def parts() -> tuple[Interactions, Interactions]:
    """Data without the last users, and theirs alone over the same items."""
    whole = synthetic(60, 40, 900, seed=4)
    frame = whole.frame()
    new = frame["user"].isin(whole.users.ids[-NEW:])
    known, late = (Interactions.from_frame(part, items=whole.items) for part in (frame[~new], frame[new]))
    return known, late


def fitted(data: Interactions, model: str, objective: Objective) -> RecommenderProblem:
    return RecommenderProblem.build(data, model=model, objective=objective, dim=8, dtype=torch.float64).fit()


def joined(known: Interactions, late: Interactions) -> Interactions:
    return Interactions.from_frame(pd.concat([known.frame(), late.frame()]), items=known.items)


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda one: one.name)
def test_in_mf_the_gradient_of_the_whole_objective_is_zero_in_the_new_rows(
    parts: tuple[Interactions, Interactions], objective: Objective
) -> None:
    known, late = parts
    problem = fitted(known, "mf", objective)
    rows = solved(problem, late)
    assert rows.norm(dim=1).min() > 0.1
    whole = RecommenderProblem.build(
        joined(known, late), model="mf", objective=objective.counted(problem.graph), dim=8, dtype=torch.float64
    )  # ids ascend, so the new users come after the known ones
    users, items = problem.params["table"].split([known.n_users, known.n_items])

    def gradient(new: torch.Tensor) -> torch.Tensor:
        _, found = whole.value_and_gradient({"table": torch.cat([users, new, items])})
        return found["table"][known.n_users : known.n_users + len(new)]

    assert gradient(rows).norm() < 1e-5 * gradient(torch.zeros_like(rows)).norm()


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda one: one.name)
def test_in_a_graph_the_gradient_of_their_own_loss_is_zero(
    parts: tuple[Interactions, Interactions], objective: Objective
) -> None:
    """Everything written out densely: propagation, scores of all items, and the loss of the new users alone."""
    known, late = parts
    problem = fitted(known, "lightgcn", objective)
    items = problem.readout()[1]
    matrix = torch.from_numpy(np.vstack([known.csr().toarray(), late.csr().toarray()])).double()
    n, m = matrix.shape
    adjacency = torch.zeros(n + m, n + m, dtype=torch.float64)
    adjacency[:n, n:], adjacency[n:, :n] = matrix, matrix.T
    scale = adjacency.sum(1).clamp_min(1).rsqrt()
    adjacency = scale[:, None] * adjacency * scale
    table = problem.params["table"]
    layer = torch.cat([table[: known.n_users], torch.zeros(NEW, 8, dtype=torch.float64), table[known.n_users :]])
    total = layer
    for _ in range(3):
        layer = adjacency @ layer
        total = total + layer
    around = (total / 4)[known.n_users : n]
    torch.testing.assert_close(neighbourhood(problem.loss, problem.params, problem.data, late.csr()), around, **EXACT64)

    own = (4 * (solved(problem, late) - around)).requires_grad_()
    start = torch.zeros_like(own).requires_grad_()
    mine = matrix[known.n_users :]

    def loss(rows: torch.Tensor) -> torch.Tensor:
        y = (rows / 4 + around) @ items.T
        if isinstance(objective, WholeData):
            value = (mine * (1 - y).square() + objective.a * (1 - mine) * y.square()).sum()
        elif isinstance(objective, RelMF):
            counts = matrix[: known.n_users].sum(0)  # of the model's data
            label = mine / (counts / counts.max()).sqrt().clamp_min(objective.clip)
            value = (label * (1 - y).square() + objective.a * (1 - label) * y.square()).sum()
        else:
            value = -(mine * y.log_softmax(1)).sum()
        return value + objective.l2 * rows.square().sum()

    (found,), (before,) = torch.autograd.grad(loss(own), own), torch.autograd.grad(loss(start), start)
    assert found.norm() < 1e-5 * before.norm()
    assert loss(own) < loss(start)


@pytest.mark.parametrize("model", ["mf", "lightgcn"])
def test_their_scores_are_nearer_to_a_retrain_than_by_propagation_alone(
    parts: tuple[Interactions, Interactions], model: str
) -> None:
    known, late = parts
    problem = fitted(known, model, OBJECTIVES[0])
    exact = fitted(joined(known, late), model, OBJECTIVES[0]).scores(np.arange(known.n_users, known.n_users + NEW))
    found = newcomers(problem, late).scores(np.arange(NEW))
    propagated = problem.fold_in(late.csr())
    assert (found - exact).norm() < 0.7 * (propagated - exact).norm()
    assert (found - exact).norm() < 0.25 * exact.norm()


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda one: one.name)
def test_each_is_solved_for_alone(parts: tuple[Interactions, Interactions], objective: Objective) -> None:
    known, late = parts
    problem = fitted(known, "mf", objective)
    rest = late.without(ForgetSet(users=tuple(late.users.ids[1:].tolist())))
    torch.testing.assert_close(solved(problem, late)[0], solved(problem, rest)[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["als", "ease", "bpr"])
def test_others_fold_in_as_they_do(parts: tuple[Interactions, Interactions], kind: str) -> None:
    known, late = parts
    if kind == "bpr":
        options = TrainingOptions(epochs=3, lr=0.05)
        model = RecommenderProblem.build(known, objective=BPR(), dim=4, options=options).fit()
    else:
        model = closed_form(kind, known).fit()
    ranker = newcomers(model, late)
    torch.testing.assert_close(ranker.scores(np.arange(NEW)), model.fold_in(late.csr()))
    user = str(late.users.ids[0])
    seen = set(late.items.ids[late.indices[late.indptr[0] : late.indptr[1]]].tolist())
    found = ranker.recommend(user, k=5, exclude=late).ids.tolist()
    assert len(found) == 5 and not seen & set(found)
