"""Masks around gradient methods."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.tolerances import EXACT64
from tests.unlearn.toys import RIDGE_PENALTY, classifier, ridge, tiny_recommender
from unlearn.attached import AttachedProblem
from unlearn.forget import ForgetSet
from unlearn.methods import IAU, GradientAscent, Masked, NegGrad
from unlearn.params import flatten

GONE = tuple(range(0, 400, 20))
REQUEST = ForgetSet(records=GONE)


@pytest.fixture(scope="module")
def problem() -> AttachedProblem:
    return classifier(dtype=torch.float64, epochs=40).fit()


def mask(unlearner: Masked, problem: Any, forget: ForgetSet) -> Tensor:
    return unlearner.mask(problem, problem.without(forget), forget)


def moved(unlearner: Any, problem: Any, forget: ForgetSet = REQUEST) -> Tensor:
    return flatten(unlearner.forget(problem, forget).problem.params)


def test_saliency_is_the_size_of_the_forgotten_gradient() -> None:
    linear = ridge().fit()
    x, y = linear.payload
    few = ForgetSet(records=(0, 3))
    gradient = x[[0, 3]].T @ (x[[0, 3]] @ linear.params["weight"][0] - y[[0, 3]])
    largest = gradient.abs().argsort(descending=True)
    found = mask(Masked(share=0.4), linear, few)  # 2 of 5
    assert set(found.nonzero().flatten().tolist()) == set(largest[:2].tolist())
    assert int(mask(Masked(share=0.41), linear, few).sum()) == 3  # no less than the share


def test_of_rows_that_the_forgotten_never_touched_the_first_may_move() -> None:
    """All of them are equal; which are taken must not depend on the machine."""
    factors = tiny_recommender(model="mf").fit()
    user = factors.data.users.take([0])[0]
    forget = ForgetSet(users=(user,))
    touched = factors.touched(forget, hops=0)["table"][0].tolist()
    found = mask(Masked(share=0.6, unit="row"), factors, forget).view(factors.params["table"].shape)[:, 0]
    rows = found.nonzero().flatten().tolist()
    others = [row for row in range(len(found)) if row not in touched]
    assert 0 < len(touched) < len(rows) < len(found)
    assert rows == sorted(touched + others[: len(rows) - len(touched)])


def test_attribution_weighs_it_by_the_parameter_after_a_step_on_the_remaining() -> None:
    linear = ridge().fit()
    x, y = linear.payload
    few = ForgetSet(records=(0, 3))
    weight = linear.params["weight"][0]
    of_forgotten = x[[0, 3]].T @ (x[[0, 3]] @ weight - y[[0, 3]])
    # At the optimum the gradients of both parts cancel.
    of_remaining = x.T @ (x @ weight - y) + RIDGE_PENALTY * weight - of_forgotten
    torch.testing.assert_close(of_remaining, -of_forgotten, rtol=1e-6, atol=1e-8)
    chosen = set[frozenset[int]]()
    for curvature in (1e-3, 0.01, 0.02, 0.05, 0.1, 0.2, 1.0):  # between them the step outweighs the parameter
        score = ((weight - of_remaining / 38 / curvature) * of_forgotten).abs()
        chosen.add(frozenset(score.argsort(descending=True)[:2].tolist()))
        found = mask(Masked(by="attribution", curvature=curvature, share=0.4), linear, few)
        assert set(found.nonzero().flatten().tolist()) == set(score.argsort(descending=True)[:2].tolist())
    assert len(chosen) > 1


def test_what_is_masked_out_stays_and_the_rest_moves_as_the_inner_method_would(problem: AttachedProblem) -> None:
    unlearner = Masked(inner="iau:lr=0.005", share=0.3)
    held = mask(unlearner, problem, REQUEST).bool()
    assert int(held.sum()) == -(-3 * held.numel() // 10)
    start, whole, found = flatten(problem.params), moved(IAU(lr=5e-3), problem), moved(unlearner, problem)
    assert torch.equal(found[~held], start[~held])
    assert torch.equal(found[held], whole[held])  # one step: no coordinate has felt another yet
    assert (whole[~held] != start[~held]).any()


def test_a_share_of_everything_is_the_inner_method(problem: AttachedProblem) -> None:
    assert torch.equal(moved(Masked(share=1.0), problem), moved(NegGrad(), problem))


@pytest.mark.parametrize(
    "inner", ["gradient_ascent:lr=0.1", "fine_tune", "l1_sparse", "scrub", "bad_teacher", "random_label"]
)
def test_every_gradient_method_can_be_held(inner: str, problem: AttachedProblem) -> None:
    unlearner = Masked(inner=inner, share=0.2)
    held = mask(unlearner, problem, REQUEST).bool()
    start, found = flatten(problem.params), moved(unlearner, problem)
    assert torch.equal(found[~held], start[~held])
    assert not torch.equal(found[held], start[held])


def test_salient_parameters_forget_more_than_as_many_others(problem: AttachedProblem) -> None:
    """What the mask is for: most of the forgetting with half of the parameters."""
    salient = mask(Masked(share=0.5), problem, REQUEST)
    ascent = GradientAscent(lr=0.1, steps=5)
    losses = [
        float(
            problem.record_losses(
                ascent.moved(problem, problem.without(REQUEST), REQUEST, one), torch.tensor(GONE)
            ).mean()
        )
        for one in (torch.ones_like(salient), salient, 1 - salient)
    ]
    start = float(problem.record_losses(problem.params, torch.tensor(GONE)).mean())
    assert losses[1] - start > 0.8 * (losses[0] - start) > 3 * (losses[2] - start)


def test_rows_of_a_table_are_chosen_whole() -> None:
    recommender = tiny_recommender(torch.float64).fit()
    request = ForgetSet(users=(recommender.data.users.ids[3],))
    gradient = torch.zeros_like(recommender.params["table"])
    for record in recommender.records(request):
        leaves = {name: value.clone().requires_grad_() for name, value in recommender.params.items()}
        loss = recommender.record_losses(leaves, record.unsqueeze(0)).sum()
        gradient += torch.autograd.grad(loss, leaves["table"])[0]
    found = mask(Masked(unit="row", share=0.1), recommender, request).view_as(gradient)
    assert torch.equal(found.any(1), found.all(1))
    rows = gradient.norm(dim=1).argsort(descending=True)[:7]  # of 70
    assert set(found.any(1).nonzero().flatten().tolist()) == set(rows.tolist())


def test_a_mask_around_a_mask_of_its_own_multiplies(problem: AttachedProblem) -> None:
    unlearner = Masked(share=0.5)
    remaining = problem.without(REQUEST)
    first = torch.zeros_like(flatten(problem.params))
    first[:100] = 1.0
    both = first * unlearner.mask(problem, remaining, REQUEST)
    found = flatten(unlearner.moved(problem, remaining, REQUEST, first))
    torch.testing.assert_close(found, flatten(NegGrad().moved(problem, remaining, REQUEST, both)), **EXACT64)


def test_every_bad_argument_is_reported_at_once() -> None:
    with pytest.raises(ValueError) as caught:
        Masked(inner="retrain", by="x", share=0, curvature=0, unit="x")
    for name in ("inner", "by", "share", "curvature", "unit"):
        assert f"`{name}` must be" in str(caught.value)
    with pytest.raises(ValueError, match="`inner` must be a gradient method, and not `masked`"):
        Masked(inner="masked:share=0.1")
    with pytest.raises(ValueError, match="amnesia"):
        Masked(inner="amnesia")
