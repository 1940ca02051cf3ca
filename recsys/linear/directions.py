"""The few directions in which a request moves a linear model.

Forgetting a user takes a pull along that user's final embedding from every item they had, and scales the messages of
those items anew. So the table of LastFM moves, on the way to the retrained one, almost entirely within two dozen
directions of its row space, and they are known from the request before anything is solved: the lost pulls, what the
inverse curvature makes of them, what neighbours feel of that, and the rows whose messages changed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from recsys.graph import BipartiteGraph
from recsys.joint_graph import JointGraph
from recsys.linear.signs import signs
from recsys.linear.survey import STEP, Survey
from recsys.objectives.model_loss import WholeDataLoss

_FEWEST = 24  # directions; with fewer the sparse products are hardly faster
_MOST = 0.5  # of the row space; beyond that all of it takes hardly longer and ends nearer
_ECHOES = 16  # random sums of what neighbours feel; twice as many find hardly better directions


def directions(
    loss: WholeDataLoss,
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
    of_users, at_users = _gathered(users, pull * final[n_users + items], without=newly)
    of_items, at_items = _gathered(items, pull * final[users], without=newly - n_users)
    by_users, by_items = known.inverse_users, known.inverse_items
    once = of_users @ by_users, of_items @ by_items
    degrees = before.degrees()
    lost = (1.0 - remaining.degrees() / degrees.clamp_min(1e-12)) * (degrees > 0)
    at = lost.nonzero().flatten()
    rescaled = (lost[at, None].to(table.dtype) * table[at]) @ axes
    of_user = (at < n_users)[:, None]
    heard = table[_silenced(before, remaining)] @ axes
    echo_users, echo_items = _echo(loss, final, (once[0], at_users), (once[1], at_items), slopes)
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


def _gathered(ends: Tensor, rows: Tensor, without: Tensor) -> tuple[Tensor, Tensor]:
    """Sums of `rows` [e, d] by their end, but of those to leave out, and the ends [r] in order."""
    kept = ~torch.isin(ends, without)
    at, which = torch.unique(ends[kept], return_inverse=True)
    return rows.new_zeros(len(at), rows.shape[1]).index_add_(0, which, rows[kept]), at


def _echo(
    loss: WholeDataLoss,
    final: Tensor,
    users_moved: tuple[Tensor, Tensor],
    items_moved: tuple[Tensor, Tensor],
    slopes: Tensor,
) -> tuple[Tensor, Tensor]:
    """Random sums [_ECHOES, r] of what users feel, and of what items feel, as some of them move.

    That is a row for nearly every node, of which only the span is wanted; the interactions of those that move are all
    it takes.

    Args:
        final: embeddings [n_nodes, r].
        users_moved, items_moved: moves [k, r] and at which users or items [k].
        slopes: f' [n_edges] at the scores of the remaining interactions.
    """
    graph, objective = loss.graph, loss.objective
    users, items = final.split([graph.n_users, graph.n_items])
    of_users, of_items = signs(graph.n_nodes, _ECHOES, like=final).split([graph.n_users, graph.n_items])
    bend = 2.0 - 2.0 * objective.a
    moves, at = users_moved
    by_users = _change_of_pull(graph.rows_of_users(at, slopes), moves, items, users[at], of_items, of_users[at], bend)
    moves, at = items_moved
    by_items = _change_of_pull(graph.rows_of_items(at, slopes), moves, users, items[at], of_users, of_items[at], bend)
    return by_items[0] + by_users[1], by_users[0] + by_items[1]


def _change_of_pull(
    slopes: Tensor, moves: Tensor, others: Tensor, own: Tensor, of_others: Tensor, of_own: Tensor, bend: float
) -> tuple[Tensor, Tensor]:
    """Random sums of what the others feel as some rows move, and of what these feel themselves, each [s, r].

    Where one end of an interaction moves by m, the score y changes by dy = z . m. So the pull f'(y) z of the moved end
    on the other changes by f'' dy z + f' m, and that of the other on the moved end by f'' dy z.

    Args:
        slopes: f' of the interactions of the k rows that move, sparse [k, n].
        moves, own: how far they move from where [k, r].
        others: embeddings of the other side [n, r].
        of_others, of_own: random signs [n, s] and [k, s].
        bend: f''.
    """
    change = torch.sparse.sampled_addmm(slopes, moves, others.T, beta=0.0, alpha=bend)
    felt = (change @ of_others).T @ own + (slopes @ of_others).T @ moves
    return felt, of_own.T @ (change @ others)


def _silenced(before: BipartiteGraph, after: BipartiteGraph) -> Tensor:
    """Rows [k] of the users at the ends of lost ties."""
    if not (isinstance(before, JointGraph) and isinstance(after, JointGraph)):
        return before.rows[:0]
    return before.cut_by(after).flatten().unique()


def _principal(rows: Tensor, tail: float, most: int) -> Tensor | None:
    """Leading right singular vectors [d, k] of `rows` [r, d], all but `tail` of their squares; None if k > `most`.

    At least `_FEWEST`, and a multiple of `STEP`, where the rows have as many to give.
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
    k = min(-(-max(k, _FEWEST) // STEP) * STEP, real, most)
    leading = vectors[:, -k:]
    return rows.T @ (leading / squares[-k:].sqrt()) if wide else leading
