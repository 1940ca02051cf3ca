"""A proven lower end for the smallest eigenvalue of a symmetric operator."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from scipy.special import betaincinv
from torch import Tensor

from unlearn.memory import free_bytes

_UNIT = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class Extreme:
    """The smallest eigenvalue lies in [lower, ritz]; `ritz` always bounds it from above.

    `vector` [n] is the unit Ritz vector of `ritz`; `lower` holds with the probability that was asked for.
    """

    lower: float
    ritz: float
    vector: Tensor = field(repr=False)
    iterations: int


def smallest_eigenvalue(
    product: Callable[[Tensor], Tensor],
    size: int,
    *,
    seed: int,
    accuracy: float,
    relative: float = 0.0,
    probability: float = 0.99,
    max_iterations: int = 1000,
    at_least: float | None = None,
    beside: Tensor | None = None,
    device: torch.device | str = "cpu",
) -> Extreme:
    """Bracket the smallest eigenvalue of the symmetric Q [n, n] that `product` applies, from a random start.

    Kuczynski and Wozniakowski, "Estimating the largest eigenvalue by the power and Lanczos algorithms with a random
    start", SIAM J. Matrix Anal. Appl. 13(4), 1992. Let t1 >= .. >= tk be the Ritz values after k steps from a unit
    vector b, l1 >= .. >= ln the eigenvalues, and tau <= |b . v| for the unit eigenvectors v of l1 and of ln. Then, with

        sqrt(eps) = tanh(asinh(sqrt(1 / tau^2 - 1)) / (2k - 1)),    ln >= tk - (t1 - tk) eps / (1 - 2 eps).

    Proof. Scale so that l1 = 1, ln = 0. For every polynomial p of degree k - 1 with p(1) = 1, 1 - t1 is at most
    sum_i b_i^2 p(l_i)^2 (1 - l_i) / sum_i b_i^2 p(l_i)^2. If that exceeds eps, then tau^2 eps is below (1 - tau^2)
    times the largest p(x)^2 (1 - eps - x) on [0, 1 - eps]. With x = (1 - eps)(1 - u^2) and u p = c T_{2k-1}(u), T
    Chebyshev's, that largest value is eps / sinh^2((2k - 1) atanh(sqrt eps)), which contradicts the choice of eps. So
    l1 - t1 <= e (t1 - ln) with e = eps / (1 - eps), and by the same argument at the other end tk - ln <= e (l1 - tk);
    eliminating l1 gives the claim. For b uniform on the sphere, (b . v)^2 is Beta(1/2, (n - 1)/2): tau^2 is its
    quantile at (1 - probability) / 2, so both ends hold together. They hold for **every** k at once, since the only
    random event is the one about b: stopping early when the bracket is small costs no probability. Where the Krylov
    space is exhausted up to a remainder of norm r, |(T - ln) V v| <= r and |V v| >= tau: ln >= tk - r / tau.

    Args:
        product: v [n] float64 -> Q v [n]; may return a buffer that it reuses.
        accuracy: stop when ritz - lower is at most this, or ...
        relative: ... at most this part of |ritz|.
        at_least: stop when it is known whether the eigenvalue is at least this, instead of by the width of the bracket.
        beside: orthonormal columns [n, r]: the eigenvalue of Q's part on their complement.

    Memory: (k + 1) n float64, so k ends where half of the free main memory would. Orthogonality is kept at the square
    root of the unit round-off, which leaves the Ritz values exact to the unit round-off (Simon, "The Lanczos
    algorithm with partial reorthogonalization", 1984).

    **Differences from the paper:** the exact quantile in place of its bound 1.648 sqrt(n); both ends of the spectrum
    from one run, so that no upper bound on Q need be known; the union over k is free.

    Raises:
        ValueError: an argument is out of range, or the product is not finite.
    """
    _check(size, accuracy, relative, probability, max_iterations)
    free = size if beside is None else size - beside.shape[1]
    steps = min(max_iterations, free, _room(size, device))
    tau = math.sqrt(float(betaincinv(0.5, 0.5 * (free - 1), 0.5 * (1.0 - probability)))) if free > 1 else 1.0
    spread_angle = math.asinh(math.sqrt(max(1.0 / tau**2 - 1.0, 0.0)))
    basis = _Basis(product, _start(size, seed, beside, device), steps, beside)
    check = 2
    while True:
        exhausted = basis.extend(min(check, steps))
        k = basis.size
        if k == free:  # the whole space, though rounding may leave a remainder that is no zero
            exhausted, basis.rest = True, 0.0
        low, high = basis.ends()
        root = 0.0 if exhausted else math.tanh(spread_angle / (2 * k - 1))
        slack = (high - low) * root**2 / (1.0 - 2.0 * root**2) if 2.0 * root**2 < 1.0 else math.inf
        slack += size * _UNIT * max(abs(low), abs(high)) + basis.rest / tau  # rounding of the Ritz values themselves
        known = slack <= max(accuracy, relative * abs(low))
        if at_least is not None:
            known = low < at_least or low - slack >= at_least
        if exhausted or k == steps or known:
            return Extreme(lower=low - slack, ritz=low, vector=basis.lowest_vector(), iterations=k)
        check = max(check + 1, int(1.15 * check))


class _Basis:
    """An orthonormal Krylov basis V [k, n] with V Q V^T = tridiag(alphas, betas), orthogonal to `beside` [n, r]."""

    def __init__(
        self, product: Callable[[Tensor], Tensor], start: Tensor, steps: int, beside: Tensor | None = None
    ) -> None:
        self._product, self._beside = product, beside
        self._vectors = start.new_empty(steps + 1, start.numel())
        self._vectors[0] = start
        self._alphas, self._betas = np.zeros(steps), np.zeros(steps)
        # Estimated inner products of the newest two vectors with all earlier ones, by Simon's recurrence.
        self._omega, self._omega_before = np.zeros(steps + 1), np.zeros(steps + 1)
        self._omega[0] = 1.0
        self._again = False
        self.size, self.rest = 0, 0.0  # what is left of Q V outside of V, where it is too little to go on with

    def extend(self, size: int) -> bool:
        """Grow the basis to `size` vectors; True where the Krylov space is exhausted before that."""
        while self.size < size:
            k = self.size
            v = self._vectors
            w = self._vectors[k + 1]
            w.copy_(self._product(v[k]))
            alpha = float(w @ v[k])
            if not math.isfinite(alpha):
                raise ValueError("`product` must return finite values for `smallest_eigenvalue` (got nan or inf)")
            w.add_(v[k], alpha=-alpha)
            if k:
                w.add_(v[k - 1], alpha=-self._betas[k - 1])
            rest = float(w @ v[k])  # a second time: the step above cancels digits
            w.add_(v[k], alpha=-rest)
            if self._beside is not None:  # the last thing, so that what rounding leaves of it does not grow by steps
                w.sub_(self._beside @ (self._beside.T @ w))
            self._alphas[k] = alpha + rest
            beta = float(w.norm())
            scale = max(abs(self._alphas[: k + 1]).max(), self._betas[:k].max(initial=0.0))
            if beta > 10.0 * _UNIT * scale:
                beta = self._orthogonalise(k, w, beta)
            self.size = k + 1
            if beta <= 100.0 * _UNIT * scale:
                self.rest = beta
                return True
            self._betas[k] = beta
            w.div_(beta)
        return False

    def _orthogonalise(self, k: int, w: Tensor, beta: float) -> float:
        """Make `w` orthogonal to all earlier vectors where the estimate says that this was lost; its new norm."""
        a, b, new, old = self._alphas, self._betas, self._omega, self._omega_before
        estimate = np.zeros_like(new)
        if k:
            j = np.arange(k)
            estimate[:k] = b[j] * new[j + 1] + (a[j] - a[k]) * new[j] - b[k - 1] * old[j]
            estimate[1:k] += b[j[1:] - 1] * new[j[1:] - 1]
            noise = _UNIT * (b[j] + beta) * 2.0
            estimate[:k] = (estimate[:k] + np.copysign(noise, estimate[:k])) / beta
        estimate[k] = math.sqrt(w.numel()) * _UNIT
        estimate[k + 1] = 1.0
        lost = bool(np.abs(estimate[: k + 1]).max() > math.sqrt(_UNIT))
        if lost or self._again:
            earlier = self._vectors[: k + 1]
            before = after = beta
            for _ in range(2):  # twice is enough (Kahan); the second time only where much was taken away
                torch.addmv(w, earlier.T, earlier @ w, alpha=-1.0, out=w)
                before, after = after, float(w.norm())
                if after > 0.7 * before:
                    break
            beta = after
            estimate[: k + 1] = math.sqrt(w.numel()) * _UNIT
        self._again = lost and not self._again  # the recurrence has two terms, so the next vector needs it as well
        self._omega_before, self._omega = new, estimate
        return beta

    def ends(self) -> tuple[float, float]:
        """The smallest and the largest Ritz value."""
        values = eigh_tridiagonal(self._alphas[: self.size], self._betas[: self.size - 1], eigvals_only=True)
        return float(values[0]), float(values[-1])

    def lowest_vector(self) -> Tensor:
        """The unit Ritz vector [n] of the smallest Ritz value."""
        _, vectors = eigh_tridiagonal(
            self._alphas[: self.size], self._betas[: self.size - 1], select="i", select_range=(0, 0)
        )
        vector = self._vectors[: self.size].T @ torch.from_numpy(vectors[:, 0].copy()).to(self._vectors)
        return vector / vector.norm()


def _room(size: int, device: torch.device | str) -> int:
    """How many steps half of the free memory allows; another device than main memory refuses by itself."""
    there = free_bytes() if torch.device(device).type == "cpu" else None
    return sys.maxsize if there is None else max(1, there // (2 * 8 * size) - 1)


def _start(size: int, seed: int, beside: Tensor | None, device: torch.device | str) -> Tensor:
    """A unit vector [n], uniform on the sphere; within the complement of `beside`, if given."""
    start = torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(device)
    if beside is not None:
        start -= beside @ (beside.T @ start)
    return start / start.norm()


def _check(size: int, accuracy: float, relative: float, probability: float, max_iterations: int) -> None:
    rules = (
        ("size", size, size >= 1, "a positive integer"),
        ("accuracy", accuracy, accuracy > 0.0, "a positive number"),
        ("relative", relative, relative >= 0.0, "a number of at least 0"),
        ("probability", probability, 0.0 < probability < 1.0, "a number strictly between 0 and 1"),
        ("max_iterations", max_iterations, max_iterations >= 1, "a positive integer"),
    )
    caller = "smallest_eigenvalue"
    wrong = [f"`{name}` must be {rule} for `{caller}` (got {got})" for name, got, ok, rule in rules if not ok]
    if wrong:
        raise ValueError("\n".join(wrong))
