"""Random labels: the equation by hand, what it does alone and behind a mask, and to a recommender."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from recsys.train import TrainingOptions
from tests.tolerances import EXACT64
from tests.unlearn.toys import blobs, classifier, ridge, tiny_data
from unlearn.attached import AttachedProblem
from unlearn.forget import ForgetSet
from unlearn.methods import FineTune, GraphDrop, Masked, RandomLabel, Unlearner
from unlearn.params import Params, flatten
from unlearn.streams import integers

GONE = tuple(range(0, 400, 20))
REQUEST = ForgetSet(records=GONE)


@pytest.fixture(scope="module")
def problem() -> AttachedProblem:
    return classifier(dtype=torch.float64, epochs=40).fit()


def after(unlearner: Unlearner, problem: AttachedProblem) -> AttachedProblem:
    result = unlearner.forget(problem, REQUEST).problem
    assert isinstance(result, AttachedProblem)
    return result


def test_it_is_its_equation_step_by_step(problem: AttachedProblem) -> None:
    x, y = problem.payload
    kept = [i for i in range(400) if i not in GONE]
    labels = torch.from_numpy(integers(5, "random_label", 10, torch.tensor(GONE).numpy()))
    assert (labels != y[list(GONE)]).sum() > 10
    params: Params = {name: value.clone().requires_grad_() for name, value in problem.params.items()}

    def loss() -> Tensor:
        hidden = torch.relu(x @ params["hidden.weight"].T + params["hidden.bias"])
        chances = torch.log_softmax(hidden @ params["out.weight"].T + params["out.bias"], 1)
        wrong = -chances[list(GONE)].gather(1, labels[:, None]).mean()
        return wrong - 0.5 * chances[kept].gather(1, y[kept][:, None]).mean()

    for _ in range(3):
        gradients = torch.autograd.grad(loss(), list(params.values()))
        with torch.no_grad():
            for value, gradient in zip(params.values(), gradients, strict=True):
                value -= 0.2 * gradient
    found = after(RandomLabel(alpha=0.5, steps=3, lr=0.2, update="sgd", seed=5), problem)
    torch.testing.assert_close(flatten(found.params), flatten(params), **EXACT64)


def test_it_forgets_more_than_fine_tuning_and_behind_a_mask_it_spares_the_rest(problem: AttachedProblem) -> None:
    """What SalUn's mask is for."""
    models = [after(one, problem) for one in (FineTune(), RandomLabel(), Masked(inner="random_label", share=0.5))]
    forgotten, kept = replace(problem, data=gone(problem)), problem.without(REQUEST)
    of_gone, of_kept = ([float(one.record_losses(p.params).mean()) for p in models] for one in (forgotten, kept))
    assert of_gone[1] > of_gone[2] > 5 * of_gone[0]
    assert of_kept[0] < of_kept[2] < 0.5 * of_kept[1]
    x, y = blobs(1000, noise=1.5, seed=2)
    right = [float((p.outputs(x.double()).argmax(1) == y).double().mean()) for p in models]
    assert right[0] - 0.1 < right[2] > right[1] + 0.03


def gone(problem: AttachedProblem) -> object:
    others = tuple(i for i in range(400) if i not in GONE)
    return problem.without(ForgetSet(records=others)).data


def test_of_a_recommender_the_users_get_the_items_that_were_drawn() -> None:
    built = RecommenderProblem.build(
        tiny_data(60, 50, 900), objective=WholeData(a=0.1, l2=0.3), options=TrainingOptions(max_iterations=200), dim=16
    )
    whole = built.fit()
    frame = whole.data.frame().sample(frac=0.02, random_state=0)
    request = ForgetSet(interactions=tuple(zip(frame["user"], frame["item"], strict=True)))
    records = whole.records(request)
    drawn = torch.from_numpy(integers(0, "random_label", 50, records.numpy()))

    def chance(unlearner: Unlearner, items: Tensor) -> float:
        left = unlearner.forget(whole, request).problem
        assert isinstance(left, RecommenderProblem)
        scores = torch.log_softmax(left.scores(whole.graph.rows[records].numpy()), 1)
        return float(scores.gather(1, items[:, None]).mean())

    for weight in (0.0, 1.0):
        assert chance(RandomLabel(alpha=weight), drawn) > chance(GraphDrop(), drawn) + 0.02


def test_a_forgotten_item_is_no_label() -> None:
    built = RecommenderProblem.build(tiny_data(), model="mf", dim=4, dtype=torch.float64)
    n_users, n_items = built.data.n_users, built.data.n_items
    gone, left = list(range(0, n_items, 2)), list(range(1, n_items, 2))
    request = ForgetSet(items=tuple(built.data.items.take(gone)))
    records = built.records(request)
    labels = torch.from_numpy(integers(0, "random_label", len(left), records.numpy()))
    remaining = built.without(request)
    table = remaining.settled(request)["table"].clone().requires_grad_()
    scores = table[:n_users][built.graph.rows[records]] @ table[n_users:][left].T
    loss = -torch.log_softmax(scores, 1).gather(1, labels[:, None]).mean()
    (by,) = torch.autograd.grad(loss, table)
    found = RandomLabel(alpha=0.0, steps=1, lr=0.5, update="sgd").forget(built, request).problem
    assert isinstance(found, RecommenderProblem)
    expected = (table - 0.5 * by).detach()
    expected[:n_users][remaining.data.degrees()[0] == 0] = 0.0  # of whom nothing is left
    torch.testing.assert_close(found.params["table"], expected, **EXACT64)


def test_values_have_no_labels() -> None:
    assert "needs classes to draw from" in str(RandomLabel().obstacle(ridge().fit()))
    with pytest.raises(ValueError) as caught:
        RandomLabel(alpha=-1, steps=0, lr=0, update="x", sample=0)
    for name in ("alpha", "steps", "lr", "update", "sample"):
        assert f"`{name}` must be" in str(caught.value)
