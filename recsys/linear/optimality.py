"""How far the scores of a linear model are from those of any exact solution: a proven bound.

Let E [n, d] be the layer-0 table, W = E E^T, M the model's propagation and S = (M W M) restricted to user rows and
item columns. `WholeData` plus l2 |E|^2 is F(W) = f(S) + l2 tr(W), convex over W >= 0 (positive semidefinite), where f
is mu-strongly convex in S with mu = 2a. Let W*, S* be any minimiser over all W >= 0, of whatever rank, G = df/dS, and

    Q = 1/2 M [0 G; G^T 0] M + l2 I,        so that F(V) >= F(W) + <Q, V - W> + mu/2 |S_V - S|^2 for every V >= 0.

First E is scaled to its exact best multiple, where <Q, W> = 0 (it is computed and kept below, so that a mistake could
not hide). Write r = |S - S*| and delta = max(0, -lambda_min(Q)).

1. V = W* above, and the same inequality at W*, whose Q* has <Q*, W - W*> >= 0, sum to
       mu r^2 <= <Q, W> - <Q, W*> <= <Q, W> + delta tr(W*).
2. l2 tr(W*) = F(W*) - f(S*); with F(W*) <= F(W) - mu/2 r^2 and f(S*) >= f(S) + <G, S* - S> + mu/2 r^2,
       l2 tr(W*) <= l2 tr(W) + |G| r - mu r^2,
   so that r is at most the positive root of mu (1 + delta / l2) r^2 - (delta / l2) |G| r - delta tr(W) - <Q, W> = 0.
3. Scaling W* cannot lower F, so l2 tr(W*) = -<G*, S*> = sum_observed [2w (y - y^2) - 2a (1 - w) y^2]
   - 2a sum_unobserved y^2 <= 1/2 sum_observed w, for weights 0 <= w <= 1; and l2 tr(W*) <= F(W), for f >= 0. These go
   straight into 1, and may be smaller than 2 while E is far from the solution.

And F(W) - F* <= <Q, W> - <Q, W*> <= <Q, W> + delta tr(W*). The distance moved by scaling is added at
the end. Everything is computed in float64 from the parameters as they are, whatever their own precision.

S* is where exact retrains end that are wide enough for the rank of W*. A narrower one may have several solutions. They
lie within twice the bound of a table of their width: for the best W' of that width F(W') <= F(W) takes the place of the
inequality at W*, which leaves mu/2 for mu in 1 and 2, while 3 holds as it is; and halving mu at most doubles the roots.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import torch
from torch import Tensor

from recsys.graph import BipartiteGraph
from recsys.objectives.model_loss import ModelLoss, WholeDataLoss
from unlearn.devices import elapsed
from unlearn.params import Params
from unlearn.problem import Bound
from unlearn.solvers.deflation import smallest_eigenvalue_near
from unlearn.solvers.lanczos import Extreme, smallest_eigenvalue


def bound(
    loss: ModelLoss,
    params: Params,
    *,
    probability: float = 0.99,
    seed: int = 0,
    resolution: float = 0.015,
    max_iterations: int = 1500,
) -> Bound | None:
    """The proven bound at the given parameters, converged or not; None without L2, where nothing bounds tr(W*).

    Args:
        resolution: the relative bound that an exact solution would get: the smallest eigenvalue of Q is bracketed
            closely enough for that, or to a tenth of its own size. The products needed grow as its inverse.
        max_iterations: products spent at most, each of which is kept, in half of the free memory at most; where they do
            not suffice the bound is wider, never wrong.

    Raises:
        ValueError: the model is not linear or the objective is not `whole_data`.
    """
    started = time.perf_counter()
    point = Certificate.at(loss, params)
    l2, mu = point.l2, 2.0 * point.a
    if l2 == 0.0:
        return None
    score_norm = point.scale * point.score_norm
    accuracy = mu * (resolution * score_norm) ** 2 / point.trace if point.trace > 0.0 else resolution * l2
    extreme = point.lowest(seed, accuracy, probability, max_iterations)
    delta = max(0.0, -extreme.lower)
    simple_trace = min(point.value, 0.5 * point.observed_weight) / l2
    first_order = max(0.0, point.first_order)
    ratio = delta / l2
    linear, square = ratio * point.slope_norm, mu * (1.0 + ratio)
    root = (linear + math.sqrt(linear**2 + 4.0 * square * (delta * point.trace + first_order))) / (2.0 * square)
    radius = min(root, math.sqrt((delta * simple_trace + first_order) / mu))
    trace = min(simple_trace, point.trace + point.slope_norm * radius / l2)
    distance = radius + abs(1.0 - point.scale) * point.score_norm
    return Bound(
        score_distance=distance,
        relative=distance / point.score_norm if point.score_norm > 0.0 else math.inf,
        objective_gap=delta * trace + first_order + point.gained,
        curvature=extreme.lower,
        probability=probability,
        seconds=elapsed(started),
        ascent=extreme.vector if extreme.ritz < 0.0 else None,
    )


@dataclass(frozen=True, eq=False)
class Certificate:
    """Q as an operator at one table, with the scalars that the bound needs; all float64, all at the scaled point."""

    l2: float
    a: float
    value: float  # F(W)
    trace: float  # tr(W) = |E|^2
    scale: float  # what W was multiplied by
    score_norm: float  # |S| before scaling
    gained: float  # how much scaling lowered F
    slope_norm: float  # |G|
    first_order: float  # <Q, W>, zero at the best multiple
    observed_weight: float  # sum of the weights of the observed pairs
    _graph: BipartiteGraph
    _polynomial: tuple[float, ...]  # coefficients c of M = sum_l c_l A^l
    _users: Tensor
    _items: Tensor
    _sparse: Tensor
    _sparse_t: Tensor
    _range: Tensor | None

    @classmethod
    def at(cls, loss: ModelLoss, params: Params, *, scaled: bool = True) -> Certificate:
        """At the given parameters, or at their best multiple.

        Raises:
            ValueError: the model is not linear, or trained by another objective than `whole_data`.
        """
        if not isinstance(loss, WholeDataLoss):
            raise ValueError(
                "a bound is known for linear models (mf, lightgcn, social_lightgcn) under `whole_data` only "
                f"(got {loss.model.name} under {loss.objective.name})"
            )
        model, objective = loss.model, loss.objective
        a, l2 = objective.a, objective.l2
        with torch.no_grad():
            graph = loss.graph.weighted(loss.graph.values.new_ones(loss.graph.n_edges, dtype=torch.float64))
        assert graph.weights is not None
        table = params["table"].detach().double()
        users, items = _propagate(graph, model.polynomial(), table).split([graph.n_users, graph.n_items])
        y = graph.edge_products(users, items)
        trace = float(table.square().sum())
        square = float(((users.T @ users) * (items.T @ items)).sum())  # |S|^2
        # F(s W) = sum w + linear s + quadratic s^2
        linear = l2 * trace - 2.0 * float((graph.weights * y).sum())
        quadratic = (1.0 - a) * float((graph.weights * y * y).sum()) + a * square
        scale = 1.0
        if scaled:  # without a score no multiple gains anything, and F rises with tr(W)
            scale = max(0.0, -0.5 * linear / quadratic) if quadratic > 0.0 else 0.0
        y, users = scale * y, scale * users
        slopes = objective.slopes(y, graph)
        weight = float(graph.weights.sum())
        dense = 2.0 * a  # G = slopes on the observed pairs + dense * S
        slope_square = float((slopes * slopes + 2.0 * dense * slopes * y).sum()) + (dense * scale) ** 2 * square
        return cls(
            l2=l2,
            a=a,
            value=weight + linear * scale + quadratic * scale**2,
            trace=scale * trace,
            scale=scale,
            score_norm=math.sqrt(square),
            gained=max(0.0, linear * (1.0 - scale) + quadratic * (1.0 - scale**2)),
            first_order=scale * l2 * trace + float((slopes * y).sum()) + dense * scale**2 * square,
            slope_norm=math.sqrt(max(slope_square, 0.0)),
            observed_weight=weight,
            _graph=graph,
            _polynomial=model.polynomial(),
            _users=users.contiguous(),
            _items=items.contiguous(),
            _sparse=graph.interaction_matrix(slopes),
            _sparse_t=graph.transposed_matrix(slopes),
            _range=_range(table),
        )

    @property
    def size(self) -> int:
        return len(self._users) + len(self._items)

    @property
    def device(self) -> torch.device:
        return self._users.device

    def _embed(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """The user and the item half of M v."""
        final = _propagate(self._graph, self._polynomial, v)
        return final[: self._graph.n_users], final[self._graph.n_users :]

    def product(self, v: Tensor) -> Tensor:
        """Q v for v [n] or [n, r]."""
        users, items = self._embed(v)
        of_users = (self._users @ (self._items.T @ items)).mul_(2.0 * self.a).add_(self._sparse @ items)
        of_items = (self._items @ (self._users.T @ users)).mul_(2.0 * self.a).add_(self._sparse_t @ users)
        of_both = torch.cat([of_users, of_items])
        return _propagate(self._graph, self._polynomial, of_both).mul_(0.5).add_(v, alpha=self.l2)

    def lowest(self, seed: int, accuracy: float, probability: float, max_iterations: int) -> Extreme:
        """The smallest eigenvalue of Q.

        At a solution Q E = 0, so the columns of E span the lowest eigenvectors, and what is left of the spectrum begins
        well above: that takes a tenth of the products. Where it does not help, Lanczos' method starts from nothing; the
        chance to be wrong is shared between the two.
        """
        chance = 0.5 * (1.0 + probability)
        if self._range is not None:
            near = smallest_eigenvalue_near(
                self.product,
                self._range,
                seed=seed,
                accuracy=accuracy,
                relative=0.1,
                probability=chance,
                max_iterations=max_iterations,
            )
            if near is not None:
                return near
        return smallest_eigenvalue(
            self.product,
            self.size,
            seed=seed,
            accuracy=accuracy,
            relative=0.1,
            probability=chance,
            max_iterations=max_iterations,
            device=self.device,
        )

    def best_step(self, v: Tensor) -> float:
        """The s >= 0 that minimises F(W + s v v^T)."""
        graph = self._graph
        users, items = self._embed(v)
        y = users[graph.rows] * items[graph.cols]
        assert graph.weights is not None
        curvature = 2.0 * self.a * float(users @ users) * float(items @ items)
        curvature += (2.0 - 2.0 * self.a) * float((graph.weights * y * y).sum())
        return max(0.0, -float(v @ self.product(v)) / curvature) if curvature > 0.0 else 0.0


def _range(table: Tensor) -> Tensor | None:
    """Orthonormal columns [n, r] that span what the table spans, up to its steepest fall in singular values."""
    squares, vectors = torch.linalg.eigh(table.T @ table)
    squares, vectors = squares.flip(0), vectors.flip(1)
    if not squares[0] > 0.0:
        return None
    kept = torch.cat([squares, squares.new_zeros(1)]).clamp(min=1e-14 * float(squares[0]))  # below is only rounding
    rank = 1 + int((kept[:-1] / kept[1:]).argmax())
    return torch.linalg.qr(table @ vectors[:, :rank]).Q if rank < len(table) else None


def _propagate(graph: BipartiteGraph, polynomial: tuple[float, ...], x: Tensor) -> Tensor:
    """M x for x [n] or [n, d], by Horner's rule; without the bookkeeping of autograd, a third of a vector's product."""
    *lower, top = polynomial
    out = top * x
    for coefficient in reversed(lower):
        out = (graph.normalized @ out).add_(x, alpha=coefficient)
    return out
