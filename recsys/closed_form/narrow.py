"""A Newton step of both tables at once, over the few directions in which a small request moves their rows.

Forgetting a user takes a pull along that user's row from every item they had, and the users of those items follow. On
Gowalla (32 columns) the moves of all items between two refits, without and with one user, had singular values 1, .19,
.12, then .06 (fifth) and .02 (ninth): most of a row stays as it is, and what moves needs systems of few unknowns only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from scipy.sparse import csr_array
from torch import Tensor

from recsys.closed_form.base import sparse_tensor
from recsys.closed_form.systems import Systems
from recsys.graph import csr
from unlearn.solvers.cg import conjugate_gradients
from unlearn.solvers.gauge import rotation_projection

_BLOCK = 32  # columns of a sparse product: more do not stay in cache
_TOLERANCE = 2e-2  # of the residual: what the directions leave out weighs more
_HALVINGS = 6  # of a step; shorter ones than the last are none


@dataclass(frozen=True, eq=False)
class Side:
    """Users or items: their histories as a CSR tensor of ones [q, m], their table [q, d] and the L2 of each row [q]."""

    histories: Tensor
    table: Tensor
    l2: Tensor

    @classmethod
    def of(cls, histories: csr_array, table: Tensor, l2: Tensor) -> Side:
        return cls(sparse_tensor(histories, table.dtype), table, l2.to(table.dtype))

    def moved(self, moves: Tensor, basis: Tensor) -> Side:
        return replace(self, table=torch.addmm(self.table, moves, basis.T))


def directions(of_users: Tensor, of_items: Tensor, users: Side, items: Side, width: int) -> Tensor:
    """Orthonormal columns [d, k] for the first moves of users and of items, each [r, d], and how others follow.

    A move of items pulls their users along itself through the inverse curvature (Y^T Y + l2 I)^-1 of a user without
    interactions, theirs pulls the items in turn, and the other way round. Groups are scaled to equal norm, because
    their relative size is only known after solving.
    """
    if width >= users.table.shape[1]:
        return torch.eye(users.table.shape[1], dtype=users.table.dtype)
    by_users, by_items = (_curvature(own, other) for own, other in ((users, items), (items, users)))
    groups = [of_users.double(), of_items.double()]
    for _ in range(2):
        of_users, of_items = groups[-2:]
        groups += [torch.linalg.solve(by_users, of_items.T).T, torch.linalg.solve(by_items, of_users.T).T]
    pool = torch.cat([rows / rows.norm().clamp_min(torch.finfo(rows.dtype).tiny) for rows in groups])
    return torch.linalg.eigh(pool.T @ pool).eigenvectors[:, -width:].to(users.table.dtype).contiguous()


def _curvature(own: Side, other: Side) -> Tensor:
    gram = (other.table.T @ other.table).double()
    return gram + own.l2.double().mean() * torch.eye(len(gram), dtype=torch.float64)


def newton_step(users: Side, items: Side, basis: Tensor, *, alpha: float, products: int) -> tuple[Side, Side]:
    """Users given items, then a Newton step of all rows within the directions P, `basis` [d, k].

        S b = -g_y,        S = H_yy - H_yx H_xx^-1 H_xy,        a = -H_xx^-1 H_xy b

    for the moves a [n, k] of users and b [m, k] of items, X + a P^T and Y + b P^T. Given the other table every row has
    a system of its own, so H_xx and H_yy are [k, k] blocks, and of S only products are taken: by conjugate gradients
    with the inverse of H_yy before them, whose first direction is that of alternating least squares, and with at most
    that many `products`. Rotations of the items are kept out: S is all but zero along them, either way. At negative
    curvature the step ends with what it has so far, which is at least half a step of alternating least squares. A step
    that would raise the objective beyond rounding, as one for a fifth of all interactions may, is halved until it does
    not.
    """
    given_items = _Given(users, items, basis, alpha)
    of_users = given_items.systems()
    users = users.moved(-of_users.solve(given_items.gradient()), basis)
    given_items, given_users = _Given(users, items, basis, alpha), _Given(items, users, basis, alpha)
    of_items = given_users.systems()
    rows = given_users.x.shape

    def schur(flat: Tensor) -> Tensor:
        moves = flat.view(rows)
        return (given_users.curved(moves) - given_users.pulled(of_users.solve(given_items.pulled(moves)))).view(-1)

    project = rotation_projection(given_users.x)
    path = conjugate_gradients(
        schur,
        -project(given_users.gradient().view(-1)),
        tolerance=_TOLERANCE,
        max_products=products,
        preconditioner=lambda flat: of_items.solve(flat.view(rows)).view(-1),
        project=project,
    )
    stuck = path.negative_curvature if path.products == 1 else None
    moves = (path.x if stuck is None else stuck).view(rows)
    others = -of_users.solve(given_items.pulled(moves))
    rounding = torch.finfo(moves.dtype).eps  # relative; what a request of one user gains may be less
    most = value(users, items, alpha=alpha) * (1 + rounding)
    for halved in range(_HALVINGS):
        step = users.moved(others * 0.5**halved, basis), items.moved(moves * 0.5**halved, basis)
        if value(*step, alpha=alpha) <= most:
            return step
    return users, items


def value(users: Side, items: Side, *, alpha: float) -> float:
    """The objective of `ImplicitAls`, its sums in double precision."""
    pattern = users.histories
    scores = torch.sparse.sampled_addmm(pattern, users.table, items.table.T, beta=0.0).values().double()
    x, y = users.table.double(), items.table.double()
    observed = (1.0 + alpha) * (1.0 - scores).square() - scores.square()
    penalty = sum(float((side.l2.double() * table.square().sum(1)).sum()) for side, table in ((users, x), (items, y)))
    return float(observed.sum() + ((x.T @ x) * (y.T @ y)).sum()) + penalty


class _Given:
    """Half the objective as a function of one side's rows x = X P, given the other's rows y = Y P."""

    def __init__(self, own: Side, other: Side, basis: Tensor, alpha: float) -> None:
        self.own, self.other, self.alpha = own, other, alpha
        self.x, self.y = own.table @ basis, other.table @ basis
        # Of an interaction of score s: the derivative of (1 + alpha) (1 - s)^2 - s^2, halved.
        self.residuals = self._on_interactions(own.table, other.table, scale=alpha, shift=-(1.0 + alpha))

    def gradient(self) -> Tensor:
        """g_x [q, k] = X Y^T y + l2_x x + R y, R [q, m] the residuals."""
        return self._by_all_pairs(self.y) + self.own.l2[:, None] * self.x + self.residuals @ self.y

    def curved(self, moves: Tensor) -> Tensor:
        """H_xx a [q, k] for `moves` a [q, k] of this side."""
        nearby = self._on_interactions(moves, self.y, scale=self.alpha)
        return moves @ (self.y.T @ self.y) + self.own.l2[:, None] * moves + nearby @ self.y

    def pulled(self, moves: Tensor) -> Tensor:
        """H_xy b [q, k] for `moves` b [m, k] of the other side: what they add to the gradient."""
        nearby = self._on_interactions(self.x, moves, scale=self.alpha)
        return self._by_all_pairs(moves) + self.x @ (moves.T @ self.y) + self.residuals @ moves + nearby @ self.y

    def systems(self) -> Systems:
        """H_xx: y^T y + l2_x I + alpha times the sum of y_i y_i^T over its interactions, for each row."""
        k = self.y.shape[1]
        rows, columns = torch.triu_indices(k, k)
        triangles = self.y.new_empty(len(self.x), len(rows))
        for part in torch.arange(len(rows)).split(_BLOCK):
            left, right = self.y[:, rows[part]], self.y[:, columns[part]]
            products = left * right
            near = self.own.histories @ products
            triangles[:, part[0] : part[-1] + 1] = near.mul_(self.alpha).add_(products.sum(0))
        triangles[:, rows == columns] += self.own.l2[:, None]
        return Systems.factored(triangles, k)

    def _by_all_pairs(self, narrow: Tensor) -> Tensor:
        return self.own.table @ (self.other.table.T @ narrow)

    def _on_interactions(self, left: Tensor, right: Tensor, *, scale: float, shift: float = 0.0) -> Tensor:
        """`scale` times the dot products of the ends of every interaction, plus `shift`, as a CSR tensor."""
        pattern = self.own.histories
        values = torch.sparse.sampled_addmm(pattern, left, right.T, beta=0.0, alpha=scale).values()
        size = (len(self.own.table), len(self.other.table))
        return csr(pattern.crow_indices(), pattern.col_indices(), values + shift, size)
