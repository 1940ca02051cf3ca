"""The few directions in which a request moves a linear model, and the objective over them alone.

A gradient of the table E is a matrix times E, for the scores are in E E^T. So no step leaves the span of E's rows, and
a table that is wider than its solution's rank, as it must be where every local minimum is to be a global one (Burer and
Monteiro, 2005), is settled in as many columns as that span has: 80 of 192 on ML-100K, 152 on LastFM.

Forgetting a user takes a pull along that user's final embedding from every item they had, and scales the messages of
those items anew. So the table of LastFM moves, on the way to the retrained one, almost entirely within two dozen
directions of that span, and they are known from the request before anything is solved: the lost
pulls, what the inverse curvature makes of them, and the rows whose messages changed. Moving only these costs a
fraction of moving the whole table, and the columns that stay put enter through products made before any request came.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from recsys.graph import BipartiteGraph
from recsys.joint_graph import JointGraph
from recsys.landscape import FrozenColumns, WholeDataLandscape, curvature_inverses
from recsys.models.base import LinearRecommender
from recsys.objectives.model_loss import ModelLoss
from recsys.objectives.whole_data import WholeData
from unlearn.params import Params
from unlearn.problem import Locality

_FEWEST = 24  # directions; with fewer the sparse products are hardly faster
_MOST = 0.75  # of the row space; beyond that all of it is as cheap
_STEP = 8  # directions come in multiples of this: a width that fills no vector register costs a third more a product
_ECHOES = 32  # random sums of what neighbours feel; twice as many find hardly better directions
_PROBES = 4  # random products that tell what the directions leave out; the estimate varies by a fifth
_RENEW = 25  # requests after which a survey is made afresh: what the moved directions leave out adds up


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known about a model before any request; nothing in it tells who or what its rows stand for."""

    axes: Tensor  # [d, r], orthonormal, spanning the rows of the table but for rounding
    final: Tensor  # final embeddings in these coordinates [n_nodes, r]
    scores: Tensor  # [n_edges], of the interactions
    inverse_users: Tensor  # [r, r], the inverse curvature of a user's row
    inverse_items: Tensor
    age: int = 0


def survey(loss: ModelLoss, params: Params) -> Survey | None:
    """Everything that does not depend on the request; None where the objective has no closed line search."""
    model, objective, graph = loss.model, loss.objective, loss.graph
    if not (isinstance(model, LinearRecommender) and isinstance(objective, WholeData)):
        return None
    axes = _row_space(params["table"])
    with torch.no_grad():
        users, items = (side @ axes for side in loss.embed(params))
    inverses = curvature_inverses(users.T @ users, items.T @ items, objective)
    return Survey(axes, torch.cat([users, items]), graph.edge_products(users, items), *inverses)


