"""EASE against its normal equations and constrained optimum; deletion against a refit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch.utils._python_dispatch import TorchDispatchMode

from recsys.closed_form import Ease
from recsys.data import Interactions, synthetic
from tests.recsys.closed_form.requests import REQUESTS, request_for
from tests.tolerances import CONVERGED64, EXACT64
from unlearn.forget import ForgetSet


@pytest.fixture
def model(data: Interactions) -> Ease:
    return Ease(data=data, l2=3.0).fit()


def weights(model: Ease) -> torch.Tensor:
    """B, as the scores of one-item histories."""
    return model.fold_in(csr_array(np.eye(model.data.n_items)))


def test_the_weights_are_the_optimum_under_a_zero_diagonal(model: Ease) -> None:
    # Column by column, a ridge regression on all other items.
    matrix = torch.from_numpy(model.data.csr().toarray()).double()
    expected = torch.zeros(model.data.n_items, model.data.n_items, dtype=torch.float64)
    for item in range(model.data.n_items):
        others = [other for other in range(model.data.n_items) if other != item]
        x = matrix[:, others]
        solved = torch.linalg.solve(x.T @ x + model.l2 * torch.eye(len(others)).double(), x.T @ matrix[:, item])
        expected[others, item] = solved
    torch.testing.assert_close(weights(model), expected, **EXACT64)


def test_scores_are_those_of_the_own_history(model: Ease) -> None:
    users = np.array([3, 0])
    histories = torch.from_numpy(model.data.csr()[users].toarray()).double()
    torch.testing.assert_close(model.scores(users), histories @ weights(model), **EXACT64)


@pytest.mark.parametrize("kind", REQUESTS)
def test_forgetting_is_a_refit(model: Ease, kind: str) -> None:
    forget = request_for(model.data, kind)
    before = model.params["inverse"].clone()
    after = model.forget(forget)
    refit = model.without(forget).fit()
    torch.testing.assert_close(after.params["inverse"], refit.params["inverse"], **CONVERGED64)
    torch.testing.assert_close(after.scores(np.arange(5)), refit.scores(np.arange(5)), **CONVERGED64)
    assert after.data.digest() == refit.data.digest() and after.history.removed == 0
    assert torch.equal(model.params["inverse"], before)
    assert (refit.params["inverse"] - before).abs().max() > 1e-3  # doing nothing would not pass


def test_many_requests_one_after_the_other_stay_exact(data: Interactions) -> None:
    model = Ease(data=data, l2=3.0).fit()
    for user in data.users.take(range(6)):
        model = model.forget(ForgetSet(users=(user,)))
    model = model.forget(ForgetSet(items=(data.items.ids[2],)))
    torch.testing.assert_close(model.params["inverse"], model.fit().params["inverse"], **CONVERGED64)


class Made(TorchDispatchMode):
    """Counts the tensors of that many numbers that operations make, views and what is changed in place apart."""

    def __init__(self, numbers: int) -> None:
        super().__init__()
        self.numbers, self.count = numbers, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.numel() == self.numbers:
            given = {one.data_ptr() for one in args if isinstance(one, torch.Tensor) and one.layout == torch.strided}
            self.count += out.data_ptr() not in given
        return out


@pytest.mark.parametrize("kind", ["a user", "an item", "both"])
def test_a_deletion_holds_one_copy_of_the_inverse(kind: str) -> None:
    model = Ease(data=synthetic(60, 50, 600, seed=0)).fit()
    user, item = ForgetSet(users=(model.data.users.ids[3],)), ForgetSet(items=(model.data.items.ids[2],))
    forget = {"a user": user, "an item": item, "both": user | item}[kind]
    with Made(model.params["inverse"].numel()) as made:
        after = model.forget(forget)
    assert made.count == 1
    torch.testing.assert_close(after.params["inverse"], after.fit().params["inverse"], **CONVERGED64)


def test_a_large_request_is_solved_afresh(model: Ease) -> None:
    forget = ForgetSet(users=tuple(model.data.users.take(range(9))))
    assert torch.equal(model.forget(forget).params["inverse"], model.without(forget).fit().params["inverse"])


def test_l2_must_be_positive_and_finite(data: Interactions) -> None:
    with pytest.raises(ValueError, match="`l2` must be positive for `ease` \\(got 0\\)"):
        Ease(data=data, l2=0)
    with pytest.raises(ValueError, match="`l2` must be positive"):
        replace(Ease(data=data), l2=float("nan"))
    with pytest.raises(ValueError, match="`l2` must be a finite number"):
        Ease(data=data, l2=float("inf"))
