"""`whole_data` on a linear model as a landscape: exact line search, and a preconditioner from two Gram matrices.

Along a line E + t V the scores are quadratic in t, so the objective is a quartic whose five coefficients follow from
the same products that one evaluation needs. A search is therefore exact and costs half an evaluation (the forward
half; the backward half is the next gradient).

The Hessian acts on a row of users like 2 l2 I + c Z_I^T Z_I and on a row of items like 2 l2 I + c Z_U^T Z_U, plus
terms of the observed pairs. Two d x d inverses of that form are the preconditioner: the idea of scaled gradient
descent (Tong, Ma and Chi, 2021, arXiv 2005.08898), with the regulariser added and used inside L-BFGS.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt

import torch
from torch import Tensor

from recsys.objectives.model_loss import WholeDataLoss
from recsys.objectives.whole_data import WholeData
from unlearn.solvers.landscape import Landscape, Step
from unlearn.solvers.vectors import norm

# c / a: the observed pairs stiffen a row beyond the 2a of the all-pairs term; see benchmarks/solver.py
_STIFFNESS = 10.0
_REFRESH = 5  # searches between two preconditioners
_TIGHTNESS = 1 / 1.6  # what is left of the way in scores to the bound on it; .5 to .8 on real and synthetic data
_TRIALS = 100  # points of a line search; each costs a microsecond
_RENEW = 25  # searches after which everything that follows from the table is computed afresh: rounding adds up


@dataclass(frozen=True, eq=False)
class FrozenColumns:
    """The part of the final embeddings that stays as it is while k directions of the table's row space move.

    With F = final (I - B B^T) and T [n_nodes, k] the final embeddings of the moving part, the scores are
    T_U T_I^T + F_U F_I^T.
    """

    final: Tensor  # [n_nodes, r], in any orthonormal coordinates
    basis: Tensor  # B [r, k], orthonormal
    scores: Tensor  # [n_edges], F_u . F_i of the interactions
    empty: Tensor  # rows that stay zero

    def cross(self, final: Tensor, moving: Tensor) -> Tensor:
        """F^T T [r, k] over the given rows of both."""
        product = final.T @ moving
        return product.sub_(self.basis @ (self.basis.T @ product))


class WholeDataLandscape(Landscape):
    """The objective over the flattened layer-0 table [n_nodes * d], all work in buffers made once.

    A table times orthonormal columns has the objective of the table where these span its rows, so it may have fewer
    columns than the model has. With frozen columns, over the moving ones alone; values are then up to a constant.

    With `old`, the final embeddings [n_nodes, d] of the model that is to forget, zero in rows that nothing remaining
    determines, a solver measures its way by the scores: f - f* >= a ||S - S*||^2, for f is 2a-strongly convex in the
    scores S (as long as the table has the rank). So what is left to gain over a ||S - S_old||^2 bounds the squared
    distance of the scores to the minimiser's, relative to how far they have come.
    """

    def __init__(
        self, loss: WholeDataLoss, *, columns: int, frozen: FrozenColumns | None = None, old: Tensor | None = None
    ) -> None:
        graph = loss.graph
        self._objective, self._graph, self._frozen, self._old = loss.objective, graph, frozen, old
        self._coefficients = loss.model.polynomial()
        self._shape = (graph.n_nodes, columns)
        self._adjacency = graph.normalized
        values = graph.values
        self._table, self._z, self._dz, self._out, *self._scratch = (values.new_empty(self._shape) for _ in range(6))
        self._observed = values.new_empty(3, graph.n_edges, dtype=torch.float64)
        self._no_values = graph.interaction_matrix(values.new_zeros(graph.n_edges))
        self._weights = graph.weights
        self._age = self._measured = 0
        self._way = 0.0

    def _propagate(self, x: Tensor, out: Tensor) -> Tensor:
        """M x into `out`, by Horner's rule; x is neither that nor the first scratch."""
        *lower, top = self._coefficients
        if not lower:
            return torch.mul(x, top, out=out)
        target, other = (out, self._scratch[0]) if len(lower) % 2 else (self._scratch[0], out)
        current, scale = x, top
        for coefficient in reversed(lower):
            torch.addmm(x, self._adjacency, current, beta=coefficient, alpha=scale, out=target)
            current, target, other, scale = target, other, target, 1.0
        return out

    def _halves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[: self._graph.n_users], x[self._graph.n_users :]

    def _edges(self, users: Tensor, items: Tensor) -> Tensor:
        return torch.sparse.sampled_addmm(self._no_values, users, items.T, beta=0.0).values()

    def start(self, x: Tensor) -> float:
        self._table.copy_(x.view(self._shape))
        self._age = self._measured = 0
        return self._evaluate()

    def _evaluate(self) -> float:
        """Everything that follows from the table, and the value."""
        users, items = self._halves(self._propagate(self._table, self._z))
        self._y = self._edges(users, items)
        self._gram_users, self._gram_items = users.T @ users, items.T @ items
        self.evaluations += 1
        pairs = _inner(self._gram_users, self._gram_items)
        if self._frozen is not None:
            self._y.add_(self._frozen.scores)
            of_users, of_items = self._halves(self._frozen.final)
            self._cross = self._frozen.cross(of_users, users), self._frozen.cross(of_items, items)
            pairs += 2.0 * _inner(*self._cross)
        y, a = self._y.double(), self._objective.a
        observed = (1.0 - y).square() - a * y.square()
        self._value = float((observed if self._weights is None else observed * self._weights).sum() + a * pairs)
        self._value += self._objective.l2 * norm(self._table) ** 2
        return self._value

    @property
    def point(self) -> Tensor:
        return self._table.view(-1)

    def way(self, gained: float) -> float:
        return gained if self._old is None else self.way_in_scores(self._old)

    def way_in_scores(self, old: Tensor) -> float:
        """What the objective may still gain before the scores are about as far away as they have come.

        a ||S - S_old||^2 over the square of how tight that bound is; measured anew when the searches have doubled, for
        most of the way is made early.
        """
        if self._age >= 2 * self._measured:
            self._measured = self._age
            (old_users, _), (_, items) = self._halves(old), self._halves(self._z)
            # From differences of embeddings: those of scores would be lost in rounding.
            of_users, of_items = self._halves(torch.sub(self._z, old, out=self._scratch[1]))
            moved = _inner(of_users.T @ of_users, self._gram_items)
            moved += _inner(old_users.T @ old_users, of_items.T @ of_items)
            moved += 2.0 * _inner(of_users.T @ old_users, items.T @ of_items)
            self._way = self._objective.a * moved / _TIGHTNESS**2
        return self._way

    @property
    def embeddings(self) -> Tensor:
        """Final embeddings [n_nodes, d] (of the moving columns) at the current point."""
        return self._z

    @property
    def scores(self) -> Tensor:
        """Scores [n_edges] of the interactions at the current point."""
        return self._y

    def gradient(self) -> Tensor:
        (users, items), graph = self._halves(self._z), self._graph
        slopes = self._objective.slopes(self._y, graph)
        inner = self._scratch[1]
        of_users, of_items = self._halves(inner)
        torch.mm(users, self._gram_items.mul(2.0 * self._objective.a), out=of_users)
        torch.mm(items, self._gram_users.mul(2.0 * self._objective.a), out=of_items)
        if self._frozen is not None:
            frozen_users, frozen_items = self._halves(self._frozen.final)
            of_users.addmm_(frozen_users, self._cross[1], alpha=2.0 * self._objective.a)
            of_items.addmm_(frozen_items, self._cross[0], alpha=2.0 * self._objective.a)
            inner.index_fill_(0, self._frozen.empty, 0.0)
        torch.addmm(inner, graph.symmetric_matrix(slopes), self._z, out=inner)
        out = self._propagate(inner, self._out)
        return out.add_(self._table, alpha=2.0 * self._objective.l2).view(-1)

    def search(self, direction: Tensor, slope: float) -> Step:
        a, l2 = self._objective.a, self._objective.l2
        step = direction.view(self._shape)
        users, items = self._halves(self._z)
        d_users, d_items = self._halves(self._propagate(step, self._dz))
        self.evaluations += 1
        y0, y2 = self._y, self._edges(d_users, d_items)
        y1 = self._edges(d_users, items).add_(self._edges(users, d_items))
        # What the three powers of the step have in each Gram matrix, [3, d, d].
        gram_users = torch.stack([self._gram_users, _symmetric(d_users.T @ users), d_users.T @ d_users])
        gram_items = torch.stack([self._gram_items, _symmetric(d_items.T @ items), d_items.T @ d_items])
        pairs = (gram_users.double().flatten(1) @ gram_items.double().flatten(1).T).tolist()
        curved, cross = 0.0, None  # what the frozen columns add to the quadratic term; the linear one is in `slope`
        if self._frozen is not None:
            of_users, of_items = self._halves(self._frozen.final)
            cross = self._frozen.cross(of_users, d_users), self._frozen.cross(of_items, d_items)
            curved = 2.0 * _inner(*cross)
        keep = 1.0 - a
        zeroth, first, second = (row.copy_(y) for row, y in zip(self._observed, (y0, y1, y2), strict=True))
        one, two = (first, second) if self._weights is None else (first * self._weights, second * self._weights)
        quartic = (
            keep * float(second @ two) + a * pairs[2][2],
            2.0 * keep * float(first @ two) + a * (pairs[1][2] + pairs[2][1]),
            keep * float(first @ one + 2.0 * (zeroth @ two)) - 2.0 * float(two.sum())
            + a * (pairs[0][2] + pairs[2][0] + pairs[1][1] + curved)
            + l2 * norm(step) ** 2,
            slope,
        )  # fmt: skip
        length, change = first_minimum(*quartic)
        self._table.add_(step, alpha=length)
        self._age += 1
        if self._age % _RENEW == 0:
            return Step(length, self._evaluate())
        self._z.add_(self._dz, alpha=length)
        self._y = y0.add_(y1, alpha=length).add_(y2, alpha=length * length)
        self._gram_users = gram_users[0].add_(gram_users[1], alpha=length).add_(gram_users[2], alpha=length * length)
        self._gram_items = gram_items[0].add_(gram_items[1], alpha=length).add_(gram_items[2], alpha=length * length)
        if cross is not None:
            for total, along in zip(self._cross, cross, strict=True):
                total.add_(along, alpha=length)
        self._value += change
        return Step(length, self._value)

    def curvature_inverses(self) -> tuple[Tensor, Tensor]:
        """Approximate inverse curvature of a user's row and of an item's row at the current point."""
        return curvature_inverses(self._gram_users, self._gram_items, self._objective)

    def precondition(self, vector: Tensor) -> Tensor:
        if self._age % _REFRESH == 0:
            self._inverse_users, self._inverse_items = self.curvature_inverses()
        users, items = self._halves(vector.view(self._shape))
        out = self._scratch[1]
        of_users, of_items = self._halves(out)
        torch.mm(users, self._inverse_users, out=of_users)
        torch.mm(items, self._inverse_items, out=of_items)
        return vector.copy_(out.view(-1))


