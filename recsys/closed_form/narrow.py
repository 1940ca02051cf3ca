"""Alternating least squares over the few directions in which a small request moves the rows of both tables.

Forgetting a user takes a pull along that user's row from every item they had, and the users of those items follow. On
Gowalla (32 columns) the moves of all items between two refits, without and with one user, had singular values 1, .19,
.12, then .06 (fifth) and .02 (ninth): most of a row stays as it is, and what moves needs systems of few unknowns only.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.sparse import csr_array
from torch import Tensor

from recsys.closed_form.anderson import fixed_point
from recsys.closed_form.base import sparse_tensor
from recsys.closed_form.rows import solve_rows

_MEMORY = 10


@dataclass(frozen=True, eq=False)
class Side:
    """Users or items: their histories, their table [q, d] and the L2 of each row [q]."""

    histories: csr_array
    table: Tensor
    held: Tensor


def directions(of_users: Tensor, of_items: Tensor, users: Side, items: Side, width: int) -> Tensor:
    """Orthonormal columns [d, k] for the first moves of users and of items, each [r, d], and how others follow.

    A move of items pulls their users along itself through the inverse curvature (Y^T Y + l2 I)^-1 of a user without
    interactions, theirs pulls the items in turn, and the other way round. Groups are scaled to equal norm, because
    their relative size is only known after solving.
    """
    if width >= users.table.shape[1]:
        return torch.eye(users.table.shape[1], dtype=users.table.dtype)
    by_users, by_items = (_curvature(own, other) for own, other in ((users, items), (items, users)))
    groups = [of_users, of_items]
    for _ in range(2):
        of_users, of_items = (
            torch.linalg.solve(by_users, of_items.double().T).T,
            torch.linalg.solve(by_items, of_users.double().T).T,
        )
        groups += [of_users, of_items]
    pool = torch.cat([rows.double() / norm for rows in groups if (norm := rows.double().norm()) > 0])
    return torch.linalg.svd(pool, full_matrices=False).Vh[:width].T.to(users.table.dtype)


def _curvature(own: Side, other: Side) -> Tensor:
    table = other.table.double()
    return table.T @ table + own.held.mean() * torch.eye(table.shape[1], dtype=torch.float64)


def swept(users: Side, items: Side, basis: Tensor, *, alpha: float, sweeps: int) -> tuple[Tensor, Tensor]:
    """Both tables after that many sweeps (users given items, items given users) and a last half-step of the users.

    They move to X + A P^T and Y + B P^T, P being `basis` [d, k], from A = B = 0; see `_half`. Accelerated (Anderson).
    """
    of_users = _products(users.histories, users.table, items.table)
    of_items = _products(items.histories, items.table, users.table)

    def user_moves(moves: Tensor) -> Tensor:
        return _half(users, items, moves, of_users, basis, alpha)

    def sweep(moves: Tensor) -> Tensor:
        return _half(items, users, user_moves(moves), of_items, basis, alpha)

    start = items.table.new_zeros(len(items.table), basis.shape[1])
    moves = fixed_point(sweep, start, max_steps=sweeps, tolerance=0.0, memory=_MEMORY, plain=0)
    return users.table + user_moves(moves) @ basis.T, items.table + moves @ basis.T


def _half(own: Side, other: Side, moves: Tensor, scores: Tensor, basis: Tensor, alpha: float) -> Tensor:
    """The best moves A [q, k] of X + A P^T once the other table is Z = Y + B P^T, B = `moves` [m, k].

        ((Z P)^T Z P + l2_x I + alpha (Z P)_x^T (Z P)_x) a = (Z P)_x^T (1 + alpha - alpha s) - P^T (Z^T Z + l2_x I) x

    with s = Z_x x the scores of its interactions, found from their `scores` [nnz] at B = 0.
    """
    narrow, projected = other.table @ basis + moves, own.table @ basis
    pulls = 1.0 + alpha - alpha * (scores + _products(own.histories, projected, moves))
    gram = other.table.T @ narrow + basis @ (moves.T @ narrow)
    offsets = -(own.table @ gram + own.held[:, None].to(projected.dtype) * projected)
    return solve_rows(own.histories, narrow, pulls, own.held, alpha=alpha, offsets=offsets)


def _products(histories: csr_array, left: Tensor, right: Tensor) -> Tensor:
    """Dot products [nnz] of the two ends of every interaction."""
    pattern = sparse_tensor(histories, left.dtype)
    return torch.sparse.sampled_addmm(pattern, left, right.T, beta=0.0).values()
