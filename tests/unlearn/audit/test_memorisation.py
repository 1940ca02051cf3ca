"""Memorisation against enumeration of all subsets, the closed form of leaving one out, and its own standard error."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.unlearn.toys import RIDGE_PENALTY, regression, ridge, ridge_solution
from unlearn.audit.memorisation import memorisation
from unlearn.audit.pool import ModelPool, Plan
from unlearn.audit.signals import Signals
from unlearn.problem import Problem

N = 8
X, Y = (part[:N] for part in regression())


def closed_form(member: Tensor) -> Tensor:
    """Minus the squared error [models, N] of every record under the ridge solution on each model's records."""
    m = member.double()
    gram = torch.einsum("jn,na,nb->jab", m, X, X) + RIDGE_PENALTY * torch.eye(X.shape[1], dtype=X.dtype)
    solutions = torch.linalg.solve(gram, torch.einsum("jn,na,n->ja", m, X, Y))
    return -0.5 * (solutions @ X.T - Y).square()


def all_halves() -> Tensor:
    member = torch.zeros(70, N, dtype=torch.bool)
    for j, chosen in enumerate(combinations(range(N), N // 2)):
        member[j, list(chosen)] = True
    return member


def losses(model: Problem) -> Tensor:
    return -ridge().record_losses(model.params)


def test_leaving_each_record_out_is_the_closed_form(tmp_path: Path) -> None:
    x, y = regression()
    pool = ModelPool(ridge(), Plan.folds(40, 40, seed=0), tmp_path, jobs=1)
    found = memorisation(pool.signals(losses))
    assert found.inside.tolist() == [39] * 40 and found.outside.tolist() == [1] * 40
    # Sherman-Morrison: the residual of record j without record i, from the fit on all.
    inverse = torch.linalg.inv(x.T @ x + RIDGE_PENALTY * torch.eye(5, dtype=x.dtype))
    hat, residual = x @ inverse @ x.T, y - x @ ridge_solution(x, y)
    without = residual[:, None] + hat * (residual / (1.0 - hat.diagonal()))[None, :]  # [j, i]
    signal = -0.5 * without.square()
    outside = signal.diagonal()
    inside = (signal.sum(1) - outside) / 39
    torch.testing.assert_close(found.value, inside - outside, rtol=1e-5, atol=1e-7)
    assert float(found.value.mean()) > 0.03  # a record's own loss is lower for having been trained on


def test_over_all_halves_it_is_the_enumeration() -> None:
    member = all_halves()
    values = closed_form(member)
    found = memorisation(Signals(values, member))
    for i in range(N):
        expected = values[member[:, i], i].mean() - values[~member[:, i], i].mean()
        assert found.value[i].item() == pytest.approx(expected.item(), rel=1e-12)
        assert expected > 0


def linear(member: Tensor) -> Tensor:
    """A signal [models, N] that the complement of a subset turns round: no second draw at all."""
    return member.double() @ torch.randn(N, N, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(("signal", "repeats"), [(closed_form, 2), (linear, 1)])
def test_the_standard_error_is_that_of_repetition(signal: Callable[[Tensor], Tensor], repeats: int) -> None:
    """Over many pools the estimates vary as much as each says; taking every model for a draw of its own does not."""
    estimates: list[Tensor] = []
    variances: list[Tensor] = []
    naive: list[Tensor] = []
    for seed in range(400):
        plan = Plan.halves(N, 24, seed).repeated(repeats)
        values = signal(plan.member)
        found = memorisation(Signals(values, plan.member, torch.tensor(plan.blocks)))
        estimates.append(found.value)
        variances.append(found.standard_error.square())
        naive.append(memorisation(Signals(values, plan.member)).standard_error.square())
    truth = torch.stack(estimates).var(0).sqrt()
    ratio = torch.stack(variances).mean(0).sqrt() / truth
    assert float(ratio.min()) > 0.85 and float(ratio.max()) < 1.2
    assert float((torch.stack(naive).mean(0).sqrt() / truth).max()) < 0.85


def test_for_independent_models_it_is_the_textbook_error() -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    member = (torch.arange(20) % 2 == 0)[:, None].expand(20, 3)
    found = memorisation(Signals(values, member))
    inside, outside = values[::2], values[1::2]
    textbook = (inside.var(0) / 10 + outside.var(0) / 10).sqrt()
    torch.testing.assert_close(found.standard_error, textbook)
    torch.testing.assert_close(found.value, inside.mean(0) - outside.mean(0))


def test_an_example_that_no_model_was_without_is_an_error_and_one_draw_has_no_error() -> None:
    member = torch.tensor([[True, True], [True, False], [True, True]])
    with pytest.raises(ValueError, match="1 of 2 examples in all models or in none"):
        memorisation(Signals(torch.zeros(3, 2).double(), member))
    member = torch.tensor([[True], [False], [True], [False]])
    single = memorisation(Signals(torch.arange(4.0).double()[:, None], member, torch.zeros(4, dtype=torch.int64)))
    assert np.isnan(single.standard_error.item()) and single.value.item() == -1.0
    pair = memorisation(Signals(torch.tensor([[3.0], [1.0]]).double(), member[:2]))  # two means of one model each
    assert np.isnan(pair.standard_error.item()) and pair.value.item() == 2.0