def curvature_inverses(gram_users: Tensor, gram_items: Tensor, objective: WholeData) -> tuple[Tensor, Tensor]:
    """Approximate inverse curvature [d, d] of a user's row and of an item's row, from the other side's Gram matrix."""
    shift, stiffness = 2.0 * objective.l2, _STIFFNESS * objective.a
    return _inverse(gram_items, shift, stiffness), _inverse(gram_users, shift, stiffness)


def _inner(left: Tensor, right: Tensor) -> float:
    return float((left.double() * right.double()).sum())


def _symmetric(product: Tensor) -> Tensor:
    return product + product.T


def _inverse(gram: Tensor, shift: float, stiffness: float) -> Tensor:
    """(shift I + stiffness gram)^-1, [d, d]."""
    matrix = gram.double() * stiffness
    rounding = max(1e-8, len(gram) * torch.finfo(gram.dtype).eps) * float(matrix.diagonal().max())
    matrix.diagonal().add_(max(shift, rounding + 1e-30))
    return torch.cholesky_inverse(torch.linalg.cholesky(matrix)).to(gram.dtype)


def first_minimum(a: float, b: float, c: float, slope: float) -> tuple[float, float]:
    """The least t > 0 where a t^4 + b t^3 + c t^2 + slope t, falling at 0, has a minimum, and its value there.

    Both are 0 if rounding leaves none. Newton's method on the derivative, kept in a bracket: finding all its roots, as
    numpy does, takes a tenth of a small iteration.
    """
    low, high, t = 0.0, inf, 1.0
    turn = 9.0 * b * b - 24.0 * a * c
    crest = -(3.0 * b + sqrt(turn)) / (12.0 * a) if a > 0.0 < turn else 0.0  # where the derivative has a maximum
    if crest > 0.0 < ((4.0 * a * crest + 3.0 * b) * crest + 2.0 * c) * crest + slope:
        high, t = crest, 0.5 * crest
    for _ in range(_TRIALS):
        derivative = ((4.0 * a * t + 3.0 * b) * t + 2.0 * c) * t + slope
        bend = (12.0 * a * t + 6.0 * b) * t + 2.0 * c
        low, high = (t, high) if derivative < 0.0 else (low, t)
        before, t = t, t - derivative / bend if bend > 0.0 else inf
        if not low <= t <= high or t == inf:
            t = 2.0 * before if high == inf else 0.5 * (low + high)
        if abs(t - before) <= 1e-14 * t:
            break
    value = (((a * t + b) * t + c) * t + slope) * t
    return (t, value) if value < 0.0 else (0.0, 0.0)
