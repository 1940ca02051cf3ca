"""Loops over one symmetric matrix [k, k], of which the upper triangle is kept, row by row, in k (k + 1) / 2 numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from unlearn.compiled import kernel


@kernel
def add_outer(triangle: NDArray[np.floating], rows: NDArray[np.floating], scales: NDArray[np.floating]) -> None:
    """S += sum_e scales_e y_e y_e^T over the rows y [n, k]; four at a time, because writing S is what takes long."""
    n, k = rows.shape
    e = 0
    while e < n:
        four = e + 4 <= n
        y0 = rows[e]
        start = 0
        if four:
            y1, y2, y3 = rows[e + 1], rows[e + 2], rows[e + 3]
            for a in range(k):
                s0, s1, s2, s3 = scales[e] * y0[a], scales[e + 1] * y1[a], scales[e + 2] * y2[a], scales[e + 3] * y3[a]
                row = triangle[start - a :]
                for b in range(a, k):
                    row[b] += s0 * y0[b] + s1 * y1[b] + s2 * y2[b] + s3 * y3[b]
                start += k - a
            e += 4
        else:
            for a in range(k):
                s0 = scales[e] * y0[a]
                row = triangle[start - a :]
                for b in range(a, k):
                    row[b] += s0 * y0[b]
                start += k - a
            e += 1


@kernel
def factor(triangle: NDArray[np.floating], k: int) -> None:
    """S = U^T U by Cholesky, in place; the diagonal of U is left inverted."""
    start = 0
    for a in range(k):
        row = triangle[start - a :]
        above = 0
        p = 0
        while p + 4 <= a:
            u0 = triangle[above - p :]
            u1 = u0[k - p - 1 :]
            u2 = u1[k - p - 2 :]
            u3 = u2[k - p - 3 :]
            l0, l1, l2, l3 = u0[a], u1[a], u2[a], u3[a]
            for b in range(a, k):
                row[b] -= l0 * u0[b] + l1 * u1[b] + l2 * u2[b] + l3 * u3[b]
            above += 4 * (k - p) - 6
            p += 4
        while p < a:
            u0 = triangle[above - p :]
            l0 = u0[a]
            for b in range(a, k):
                row[b] -= l0 * u0[b]
            above += k - p
            p += 1
        row[a] = 1 / np.sqrt(row[a])
        inverse = row[a]
        for b in range(a + 1, k):
            row[b] *= inverse
        start += k - a


@kernel
def forward(triangle: NDArray[np.floating], x: NDArray[np.floating]) -> None:
    """x = U^-T x in place."""
    k = len(x)
    start = 0
    for a in range(k):
        row = triangle[start - a :]
        x[a] *= row[a]
        known = x[a]
        for b in range(a + 1, k):
            x[b] -= known * row[b]
        start += k - a


@kernel
def backward(triangle: NDArray[np.floating], x: NDArray[np.floating]) -> None:
    """x = U^-1 x in place."""
    k = len(x)
    start = k * (k + 1) // 2
    for a in range(k - 1, -1, -1):
        start -= k - a
        row = triangle[start - a :]
        rest = x[a]
        for b in range(a + 1, k):
            rest -= row[b] * x[b]
        x[a] = rest * row[a]
