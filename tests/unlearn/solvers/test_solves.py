"""Every linear solver against the explicit solution in float64, and each where it must refuse."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.tolerances import CONVERGED64, EXACT64
from tests.unlearn.solvers.matrices import right_side, spectrum, symmetric
from unlearn.solvers.cg import cg
from unlearn.solvers.direct import direct
from unlearn.solvers.lissa import Diverges, lissa
from unlearn.solvers.nystrom import Indefinite, nystrom
from unlearn.solvers.operator import Operator, Solve
from unlearn.solvers.trust_region import levenberg_marquardt_step

N = 40
Solver = Callable[[Operator, Tensor, float], Tensor]


def solved(found: Solve) -> Tensor:
    assert found.converged
    return found.x


SOLVERS: dict[str, Solver] = {
    "direct": lambda a, b, mu: solved(direct(a, b, damping=mu)),
    "cg": lambda a, b, mu: solved(cg(a, b, damping=mu, tolerance=1e-10)),
    "cg with Nystrom": lambda a, b, mu: solved(
        cg(a, b, damping=mu, tolerance=1e-10, preconditioner=nystrom(a, 10).preconditioner(mu))
    ),
    "lissa": lambda a, b, mu: solved(lissa(a, b, damping=mu, tolerance=1e-9)),
    "nystrom": lambda a, b, mu: nystrom(a, N).solve(b, mu),
}


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("damping", [1e-3, 0.3])
def test_all_agree_with_the_explicit_solution(solver: str, damping: float) -> None:
    matrix, b = symmetric(spectrum(N, 100.0)), right_side(N)
    expected = torch.linalg.solve(matrix + damping * torch.eye(N, dtype=torch.float64), b)
    found = SOLVERS[solver](Operator.of(matrix), b, damping)
    assert float((found - expected).norm() / expected.norm()) < 1e-6


def test_the_operator_is_its_matrix_and_its_largest_eigenvalue_a_tight_upper_end() -> None:
    for values in (spectrum(N, 1e4), torch.linspace(-3.0, 2.0, N), -spectrum(N, 10.0)):
        matrix = symmetric(values)
        operator = Operator.of(matrix)
        torch.testing.assert_close(operator.matrix(), matrix, **EXACT64)
        top = float(values.max())
        for seed in range(3):
            assert top <= operator.largest_eigenvalue(seed=seed) <= top + 0.1 * abs(top) + 1e-9
    single = Operator.of(symmetric(spectrum(N, 1e4)).float())
    assert 0.99 < single.largest_eigenvalue() < 1.1


# ---- conjugate gradients --------------------------------------------------------------------------------------------


def test_cg_converges_as_its_condition_number_says_and_keeps_the_residuals() -> None:
    condition = 50.0
    matrix, b = symmetric(spectrum(200, condition)), right_side(200)
    found = cg(Operator.of(matrix), b, tolerance=1e-8, max_iterations=200)
    assert found.converged
    assert found.negative_curvature is None
    assert len(found.residuals) == found.iterations + 1
    assert found.residuals[0] == 1.0
    assert found.residual == pytest.approx(found.residuals[-1], rel=1e-3)
    rate = (condition**0.5 - 1.0) / (condition**0.5 + 1.0)
    # |residual| is at most sqrt(c) times the error in the matrix's norm.
    assert all(r <= 2.0 * condition**0.5 * rate**k for k, r in enumerate(found.residuals))
    short = cg(Operator.of(matrix), b, tolerance=1e-8, max_iterations=5)
    assert (short.iterations, short.converged) == (5, False)
    assert short.residual == pytest.approx(found.residuals[5], rel=1e-6)


@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**-540, 2.0**900])
def test_a_right_side_whose_squares_leave_the_range_is_solved_to_the_bit_like_any_other(scale: float) -> None:
    matrix, b = Operator.of(symmetric(spectrum(N, 100.0))), right_side(N)
    ways: list[Callable[[Tensor], Tensor]] = [
        lambda right: solved(cg(matrix, right, tolerance=1e-10)),
        lambda right: levenberg_marquardt_step(matrix, -right, 0.3).step,
    ]
    for solve in ways:
        assert torch.equal(solve(scale * b), scale * solve(b))


def test_cg_with_a_damping_for_each_coordinate() -> None:
    matrix, b, damping = symmetric(spectrum(N, 1e3)), right_side(N), torch.linspace(0.01, 2.0, N, dtype=torch.float64)
    expected = torch.linalg.solve(matrix + damping.diag(), b)
    torch.testing.assert_close(cg(Operator.of(matrix), b, damping=damping, tolerance=1e-12).x, expected, **CONVERGED64)
    torch.testing.assert_close(direct(Operator.of(matrix), b, damping=damping).x, expected, **CONVERGED64)
    torch.testing.assert_close(
        lissa(Operator.of(matrix), b, damping=damping, tolerance=1e-11).x, expected, **CONVERGED64
    )


def test_cg_in_a_subspace_solves_the_projected_equation() -> None:
    """The matrix is indefinite, but not in the subspace: only the projection makes it solvable."""
    values = spectrum(N, 100.0)
    values[:3] = torch.tensor([-5.0, 0.0, -1e-3], dtype=torch.float64)
    matrix, b = symmetric(values), right_side(N)
    basis = torch.linalg.eigh(matrix).eigenvectors
    good = basis[:, 3:]

    def project(vector: Tensor) -> Tensor:
        return good @ (good.T @ vector)

    expected = good @ torch.linalg.solve(good.T @ matrix @ good, good.T @ b)
    for preconditioner in (None, lambda v: v / matrix.diagonal().abs()):
        found = cg(
            Operator.of(matrix),
            b,
            tolerance=1e-11,
            project=lambda v: good @ (good.T @ v),
            preconditioner=preconditioner,
        )
        assert found.converged
        torch.testing.assert_close(found.x, expected, **CONVERGED64)
    assert cg(Operator.of(matrix), b).negative_curvature is not None


def test_cg_says_where_the_matrix_is_indefinite() -> None:
    values = spectrum(N, 100.0)
    values[-1] = -0.01
    matrix, b = symmetric(values), right_side(N)
    found = cg(Operator.of(matrix), b, tolerance=1e-12)
    direction = found.negative_curvature
    assert direction is not None and not found.converged
    assert float(direction @ matrix @ direction) <= 0.0
    assert cg(Operator.of(matrix), b, damping=0.011, tolerance=1e-9, max_iterations=400).converged
    explicit = direct(Operator.of(matrix), b)
    assert explicit.negative_curvature is not None
    torch.testing.assert_close(explicit.x, torch.linalg.solve(matrix, b), **CONVERGED64)


def test_a_direction_without_curvature_is_no_way_to_a_solution_either() -> None:
    flat = Operator.of(torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float64))
    b = torch.tensor([0.0, 2.0], dtype=torch.float64)
    found = cg(flat, b)
    assert found.negative_curvature is not None and not found.converged
    assert torch.equal(2.0 * found.negative_curvature, b) and not found.x.any()  # a direction has no length


def test_cg_reports_the_true_residual_where_single_precision_ends() -> None:
    matrix, b = symmetric(spectrum(N, 1e5)), right_side(N)
    found = cg(Operator.of(matrix.float()), b.float(), tolerance=1e-9, max_iterations=300)
    truth = float((b - matrix.float().double() @ found.x.double()).norm() / b.norm())
    assert found.residual == pytest.approx(truth, rel=0.3)
    assert not found.converged


def test_nothing_to_solve() -> None:
    operator, zero = Operator.of(symmetric(spectrum(N, 10.0))), torch.zeros(N, dtype=torch.float64)
    for found in (cg(operator, zero), lissa(operator, zero), direct(operator, zero)):
        assert found.converged
        assert torch.equal(found.x, zero)


@pytest.mark.parametrize("rank", [0, 1, 20, N - 1])
def test_the_explicit_solve_refuses_a_singular_matrix(rank: int) -> None:
    """Rounding leaves it a pivot, so that a solution comes out: of length 1e17, and of nothing."""
    values = spectrum(N, 10.0)
    values[rank:] = 0.0
    matrix, b = symmetric(values), right_side(N)
    for singular in (matrix, matrix.float()):
        with pytest.raises(ValueError, match="must not be singular for `direct`; raise `damping`"):
            direct(Operator.of(singular), b.to(singular.dtype))
    assert direct(Operator.of(matrix), b, damping=0.5).residual < 1e-14


# ---- the Neumann series ---------------------------------------------------------------------------------------------


def test_lissa_takes_the_steps_of_the_series() -> None:
    matrix, b = symmetric(spectrum(N, 10.0)), right_side(N)
    found = lissa(Operator.of(matrix), b, scale=2.0, max_iterations=7)
    contraction = torch.eye(N, dtype=torch.float64) - matrix / 2.0
    series = sum((torch.linalg.matrix_power(contraction, k) @ b for k in range(7)), torch.zeros_like(b)) / 2.0
    torch.testing.assert_close(found.x, series, **EXACT64)
    assert (found.iterations, found.converged) == (7, False)
    assert found.residual == found.residuals[-1] == pytest.approx(float((b - matrix @ found.x).norm() / b.norm()))


def test_lissa_needs_the_square_of_what_cg_needs() -> None:
    matrix, b = symmetric(spectrum(N, 300.0)), right_side(N)
    slow, fast = lissa(Operator.of(matrix), b), cg(Operator.of(matrix), b)
    assert slow.converged and fast.converged
    assert slow.iterations > 20 * fast.iterations
    assert all(new <= old for old, new in zip(slow.residuals, slow.residuals[1:], strict=False))


def test_lissa_refuses_a_scale_at_which_it_would_diverge() -> None:
    matrix, b = symmetric(10.0 * spectrum(N, 10.0)), right_side(N)
    assert lissa(Operator.of(matrix), b, scale=6.0).converged  # above half of 10 it still converges
    with pytest.raises(Diverges, match=r"`scale` must be above 5"):
        lissa(Operator.of(matrix), b, scale=4.9)
    x = b / 4.9
    for _ in range(300):
        x = x + (b - matrix @ x) / 4.9
    assert float(x.norm()) > 10.0 * float(torch.linalg.solve(matrix, b).norm())


def test_lissa_refuses_an_indefinite_matrix_and_takes_it_damped() -> None:
    values = spectrum(N, 10.0)
    values[-1] = -0.05
    operator, b = Operator.of(symmetric(values)), right_side(N)
    with pytest.raises(Diverges, match=r"negative eigenvalue.*`damping`"):
        lissa(operator, b)
    assert lissa(operator, b, damping=0.06).converged
    with pytest.raises(Diverges):
        lissa(Operator.of(-symmetric(spectrum(N, 10.0))), b)


# ---- Nystrom --------------------------------------------------------------------------------------------------------


def test_nystrom_is_exact_at_full_rank_and_never_above_the_matrix() -> None:
    values = spectrum(N, 1e4)
    matrix = symmetric(values)
    full = nystrom(Operator.of(matrix), N)
    torch.testing.assert_close(full.values, values, rtol=1e-8, atol=1e-10)
    for rank in (1, 8, 25):
        found = nystrom(Operator.of(matrix), rank)
        assert found.values.shape == (rank,)
        torch.testing.assert_close(found.basis.T @ found.basis, torch.eye(rank, dtype=torch.float64), **CONVERGED64)
        rest = torch.linalg.eigvalsh(matrix - (found.basis * found.values) @ found.basis.T)
        assert float(rest[0]) > -1e-10
        assert float(rest[-1]) < 1.0
    low = symmetric(torch.cat([torch.ones(5), torch.zeros(N - 5)]))
    found = nystrom(Operator.of(low), 5)
    torch.testing.assert_close((found.basis * found.values) @ found.basis.T, low, **CONVERGED64)


def test_nystrom_preconditioning_makes_an_ill_conditioned_matrix_easy() -> None:
    n, rank, damping = 300, 40, 1e-5
    matrix, b = symmetric(torch.arange(1, n + 1, dtype=torch.float64) ** -3.0), right_side(n)
    operator = Operator.of(matrix)
    plain = cg(operator, b, damping=damping, tolerance=1e-8, max_iterations=2000)
    found = nystrom(operator, rank)
    helped = cg(
        operator, b, damping=damping, tolerance=1e-8, max_iterations=2000, preconditioner=found.preconditioner(damping)
    )
    assert plain.converged and helped.converged
    torch.testing.assert_close(plain.x, helped.x, rtol=1e-5, atol=1e-4)
    assert helped.iterations + rank < plain.iterations
    assert 5 * helped.iterations < plain.iterations
    inverse = torch.stack([found.preconditioner(damping)(column) for column in torch.eye(n, dtype=torch.float64)])
    root = torch.linalg.cholesky(matrix + damping * torch.eye(n, dtype=torch.float64))
    eigenvalues = torch.linalg.eigvalsh(root.T @ inverse @ root)
    assert float(eigenvalues[-1] / eigenvalues[0]) < 28.0  # the constant of the paper's theorem 1.1


def test_nystrom_refuses_negative_curvature() -> None:
    values = spectrum(N, 10.0)
    values[-1] = -2.0
    with pytest.raises(Indefinite, match="Gauss-Newton"):
        nystrom(Operator.of(symmetric(values)), 30)


def test_same_seed_same_sketch_in_single_precision_too() -> None:
    operator = Operator.of(symmetric(spectrum(N, 1e3)).float())
    one, two, other = (nystrom(operator, 10, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(one.values, two.values)
    assert not torch.equal(one.values, other.values)
    assert one.basis.dtype == torch.float32


# ---- arguments ------------------------------------------------------------------------------------------------------


def test_wrong_arguments_are_all_named() -> None:
    operator, b = Operator.of(torch.eye(3, dtype=torch.float64)), torch.ones(3, dtype=torch.float64)
    with pytest.raises(ValueError) as error:
        cg(operator, b, damping=-1.0, tolerance=-1.0, max_iterations=0)
    assert all(f"`{name}` must be" in str(error.value) for name in ("damping", "tolerance", "max_iterations"))
    with pytest.raises(ValueError) as error:
        lissa(operator, b, damping=-b, scale=0.0, tolerance=0.0, max_iterations=0)
    assert all(f"`{name}` must be" in str(error.value) for name in ("damping", "scale", "tolerance", "max_iterations"))
    with pytest.raises(ValueError, match="`rank` must lie"):
        nystrom(operator, 4)
    with pytest.raises(ValueError, match="`damping` must be"):
        nystrom(operator, 2).solve(b, 0.0)
    with pytest.raises(ValueError, match="at most 5000 unknowns"):
        direct(Operator(lambda v: v, 5001), torch.ones(5001, dtype=torch.float64))
    with pytest.raises(ValueError, match="finite"):
        cg(Operator(lambda v: v * torch.nan, 3), b)
