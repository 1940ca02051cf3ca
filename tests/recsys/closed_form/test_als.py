"""Implicit ALS against its normal equations and the gradient of the same objective; deletion against both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor

from recsys.closed_form import ImplicitAls
from recsys.data import Interactions, Vocabulary, synthetic
from recsys.objectives import WholeData
from recsys.problem import RecommenderProblem
from tests.recsys.closed_form.requests import REQUESTS, request_for
from tests.tolerances import CONVERGED64, EXACT64
from unlearn.forget import ForgetSet

ALPHA, L2, NU = 4.0, 6.0, 0.5


def model(data: Interactions, **arguments: float) -> ImplicitAls:
    chosen = {"dim": 4, "alpha": ALPHA, "l2": L2, "max_sweeps": 400, "tolerance": 1e-12} | arguments
    return ImplicitAls(data=data, dtype=torch.float64, **chosen)  # pyright: ignore[reportArgumentType]


def normal_equations(histories: Tensor, table: Tensor, nu: float) -> Tensor:
    """Row by row, with the full diagonal matrix of confidences and the L2 that these sum to."""
    rows: list[Tensor] = []
    for r in histories:
        confidence = 1 + ALPHA * r
        held = L2 * confidence.mean() ** nu * torch.eye(table.shape[1], dtype=torch.float64)
        rows.append(torch.linalg.solve(table.T @ confidence.diag() @ table + held, table.T @ ((1 + ALPHA) * r)))
    return torch.stack(rows)


def dense(data: Interactions) -> Tensor:
    return torch.from_numpy(data.csr().toarray()).double()


def test_the_optimum_is_that_of_the_same_objective_written_with_gradients(data: Interactions) -> None:
    fitted = model(data).fit()
    objective = WholeData(a=1 / (1 + ALPHA), l2=L2 / (1 + ALPHA))
    problem = RecommenderProblem.build(data, model="mf", objective=objective, dtype=torch.float64, dim=4)
    table = torch.cat([fitted.params["users"], fitted.params["items"]])
    assert table.norm() > 1.0  # zero would be stationary, too
    found = problem.with_params({"table": table})
    assert found.residual() < 1e-8 * problem.residual()
    assert fitted.scores(np.arange(3)).equal(found.scores(np.arange(3)))


def test_a_fit_from_zero_ends_where_one_from_the_seed_does(data: Interactions) -> None:
    fitted = model(data).fit()
    zero = {name: torch.zeros_like(value) for name, value in fitted.params.items()}
    again = model(data).fit(zero)
    assert all(torch.equal(again.params[name], value) for name, value in fitted.params.items())
    held_down = model(data, l2=1e6)
    assert held_down.fit(zero).params["items"].norm() < 1e-9  # where zero is the optimum


@pytest.mark.parametrize("nu", [0.0, NU])
def test_a_user_and_an_item_fold_in_by_their_normal_equations(data: Interactions, nu: float) -> None:
    fitted = model(data, nu=nu).fit()
    users, items = fitted.params["users"], fitted.params["items"]
    histories = (torch.rand(3, data.n_items, generator=torch.Generator().manual_seed(0)) < 0.4).double()
    expected = normal_equations(histories, items, nu) @ items.T
    torch.testing.assert_close(fitted.fold_in(csr_array(histories.numpy())), expected, **EXACT64)
    histories = (torch.rand(3, data.n_users, generator=torch.Generator().manual_seed(0)) < 0.4).double()
    expected = users @ normal_equations(histories, users, nu).T
    found = fitted.fold_in_items(csr_array(histories.numpy()))
    torch.testing.assert_close(found, expected, **EXACT64)
    # The users that were fitted are what folding them in gives.
    torch.testing.assert_close(fitted.fold_in(data.csr()), fitted.scores(np.arange(data.n_users)), **EXACT64)


@pytest.mark.parametrize("kind", REQUESTS)
def test_half_steps_are_the_normal_equations_of_what_remains(data: Interactions, kind: str) -> None:
    fitted = model(data, steps=0, max_sweeps=5, nu=NU).fit()
    forget = request_for(data, kind)
    after = fitted.forget(forget)
    changed = (dense(data) != dense(after.data)).nonzero()
    users, items = changed[:, 0].unique(), changed[:, 1].unique()
    left = dense(after.data)
    of_users, of_items = after.params["users"], after.params["items"]
    # Of remaining users and items alone: a forgotten item is none that its users do not want, nor one nobody has left.
    by = [torch.from_numpy(np.flatnonzero(ids.alive)) for ids in (after.data.users, after.data.items)]
    given = fitted.params["items"] * left.any(0)[:, None]
    expected = normal_equations(left[users][:, by[1]], given[by[1]], NU)
    torch.testing.assert_close(of_users[users], expected, **CONVERGED64)
    expected = normal_equations(left.T[items][:, by[0]], of_users[by[0]], NU)
    torch.testing.assert_close(of_items[items], expected, **CONVERGED64)
    for name, touched in (("users", users), ("items", items)):
        others = torch.ones(len(fitted.params[name]), dtype=torch.bool).index_fill(0, touched, False)
        assert torch.equal(after.params[name][others], fitted.params[name][others])
    assert not after.params["users"][np.flatnonzero(~after.data.users.alive)].any()
    assert not after.params["items"][np.flatnonzero(~after.data.items.alive)].any()
    assert after.history.removed == len(changed) > 0


# Wide enough for the rank of the optimum (9 here): the scores are then the only ones, whatever the start.
UNIQUE = {"dim": 20, "l2": 12.0, "width": 20}


@pytest.mark.parametrize(("kind", "nu"), [(kind, 0.0) for kind in REQUESTS] + [("mixed", NU)])
def test_newton_steps_come_to_the_joint_refit(kind: str, nu: float) -> None:
    data = synthetic(60, 40, 700, seed=0)
    fitted = model(data, nu=nu, **UNIQUE).fit()
    forget = request_for(data, kind)
    refit = fitted.without(forget).fit()
    users = np.flatnonzero(refit.data.users.alive)
    expected = refit.scores(users)
    effect = (fitted.scores(users) - expected).norm()
    half, one, many = (
        float((replace(fitted, steps=steps, products=100).forget(forget).scores(users) - expected).norm() / effect)
        for steps in (0, 1, 40)
    )
    assert many < 1e-6 < one < 0.3 * half < 0.25
    assert refit.history.removed == 0


@pytest.mark.parametrize("nu", [0.0, NU])
def test_a_refit_is_the_fit_of_data_that_never_held_the_forgotten(nu: float) -> None:
    data = synthetic(60, 40, 700, seed=0)
    left = model(data, nu=nu, **UNIQUE).without(request_for(data, "mixed") | request_for(data, "two users"))
    kept = [np.flatnonzero(ids.alive) for ids in (left.data.users, left.data.items)]
    users, items = (
        Vocabulary(ids.take(rows)) for ids, rows in zip((left.data.users, left.data.items), kept, strict=True)
    )
    fresh = Interactions.from_frame(left.data.frame()[["user", "item"]], users=users, items=items)
    expected = model(fresh, nu=nu, **UNIQUE).fit().scores(np.arange(len(users)))
    found = left.fit().scores(kept[0])[:, torch.from_numpy(kept[1])]
    torch.testing.assert_close(found, expected, **CONVERGED64)


def test_few_directions_hold_most_of_what_one_user_moves() -> None:
    data = synthetic(60, 40, 700, seed=0)
    fitted = model(data, **UNIQUE, steps=3).fit()
    forget = request_for(data, "a user")
    users = np.flatnonzero(data.without(forget).users.alive)
    expected = fitted.without(forget).fit().scores(users)
    effect = (fitted.scores(users) - expected).norm()
    narrow = [
        float((replace(fitted, width=width).forget(forget).scores(users) - expected).norm() / effect)
        for width in (1, 4, 8)
    ]
    assert narrow[2] < narrow[1] < narrow[0] and narrow[2] < 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_model_that_its_penalty_leaves_nothing_forgets(data: Interactions, dtype: torch.dtype) -> None:
    fitted = ImplicitAls(data=data, dim=4, alpha=1.0, l2=1e4, width=2, dtype=dtype).fit()
    assert all(float(table.norm()) < 1e-20 for table in fitted.params.values())  # the optimum is zero
    after = fitted.forget(request_for(data, "mixed"))
    assert all(float(table.norm()) < 1e-20 for table in after.params.values())
    assert after.history.removed == len(data) - len(after.data) > 0


def test_who_has_nothing_leaves_everybody_where_they_are(data: Interactions) -> None:
    fitted = model(data, max_sweeps=1).fit()  # so far from its end that any step would move it
    after = fitted.forget(ForgetSet(users=(data.users.ids[data.n_users - 1],)))
    assert after.data.digest() != data.digest() and after.history.removed == 0
    assert all(torch.equal(after.params[name], value) for name, value in fitted.params.items())


def test_what_is_left_out_does_not_add_up() -> None:
    data = synthetic(60, 40, 700, seed=0)
    after = fitted = model(data, **UNIQUE | {"width": 8}).fit()
    for position in range(100):
        user, item = data.user_rows()[7 * position], data.indices[7 * position]
        after = after.forget(ForgetSet(interactions=((data.users.ids[user], data.items.ids[item]),)))
    assert len(after.data) == len(data) - 100 == len(data) - after.history.removed
    users = np.arange(data.n_users)
    expected = after.fit().scores(users)
    assert (after.scores(users) - expected).norm() < 0.1 * (fitted.scores(users) - expected).norm()


def test_requests_compose() -> None:
    data = synthetic(60, 40, 700, seed=0)
    fitted = model(data, steps=40, products=100, **UNIQUE).fit()
    one_by_one = fitted
    for kind in ("an item", "a user", "interactions"):
        one_by_one = one_by_one.forget(request_for(data, kind))
    together = fitted.forget(request_for(data, "mixed"))
    assert one_by_one.data.digest() == together.data.digest()
    assert one_by_one.history.removed == together.history.removed
    users = np.arange(data.n_users)
    torch.testing.assert_close(one_by_one.scores(users), together.scores(users), rtol=1e-5, atol=1e-7)


def test_a_start_is_keyed_by_the_item(data: Interactions) -> None:
    fitted = model(data)
    left = fitted.without(request_for(data, "an item"))
    assert not left._start()[2].any()
    others = [0, 1, *range(3, data.n_items)]
    assert torch.equal(left._start()[others], fitted._start()[others])
    assert not torch.equal(fitted._start(), replace(fitted, seed=1)._start())


def test_arguments_are_checked_all_at_once(data: Interactions) -> None:
    with pytest.raises(ValueError, match="`dim` must be at least 1 for `als` \\(got 0\\)\n`l2` must be positive"):
        ImplicitAls(data=data, dim=0, l2=0.0)
