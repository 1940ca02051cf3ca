"""The proven lower end against dense eigenvalues."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom
from torch import Tensor

from tests.unlearn.solvers.matrices import symmetric
from unlearn.solvers.lanczos import _Basis, smallest_eigenvalue

OUTLIERS = np.concatenate([np.geomspace(1e2, 1e6, 20), np.random.default_rng(0).random(380)])
ROUNDING = 1e-10


SPECTRA: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "indefinite": lambda rng: rng.standard_normal(200),
    "many zeros": lambda rng: np.concatenate([np.zeros(100), rng.random(100)]),
    "one just below many zeros": lambda rng: np.concatenate([[-1e-3], np.zeros(100), rng.random(100)]),
    "decaying to zero": lambda rng: 10.0 ** -np.linspace(0, 12, 150),
    "far above": lambda rng: 1e3 + rng.random(80),
    "negative definite": lambda rng: -np.abs(rng.standard_normal(120)) - 1.0,
    "huge outlier": lambda rng: np.concatenate([rng.standard_normal(150), [1e6]]),
}


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("seed", range(4))
def test_smallest_eigenvalue_lies_in_the_bracket(name: str, seed: int) -> None:
    spectrum = SPECTRA[name](np.random.default_rng(seed))
    matrix = symmetric(spectrum, seed)
    span = float(spectrum.max() - spectrum.min())
    found = smallest_eigenvalue(matrix.mv, len(spectrum), seed=seed, accuracy=1e-3 * span)
    assert found.lower <= spectrum.min() + ROUNDING * np.abs(spectrum).max()
    assert spectrum.min() <= found.ritz + ROUNDING * np.abs(spectrum).max()
    assert found.ritz - found.lower <= 1e-3 * span
    assert float(found.vector.norm()) == pytest.approx(1.0, abs=1e-12)
    rayleigh = float(found.vector @ matrix @ found.vector)
    assert rayleigh == pytest.approx(found.ritz, abs=1e-9 * max(1.0, np.abs(spectrum).max()))


@given(
    spectrum=st.lists(st.floats(-100, 100).map(lambda x: round(x, 3)), min_size=1, max_size=25), seed=st.integers(0, 99)
)
@settings(max_examples=150)
def test_bracket_holds_for_any_small_spectrum(spectrum: list[float], seed: int) -> None:
    """The Krylov space of a small matrix is exhausted, so both ends meet; multiple eigenvalues included."""
    matrix = symmetric(np.array(spectrum), seed)
    found = smallest_eigenvalue(matrix.mv, len(spectrum), seed=seed, accuracy=1e-9, probability=1 - 1e-9)
    tolerance = 1e-9 * max(1.0, max(map(abs, spectrum)))
    assert found.lower <= min(spectrum) + tolerance
    assert found.ritz >= min(spectrum) - tolerance


@pytest.mark.parametrize("probability", [0.5, 0.9])
@pytest.mark.parametrize("gap", [1e-3, 3e-2])
def test_failures_are_as_rare_as_stated(probability: float, gap: float) -> None:
    """Over many starts, the lower end fails at most as often as it may, on spectra made to be missed.

    The smallest eigenvalue is alone below a crowd; few iterations, so that the bound itself is at work.
    """
    spectrum = np.concatenate([[0.0], np.linspace(gap, 1.0, 299)])
    trials, failures = 400, 0
    for seed in range(trials):
        diagonal = torch.from_numpy(spectrum)
        found = smallest_eigenvalue(
            diagonal.mul, 300, seed=seed, accuracy=1e-12, probability=probability, max_iterations=14
        )
        assert found.ritz >= -1e-12
        failures += found.lower > 0.0
    assert failures <= binom.ppf(1 - 1e-6, trials, 1 - probability)


def test_what_hides_in_the_rounding_of_an_exhausted_space_is_bounded_too() -> None:
    """The second Krylov vector is as small as rounding, and with it goes an eigenvalue ten times as far away."""
    diagonal = torch.ones(100, dtype=torch.float64)
    diagonal[0] -= 2e-13
    found = [smallest_eigenvalue(diagonal.mul, 100, seed=seed, accuracy=1e-9) for seed in range(200)]
    assert {one.iterations for one in found} == {1, 2}
    assert sum(one.lower > float(diagonal[0]) for one in found) <= binom.ppf(1 - 1e-6, 200, 0.01)


def test_the_bound_is_needed_and_not_wasteful() -> None:
    """On such a spectrum the Ritz value alone is wrong every time; at even odds the bound is a small factor wider."""
    diagonal = torch.from_numpy(np.concatenate([[0.0], np.linspace(3e-2, 1.0, 299)]))
    found = [
        smallest_eigenvalue(diagonal.mul, 300, seed=s, accuracy=1e-12, probability=0.5, max_iterations=14)
        for s in range(50)
    ]
    assert min(f.ritz for f in found) > 1e-5
    assert float(np.median([(f.ritz - f.lower) / f.ritz for f in found])) < 30.0


def test_more_probability_and_accuracy_cost_more() -> None:
    matrix = symmetric(np.random.default_rng(0).standard_normal(300))
    asked = [(0.9, 1e-1), (0.9999, 1e-1), (0.9, 1e-2)]
    steps = [smallest_eigenvalue(matrix.mv, 300, seed=0, accuracy=a, probability=p).iterations for p, a in asked]
    assert steps[0] < steps[1]
    assert steps[0] < steps[2]


def test_width_is_the_formula_of_the_paper() -> None:
    """1.648 sqrt(n) exp(-sqrt(eps) (2k - 1)) is their bound; the exact quantile is a little sharper, never weaker."""
    n, k, probability = 500, 40, 0.98
    diagonal = torch.linspace(0.0, 1.0, n, dtype=torch.float64)
    found = smallest_eigenvalue(diagonal.mul, n, seed=1, accuracy=1e-12, probability=probability, max_iterations=k)
    eps = (math.log(1.648 * math.sqrt(n) / 0.01) / (2 * k - 1)) ** 2  # 0.01 for each of the two ends
    assert found.iterations == k
    width = found.ritz - found.lower
    assert 0.7 * eps < width / (1.0 - found.ritz) < 1.1 * eps / (1.0 - 2.0 * eps)


@pytest.mark.parametrize("probability", [0.4, 0.7])
def test_of_three_dimensions_the_bound_is_in_closed_form(probability: float) -> None:
    """A coordinate of a random unit vector in space is uniform (Archimedes), so tau is (1 - probability) / 2."""
    diagonal = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64)
    bottom, top = (
        smallest_eigenvalue((sign * diagonal).mul, 3, seed=2, accuracy=1e-12, probability=probability, max_iterations=2)
        for sign in (1.0, -1.0)
    )
    tau = (1.0 - probability) / 2.0
    eps = math.tanh(math.acosh(1.0 / tau) / 3.0) ** 2
    expected = (-top.ritz - bottom.ritz) * eps / (1.0 - 2.0 * eps)
    assert bottom.ritz - bottom.lower == pytest.approx(expected, rel=1e-9)


def test_it_stops_as_soon_as_the_eigenvalue_is_known_to_be_at_least_that_or_not() -> None:
    diagonal = torch.linspace(0.0, 1.0, 300, dtype=torch.float64)
    for at_least, most in ((0.2, 30), (-0.3, 30)):
        found = smallest_eigenvalue(diagonal.mul, 300, seed=0, accuracy=1e-9, at_least=at_least)
        assert (found.ritz < at_least) is (at_least > 0.0) and (found.lower >= at_least) is (at_least < 0.0)
        assert found.iterations < most


def test_relative_accuracy_stops_early() -> None:
    matrix = symmetric(np.concatenate([[-50.0], np.random.default_rng(0).random(300)]))
    tight = smallest_eigenvalue(matrix.mv, 301, seed=0, accuracy=1e-2)
    loose = smallest_eigenvalue(matrix.mv, 301, seed=0, accuracy=1e-2, relative=0.1)
    assert loose.iterations < tight.iterations
    assert loose.lower <= -50.0 <= loose.ritz + ROUNDING
    assert loose.ritz - loose.lower <= 5.0


def test_orthogonality_survives_many_converged_values() -> None:
    """Outliers converge at once and would return as copies; neither bracket nor smallest value may suffer."""
    matrix = symmetric(OUTLIERS)
    found = smallest_eigenvalue(matrix.mv, 400, seed=0, accuracy=1e-3, max_iterations=400)
    assert found.ritz == pytest.approx(OUTLIERS.min(), abs=1e-3)
    assert found.lower <= OUTLIERS.min() + 1e-8


@pytest.mark.parametrize(
    ("spectrum", "steps", "lost", "most"), [(np.linspace(0, 1, 400), 8, 1e-13, 0), (OUTLIERS, 150, 1e-7, 150)]
)
def test_orthogonality_is_kept_in_any_unit_and_only_where_it_would_be_lost(
    spectrum: np.ndarray, steps: int, lost: float, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix, start = symmetric(spectrum), torch.full((400,), 0.05, dtype=torch.float64)
    addmv, mended = torch.addmv, list[Tensor]()
    monkeypatch.setattr(torch, "addmv", lambda w, *rest, **named: mended.append(w) or addmv(w, *rest, **named))
    one, other = (_Basis(lambda v, unit=unit: unit * (matrix @ v), start, steps) for unit in (1.0, 2.0**-30))
    assert not one.extend(steps)
    assert len(mended) <= most
    assert not other.extend(steps)
    vectors = one._vectors[:steps]
    assert (vectors @ vectors.T - torch.eye(steps, dtype=torch.float64)).abs().max() < lost
    assert torch.equal(one._vectors, other._vectors) and (one._omega == other._omega).all()


def test_multiples_of_the_identity_end_at_once() -> None:
    for value in (0.0, 3.0, -2.0):
        found = smallest_eigenvalue(lambda v, value=value: value * v, 50, seed=0, accuracy=1e-6)
        assert found.iterations == 1
        assert found.ritz == pytest.approx(value, abs=1e-12)
        assert found.lower == pytest.approx(value, abs=1e-12)


def test_same_seed_same_answer_and_product_may_reuse_its_buffer() -> None:
    matrix, buffer = symmetric(np.random.default_rng(0).standard_normal(60)), torch.empty(60, dtype=torch.float64)
    plain = smallest_eigenvalue(matrix.mv, 60, seed=4, accuracy=1e-2)
    reused = smallest_eigenvalue(lambda v: torch.mv(matrix, v, out=buffer), 60, seed=4, accuracy=1e-2)
    assert (plain.lower, plain.ritz, plain.iterations) == (reused.lower, reused.ritz, reused.iterations)
    assert smallest_eigenvalue(matrix.mv, 60, seed=5, accuracy=1e-2).lower != plain.lower


def test_wrong_arguments_are_all_named() -> None:
    with pytest.raises(ValueError) as error:
        smallest_eigenvalue(lambda v: v, 0, seed=0, accuracy=0.0, relative=-1.0, probability=1.0, max_iterations=0)
    for name in ("size", "accuracy", "relative", "probability", "max_iterations"):
        assert f"`{name}` must be" in str(error.value)
    with pytest.raises(ValueError, match="finite"):
        smallest_eigenvalue(lambda v: v * math.nan, 5, seed=0, accuracy=1e-3)


def test_a_basis_of_the_whole_space_leaves_nothing_to_chance() -> None:
    """Also where rounding leaves a remainder after the last vector that does not look like zero, as in some."""
    n, r = 18, 5
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        q, _ = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))
        few = 1e-8 * torch.randn(r, generator=generator, dtype=torch.float64)
        values = torch.cat([few, torch.logspace(-3, 1, n - r, dtype=torch.float64)])
        matrix = q @ (values[:, None] * q.T)
        beside, _ = torch.linalg.qr(q[:, :r] + 1e-7 * torch.randn(n, r, generator=generator, dtype=torch.float64))

        found = smallest_eigenvalue(matrix.mv, n, seed=seed, accuracy=1e-13, beside=beside)
        assert found.ritz - found.lower <= 1e-12
        assert found.lower == pytest.approx(1e-3, rel=1e-6)


def test_the_basis_fits_into_half_of_the_free_memory_and_the_bound_is_wider(monkeypatch: pytest.MonkeyPatch) -> None:
    spectrum = SPECTRA["indefinite"](np.random.default_rng(0))
    matrix, vector = symmetric(spectrum, 0), 8 * len(spectrum)
    whole = smallest_eigenvalue(matrix.mv, len(spectrum), seed=0, accuracy=1e-6)
    monkeypatch.setattr("unlearn.solvers.lanczos.free_bytes", lambda: 2 * 31 * vector)
    found = smallest_eigenvalue(matrix.mv, len(spectrum), seed=0, accuracy=1e-6)
    assert found.iterations == 30 < whole.iterations
    assert found.lower < whole.lower <= spectrum.min() + ROUNDING
    assert spectrum.min() <= whole.ritz + ROUNDING
    assert whole.ritz < found.ritz
