"""The Newton step within directions, rotations of items apart, against the dense Hessian by differentiation."""

from __future__ import annotations

import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor

from recsys.closed_form import narrow
from recsys.closed_form.narrow import Side, newton_step, value
from tests.tolerances import CONVERGED64

ALPHA = 3.0
N, M, D = 7, 6, 4


def objective(x: Tensor, y: Tensor, seen: Tensor, held: tuple[Tensor, Tensor]) -> Tensor:
    """Half of the sum over all pairs of c (p - s)^2, and of the L2."""
    errors = (1 + ALPHA * seen) * (seen - x @ y.T).square()
    return 0.5 * (errors.sum() + (held[0] * x.square().sum(1)).sum() + (held[1] * y.square().sum(1)).sum())


def unturned(table: Tensor) -> Tensor:
    """Orthonormal moves of a table [m, k], as columns, among which there is no part of a rotation."""
    rows, columns = torch.triu_indices(table.shape[1], table.shape[1], offset=1).tolist()
    turns = torch.zeros(len(rows), *table.shape, dtype=table.dtype)
    for turn, i, j in zip(turns, rows, columns, strict=True):
        turn[:, i], turn[:, j] = table[:, j], -table[:, i]
    return torch.linalg.qr(turns.flatten(1).T, mode="complete").Q[:, len(rows) :]


@pytest.mark.parametrize("width", [2, D])
def test_a_step_is_that_of_the_dense_hessian(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(narrow, "_TOLERANCE", 1e-12)
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    seen = (normal(N, M) > 0).double()
    x, y = normal(N, D), normal(M, D)
    held = 40.0 + normal(N).abs(), 40.0 + normal(M).abs()  # enough that the objective is convex here
    basis = torch.linalg.qr(normal(D, width)).Q
    histories = csr_array(seen.numpy())
    given = Side.of(histories, x, held[0]), Side.of(csr_array(histories.T), y, held[1])
    users, items = newton_step(*given, basis, alpha=ALPHA, products=500)

    def moved(flat: Tensor) -> Tensor:
        a, b = flat[: N * width].view(N, width), flat[N * width :].view(M, width)
        return objective(x + a @ basis.T, y + b @ basis.T, seen, held)

    def derivatives(at: Tensor) -> tuple[Tensor, Tensor]:
        gradient = torch.autograd.functional.jacobian(moved, at)
        return gradient, torch.autograd.functional.hessian(moved, at)

    # The users come first, whose part is quadratic; then both.
    at, own = torch.zeros((N + M) * width, dtype=torch.float64), slice(0, N * width)
    gradient, hessian = derivatives(at)
    at[own] -= torch.linalg.solve(hessian[own, own], gradient[own])
    gradient, hessian = derivatives(at)
    assert torch.linalg.eigvalsh(hessian)[0] > 0
    free = torch.block_diag(torch.eye(N * width).double(), unturned(y @ basis))
    at -= free @ torch.linalg.solve(free.T @ hessian @ free, free.T @ gradient)
    torch.testing.assert_close(users.table, x + at[: N * width].view(N, width) @ basis.T, **CONVERGED64)
    torch.testing.assert_close(items.table, y + at[N * width :].view(M, width) @ basis.T, **CONVERGED64)


def test_a_step_that_overshoots_is_shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(2)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    seen = (normal(N, M) > 0).double()
    histories, held = csr_array(seen.numpy()), (torch.full((N,), 0.5).double(), torch.full((M,), 0.5).double())
    basis, overshot = torch.eye(D, dtype=torch.float64), 0
    for _ in range(20):  # far from any optimum, with little to hold it
        given = (
            Side.of(histories, 3 * normal(N, D), held[0]),
            Side.of(csr_array(histories.T), 3 * normal(M, D), held[1]),
        )
        ended = newton_step(*given, basis, alpha=ALPHA, products=50)
        assert value(*ended, alpha=ALPHA) < value(*given, alpha=ALPHA)
        with monkeypatch.context() as patch:
            patch.setattr(narrow, "value", lambda users, items, *, alpha: 0.0)
            whole = newton_step(*given, basis, alpha=ALPHA, products=50)
        tables = ended[0].table, ended[1].table
        moved = 2 * (objective(*tables, seen, held) - objective(whole[0].table, whole[1].table, seen, held))
        told = value(*ended, alpha=ALPHA) - value(*whole, alpha=ALPHA)
        assert told == pytest.approx(float(moved), rel=1e-9, abs=1e-6)
        overshot += value(*whole, alpha=ALPHA) > value(*given, alpha=ALPHA)
    assert overshot


def test_items_follow_their_users_at_negative_curvature_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """From items near zero, where nothing but that is ahead."""
    generator = torch.Generator().manual_seed(2)
    seen = csr_array((torch.randn(N, M, generator=generator) > 0).double().numpy())
    users, items = (0.1 * torch.randn(rows, D, dtype=torch.float64, generator=generator) for rows in (N, M))
    given = (
        Side.of(seen, users, torch.full((N,), 0.5, dtype=torch.float64)),
        Side.of(csr_array(seen.T), items, torch.full((M,), 0.5, dtype=torch.float64)),
    )
    basis, told = torch.eye(D, dtype=torch.float64), iter([0.0, *[1.0] * 6])
    ended = newton_step(*given, basis, alpha=ALPHA, products=50)
    with monkeypatch.context() as patch:
        patch.setattr(narrow, "value", lambda users, items, *, alpha: next(told))
        alone = newton_step(*given, basis, alpha=ALPHA, products=50)
    assert torch.equal(alone[1].table, items)
    assert value(*ended, alpha=ALPHA) < 0.9 * value(*alone, alpha=ALPHA)


@pytest.mark.parametrize(("risen", "shortened"), [(0.9, False), (1.1, True)])
def test_what_the_objective_rises_by_rounding_shortens_no_step(
    risen: float, shortened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    generator = torch.Generator().manual_seed(3)
    seen = csr_array((torch.randn(N, M, generator=generator) > 0).float().numpy())
    users, items = (torch.randn(rows, D, generator=generator) for rows in (N, M))
    given = (
        Side.of(seen, users, torch.full((N,), 40.0)),
        Side.of(csr_array(seen.T), items, torch.full((M,), 40.0)),
    )

    def after(*values: float) -> Tensor:
        told = iter(values)
        with monkeypatch.context() as patch:
            patch.setattr(narrow, "value", lambda users, items, *, alpha: next(told))
            return newton_step(*given, torch.eye(D), alpha=ALPHA, products=50)[1].table

    assert torch.equal(after(0.0, *[1.0] * 6), items)  # where every part of it is worse there is no step
    whole, half = after(1.0, 0.0), after(1.0, 2.0, 0.0)
    torch.testing.assert_close(half - items, 0.5 * (whole - items))
    eps = torch.finfo(torch.float32).eps
    assert torch.equal(after(1e6, 1e6 * (1 + risen * eps), 0.0), half if shortened else whole)
