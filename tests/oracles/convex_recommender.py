"""The convex problem behind `whole_data` on a linear model, dense and in NumPy alone.

min over W >= 0 (positive semidefinite, n x n) of F(W) = sum_ui H_ui-weighted squares of S + l2 tr(W),
S = (M W M) restricted to users x items. Nothing here shares code with the packages.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ConvexRecommender:
    observed: Array  # [n_users, n_items] of 0 and 1
    polynomial: tuple[float, ...]  # M = sum_l c_l A^l
    a: float
    l2: float
    ties: Array | None = None  # [n_users, n_users], symmetric: the weight of each

    @cached_property
    def propagation(self) -> Array:
        n_users, n_items = self.observed.shape
        between = np.zeros((n_users + n_items,) * 2)
        between[:n_users, n_users:], between[n_users:, :n_users] = self.observed, self.observed.T
        if self.ties is not None:
            between[:n_users, :n_users] = self.ties
        degrees = between.sum(1)
        adjacency = np.zeros_like(between)
        for one, other in np.argwhere(between > 0):
            adjacency[one, other] = between[one, other] / np.sqrt(degrees[one] * degrees[other])
        return np.sum([c * np.linalg.matrix_power(adjacency, power) for power, c in enumerate(self.polynomial)], axis=0)

    def scores(self, w: Array) -> Array:
        m, n_users = self.propagation, len(self.observed)
        return (m @ w @ m)[:n_users, n_users:]

    def value(self, w: Array) -> float:
        s = self.scores(w)
        fit = np.where(self.observed > 0, (1.0 - s) ** 2, self.a * s**2)
        return float(fit.sum() + self.l2 * np.trace(w))

    def slope(self, w: Array) -> Array:
        s = self.scores(w)
        return np.where(self.observed > 0, -2.0 * (1.0 - s), 2.0 * self.a * s)

    def certificate(self, w: Array) -> Array:
        """Q: the gradient of F in W."""
        m, (n_users, _) = self.propagation, self.observed.shape
        g = np.zeros_like(m)
        g[:n_users, n_users:] = self.slope(w)
        return 0.5 * m @ (g + g.T) @ m + self.l2 * np.eye(len(m))

    def solve(self, *, seed: int = 0) -> Array:
        """W*, by a factorisation of full width; raises unless its dual certificate closes the gap."""
        n = len(self.propagation)

        def objective(flat: Array) -> tuple[float, Array]:
            e = flat.reshape(n, n)
            w = e @ e.T
            return self.value(w), (2.0 * self.certificate(w) @ e).ravel()

        start = 0.3 * np.random.default_rng(seed).standard_normal(n * n)
        rough = minimize(objective, start, jac=True, method="BFGS", options={"maxiter": 5000}).x.reshape(n, n)
        values, vectors = np.linalg.eigh(rough @ rough.T)
        kept = values > 1e-5
        e = self._newton(vectors[:, kept] * np.sqrt(values[kept]))
        w = e @ e.T
        q = self.certificate(w)
        # Weak duality: F(W) - F* <= <Q, W> + max(0, -lambda_min) tr(W*), tr(W*) <= F(W) / l2.
        gap = float(abs((q * w).sum()) + max(0.0, -np.linalg.eigvalsh(q)[0]) * self.value(w) / self.l2)
        assert gap < 1e-12, f"the oracle did not converge: duality gap {gap:.1e}"
        return w

    def _newton(self, e: Array, steps: int = 5) -> Array:
        """Newton in the factor; the least-squares solve leaves out its rotations, along which F is constant."""
        m, (n_users, _) = self.propagation, self.observed.shape
        second = np.where(self.observed > 0, 2.0, 2.0 * self.a)
        for _ in range(steps):
            q = self.certificate(e @ e.T)
            columns: list[Array] = []
            for unit in np.eye(e.size):
                v = unit.reshape(e.shape)
                g = np.zeros_like(m)
                g[:n_users, n_users:] = second * self.scores(v @ e.T + e @ v.T)
                columns.append((2.0 * q @ v + m @ (g + g.T) @ m @ e).ravel())
            e = e - np.linalg.lstsq(np.stack(columns, axis=1), (2.0 * q @ e).ravel(), rcond=1e-9)[0].reshape(e.shape)
        return e
