"""What the directions of a request leave out, from a few random products."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recsys.linear.signs import signs
from recsys.linear.survey import Survey
from recsys.objectives.model_loss import WholeDataLoss

_PROBES = 4  # of users, and as many of items; the estimate varies by a fifth


@dataclass(frozen=True, eq=False)
class Probes:
    """Random columns outside of a basis, to tell from a gradient what moving the others would gain.

    By half of g^T P g, with g the gradient outside of the basis and P the inverse curvature. P is stiffer than the
    objective is there, so of what the others hold it sees 7 to 19 % (LastFM, MovieLens 100K, sparse generated data),
    and of the way, which goes by the root, 26 to 44 %. The gradient is a matrix times the table, so a probe costs one
    column and not the table's r; and as nothing moves outside of the basis, the table and the final embeddings times
    the probes are known before anything is solved.
    """

    known: Survey
    basis: Tensor  # [r, k], orthonormal
    columns: Tensor  # [r, 2 * _PROBES]: random vectors with the covariance of a user's P, then of an item's

    @classmethod
    def of(cls, basis: Tensor, known: Survey) -> Probes:
        sums = signs(len(basis), _PROBES, like=basis)
        columns = torch.cat([known.root_users @ sums, known.root_items @ sums], 1)
        return cls(known, basis, columns.sub_(basis @ (basis.T @ columns)))

    def gain(self, loss: WholeDataLoss, table: Tensor, final: Tensor, moved: Tensor, scores: Tensor) -> float:
        """About what the objective would gain outside of the basis.

        Args:
            loss: on the remaining data and graph.
            table, final: the table (in the axes' coordinates) and the final embeddings, times the columns
                [n_nodes, 2 * _PROBES], zero in the rows that nothing remaining determines.
            moved: how far the final embeddings are from the survey's, along the basis [n_nodes, k].
            scores: of the remaining interactions [n_edges], where they are now.
        """
        model, objective, graph = loss.model, loss.objective, loss.graph
        sizes = [graph.n_users, graph.n_items]
        (users, items), (moved_users, moved_items) = self.known.final.split(sizes), moved.split(sizes)
        of_users, of_items = final.split(sizes)
        by_users = (of_users.T @ users).T + self.basis @ (moved_users.T @ of_users)
        by_items = (of_items.T @ items).T + self.basis @ (moved_items.T @ of_items)
        inner = torch.cat([users @ by_items, items @ by_users])
        inner[: graph.n_users].addmm_(moved_users, self.basis.T @ by_items)
        inner[graph.n_users :].addmm_(moved_items, self.basis.T @ by_users)
        inner.mul_(2.0 * objective.a).index_fill_(0, loss.idle_nodes, 0.0)
        inner.add_(graph.symmetric_matrix(objective.slopes(scores, graph)) @ final)
        slopes = model.propagate(graph, inner).add_(table, alpha=2.0 * objective.l2)
        squares = slopes[: graph.n_users, :_PROBES].square().sum() + slopes[graph.n_users :, _PROBES:].square().sum()
        return float(squares) / (2.0 * _PROBES)