def _row_space(table: Tensor) -> Tensor:
    """Right singular vectors [d, r] of a table [n, d], all but those whose part in any score is lost in rounding."""
    squares, vectors = torch.linalg.eigh((table.T @ table).double())
    used = int((squares > torch.finfo(table.dtype).eps * squares[-1]).sum())
    r = min(-(-max(used, 1) // _STEP) * _STEP, len(squares))
    return vectors[:, -r:].to(table.dtype).contiguous()


def locality(
    loss: ModelLoss, table: Tensor, before: BipartiteGraph, gone: Tensor, known: Survey, tail: float
) -> Locality:
    """The objective of what remains over the directions that the request moves.

    Where these are most of all that the table has, over all of those.

    Args:
        loss: on the remaining data and graph; `table`, where it starts.
        before: the graph with what was forgotten; `gone`, which of its interactions [k] that is.
        known: the survey of the model that is to forget.
        tail: share of the request's first-order push that the directions may leave out.
    """
    model, objective, graph = loss.model, loss.objective, loss.graph
    assert isinstance(model, LinearRecommender) and isinstance(objective, WholeData)
    idle = loss.idle_nodes
    newly = idle[~torch.isin(idle, replace(loss, graph=before).idle_nodes)]
    kept = torch.ones(before.n_edges, dtype=torch.bool, device=gone.device).index_fill_(0, gone, False)
    slopes = objective.slopes(known.scores[kept], graph)
    basis = _directions(loss, before, table, known, gone, newly, slopes, tail)
    if basis is None:
        return _everywhere(loss, table, known)
    # Idle rows are cleared in the products and in the results: a copy of a whole table costs as much as half an
    # iteration.
    final, axes = known.final, known.axes @ basis
    origin, old = table @ axes, (final @ basis).index_fill_(0, idle, 0.0)
    rest = known.scores[kept] - graph.edge_products(old[: graph.n_users], old[graph.n_users :])
    frozen = FrozenColumns(final, basis, rest, idle)
    part = WholeDataLandscape(model, objective, graph, columns=basis.shape[1], frozen=frozen, old=old)

    def moved() -> Tensor:
        return torch.addmm(table, part.point.view(origin.shape) - origin, axes.T).index_fill_(0, idle, 0.0)

    def embedded() -> Tensor:
        return torch.addmm(final, part.embeddings - old, basis.T).index_fill_(0, idle, 0.0)

    def finish() -> tuple[Params, Survey | None]:
        params = {"table": moved()}
        if known.age + 1 >= _RENEW:
            return params, survey(loss, params)
        return params, replace(known, final=embedded(), scores=part.scores, age=known.age + 1)

    def widened(accuracy: float) -> Locality | None:
        now = moved()
        left_out = _left_out(loss, now @ known.axes, embedded(), part.scores, basis, known)
        return _everywhere(loss, now, known) if left_out > accuracy**2 * part.way_in_scores(old) else None

    return Locality(part, origin.index_fill(0, idle, 0.0).reshape(-1), finish, widened)


def _left_out(loss: ModelLoss, table: Tensor, final: Tensor, scores: Tensor, basis: Tensor, known: Survey) -> float:
    """About what the objective would gain along the directions outside of `basis` [r, k].

    That is half of g^T P g, with g the gradient along these and P the inverse curvature. It is estimated from a few
    random products: g is a matrix times the table, so each of them costs a column and not the table's r.

    Args:
        table: layer 0 [n_nodes, r], `final` embeddings [n_nodes, r] and `scores` [n_edges] at one point, the first two
            in the axes' coordinates.
    """
    model, objective, graph = loss.model, loss.objective, loss.graph
    assert isinstance(model, LinearRecommender) and isinstance(objective, WholeData)
    noise = _noise(len(basis), _PROBES, like=basis)
    probes = torch.cat([_root(known.inverse_users) @ noise, _root(known.inverse_items) @ noise], 1)
    probes -= basis @ (basis.T @ probes)
    moving, z = table @ probes, final @ probes
    (users, items), (z_users, z_items) = (x.split([graph.n_users, graph.n_items]) for x in (final, z))
    pairs = torch.cat([users @ (items.T @ z_items), items @ (users.T @ z_users)]).mul_(2.0 * objective.a)
    inner = torch.addmm(pairs, graph.symmetric_matrix(objective.slopes(scores, graph)), z)
    slopes = model.propagate(graph, inner).add_(moving, alpha=2.0 * objective.l2)
    of_users, of_items = slopes[: graph.n_users, :_PROBES], slopes[graph.n_users :, _PROBES:]
    return float(of_users.square().sum() + of_items.square().sum()) / (2.0 * _PROBES)


def _noise(rows: int, columns: int, like: Tensor) -> Tensor:
    """Standard normal, the same at every call."""
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(0)).to(like)


def _root(matrix: Tensor) -> Tensor:
    """A factor L [r, r] of L L^T, which is that positive definite matrix but for rounding."""
    raised = matrix.double()
    raised.diagonal().add_(len(matrix) * torch.finfo(matrix.dtype).eps * float(raised.diagonal().max()))
    return torch.linalg.cholesky(raised).to(matrix.dtype)


def _everywhere(loss: ModelLoss, table: Tensor, known: Survey) -> Locality:
    """The objective over all that the table spans, from `table`; `known` as `locality` has it."""
    assert isinstance(loss.model, LinearRecommender) and isinstance(loss.objective, WholeData)
    axes, idle = known.axes, loss.idle_nodes
    start, old = (table @ axes).index_fill_(0, idle, 0.0), known.final.index_fill(0, idle, 0.0)
    whole = WholeDataLandscape(loss.model, loss.objective, loss.graph, columns=start.shape[1], old=old)

    def finish() -> tuple[Params, Survey]:
        params = {"table": whole.point.view(start.shape) @ axes.T}
        return params, Survey(axes, whole.embeddings, whole.scores, *whole.curvature_inverses())

    return Locality(whole, start.reshape(-1), finish, widened=lambda _: None)


def _directions(
    loss: ModelLoss,
    before: BipartiteGraph,
    table: Tensor,
    known: Survey,
    gone: Tensor,
    newly: Tensor,
    slopes: Tensor,
    tail: float,
) -> Tensor | None:
    """Orthonormal columns [r, k] for the request's first-order push on the rows of the table, in the axes' coordinates.

    Rows are collected in groups of equal norm, because their relative size is only known after solving: the pulls
    that the lost interactions had on their remaining ends, once and twice through the inverse curvature; the rows
    whose messages were rescaled, as they are and through the inverse curvature; the rows that are `newly` idle; what
    the neighbours of the pulled rows feel, as it is and through the inverse curvature, without which data of few
    interactions a row are left half way; and of a lost tie what each end heard of the other, likewise.
    """
    remaining, n_users = loss.graph, before.n_users
    users, items = before.rows[gone], before.cols[gone]
    final, axes = known.final, known.axes
    pull = (1.0 - known.scores[gone])[:, None]
    of_users, at_users = _gathered(users, pull * final[n_users + items])
    of_items, at_items = _gathered(items, pull * final[users])
    of_users = of_users * ~torch.isin(at_users, newly)[:, None]
    of_items = of_items * ~torch.isin(n_users + at_items, newly)[:, None]
    by_users, by_items = known.inverse_users, known.inverse_items
    once = of_users @ by_users, of_items @ by_items
    degrees = before.degrees()
    lost = (1.0 - remaining.degrees() / degrees.clamp_min(1e-12)) * (degrees > 0)
    at = lost.nonzero().flatten()
    rescaled = (lost[at, None].to(table.dtype) * table[at]) @ axes
    of_user = (at < n_users)[:, None]
    heard = table[_silenced(before, remaining)] @ axes
    moves = torch.zeros_like(final)
    moves[at_users], moves[n_users + at_items] = once
    echo_users, echo_items = _echo(loss, final, moves, slopes)
    groups = [
        torch.cat([of_users, of_items]),
        torch.cat(once),
        torch.cat([once[0] @ by_users, once[1] @ by_items]),
        rescaled,
        torch.where(of_user, rescaled @ by_items, rescaled @ by_users),
        table[newly] @ axes,
        torch.cat([echo_users, echo_items]),
        torch.cat([echo_users @ by_users, echo_items @ by_items]),
        heard,
        heard @ by_users,
    ]
    push = torch.cat([rows / norm for rows in groups if (norm := rows.norm()) > 0] or [rescaled[:0]])
    basis = _principal(push, tail, most=int(_MOST * axes.shape[1]))
    return None if basis is None else basis.to(table.dtype).contiguous()


def _gathered(ends: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of `rows` [e, d] by their end, and the ends [r] in order."""
    at, which = torch.unique(ends, return_inverse=True)
    return rows.new_zeros(len(at), rows.shape[1]).index_add_(0, which, rows), at


def _echo(loss: ModelLoss, final: Tensor, moves: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """Random sums [_ECHOES, r] of the pulls that users feel, and of those that items feel, as their neighbours move.

    Where one end of an interaction moves by m, the score y changes by dy = z . m, and the pull f'(y) z of the moved end
    on the other by f'' dy z + f' m. That is a row for nearly every node, of which only the span is wanted.

    Args:
        final: embeddings [n_nodes, r], and their `moves` [n_nodes, r].
        slopes: f' [n_edges] at the scores of the remaining interactions.
    """
    graph, objective = loss.graph, loss.objective
    assert isinstance(objective, WholeData)
    sizes = [graph.n_users, graph.n_items]
    (users, items), (by_users, by_items) = final.split(sizes), moves.split(sizes)
    change = graph.edge_products(users, by_items) + graph.edge_products(by_users, items)
    noise = _noise(graph.n_nodes, _ECHOES, like=final)
    bent = graph.symmetric_matrix((2.0 - 2.0 * objective.a) * change) @ noise
    kept = graph.symmetric_matrix(slopes) @ noise
    (bent_users, bent_items), (kept_users, kept_items) = bent.split(sizes), kept.split(sizes)
    return bent_items.T @ items + kept_items.T @ by_items, bent_users.T @ users + kept_users.T @ by_users


def _silenced(before: BipartiteGraph, after: BipartiteGraph) -> Tensor:
    """Rows [k] of the users at the ends of lost ties."""
    if not (isinstance(before, JointGraph) and isinstance(after, JointGraph)):
        return before.rows[:0]
    return before.cut_by(after).flatten().unique()


def _principal(rows: Tensor, tail: float, most: int) -> Tensor | None:
    """Leading right singular vectors [d, k] of `rows` [r, d], all but `tail` of their squares; None if k > `most`.

    At least `_FEWEST`, and a multiple of `_STEP`, where the rows have as many to give.
    """
    if not len(rows):
        return None
    # Eigenvectors of a symmetric matrix are orthonormal whatever rounding did to it. Where the rows are few, directions
    # are made with the eigenvalues, too, which are squares: float32 would lose half of their digits.
    wide = len(rows) < rows.shape[1]
    rows = rows.double() if wide else rows
    squares, vectors = torch.linalg.eigh((rows @ rows.T if wide else rows.T @ rows).double())
    k = len(squares) - int((squares.cumsum(0) <= tail * squares.sum()).sum())
    if k > most:
        return None
    real = int((squares > 1e-8 * squares[-1]).sum())
    k = min(-(-max(k, _FEWEST) // _STEP) * _STEP, real, most)
    leading = vectors[:, -k:]
    return rows.T @ (leading / squares[-k:].sqrt()) if wide else leading
