"""The objective over the few directions that a request moves, or over the columns that the table has a rank for.

A gradient of the table E is a matrix times E, for the scores are in E E^T. So no step leaves the span of E's rows, and
a table that is wider than its solution's rank, as it must be where every local minimum is to be a global one (Burer and
Monteiro, 2005), is settled in as many columns as that span has: 80 of 192 on ML-100K, 152 on LastFM.

Moving only the directions of a request costs a fraction of that, and the columns that stay put enter through products
made before any request came. Where these turn out to hold too much (`recsys.linear.probes`), all columns move from
there.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from recsys.graph import BipartiteGraph
from recsys.linear.directions import directions
from recsys.linear.landscape import FrozenColumns, WholeDataLandscape
from recsys.linear.probes import Probes
from recsys.linear.survey import Survey, survey
from recsys.models.base import LinearRecommender
from recsys.objectives.model_loss import ModelLoss, WholeDataLoss
from unlearn.params import Params
from unlearn.problem import Locality

_RENEW = 25  # requests after which a survey is made afresh: what the moved directions leave out adds up


def locality(
    loss: WholeDataLoss, table: Tensor, before: BipartiteGraph, gone: Tensor, known: Survey, tail: float
) -> Locality:
    """The objective of what remains over the directions that the request moves.

    Where these would be more than half of all that the table has, or may leave out nothing, over all of those.

    Args:
        loss: on the remaining data and graph; `table`, where it starts.
        before: the graph with what was forgotten; `gone`, which of its interactions [k] that is.
        known: the survey of the model that is to forget.
        tail: share of the request's first-order push that the directions may leave out.
    """
    if not tail:  # the way is that of the objective: in a table that is too narrow, scores would end it early
        return _everywhere(loss, table, known)
    graph, idle = loss.graph, loss.idle_nodes
    newly = idle[~torch.isin(idle, replace(loss, graph=before).idle_nodes)]
    kept = torch.ones(before.n_edges, dtype=torch.bool, device=gone.device).index_fill_(0, gone, False)
    slopes = loss.objective.slopes(known.scores[kept], graph)
    basis = directions(loss, before, table, known, gone, newly, slopes, tail)
    if basis is None:
        return _everywhere(loss, table, known, known.final.index_fill(0, idle, 0.0))
    # Idle rows are cleared in the products and in the results: a copy of a whole table costs as much as half an
    # iteration.
    probes, k, final = Probes.of(basis, known), basis.shape[1], known.final
    columns = torch.cat([basis, probes.columns], 1)

    def products(rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
        both = (rows @ columns).index_fill_(0, idle, 0.0)
        return both[:, :k].contiguous(), both[:, k:].contiguous()

    of_table = known.axes @ columns
    origin, table_probed = products(table, of_table)
    old, final_probed = products(final, columns)
    axes = of_table[:, :k]
    rest = known.scores[kept] - graph.edge_products(old[: graph.n_users], old[graph.n_users :])
    frozen = FrozenColumns(final, basis, rest, idle)
    part = WholeDataLandscape(loss, columns=k, frozen=frozen, old=old)

    def moved() -> Tensor:
        return torch.addmm(table, part.point.view(origin.shape) - origin, axes.T).index_fill_(0, idle, 0.0)

    def finish() -> tuple[Params, Survey | None]:
        params = {"table": moved()}
        if known.age + 1 >= _RENEW:
            return params, survey(loss, params)
        embedded = torch.addmm(final, part.embeddings - old, basis.T).index_fill_(0, idle, 0.0)
        return params, replace(known, final=embedded, scores=part.scores, age=known.age + 1)

    def widened(accuracy: float) -> Locality | None:
        gain = probes.gain(loss, table_probed, final_probed, part.embeddings - old, part.scores)
        if gain <= accuracy**2 * part.way_in_scores(old):
            return None
        return _everywhere(loss, moved(), known, final.index_fill(0, idle, 0.0))

    return Locality(part, origin.reshape(-1), finish, widened)


def unmoved(loss: ModelLoss, params: Params, before: BipartiteGraph) -> bool:
    """Whether the parameters are as good on what remains as they were: no edge went, and no row that anyone felt.

    To re-converge there would only be to gain what training left, down to rounding, by which residuals rise as often as
    they fall.

    Args:
        loss: of a problem on the remaining data and graph; `before`, the graph with what was forgotten.
    """
    graph, idle = loss.graph, loss.idle_nodes
    if not isinstance(loss.model, LinearRecommender) or not torch.equal(graph.values, before.values):
        return False
    if "item" not in loss.objective.at_rest and len(graph.forgotten_items) > len(before.forgotten_items):
        return False
    return not any(params[name][idle].any() for name in loss.row_parameters)


def _everywhere(loss: WholeDataLoss, table: Tensor, known: Survey, old: Tensor | None = None) -> Locality:
    """Over all that the table spans; `table` and `known` as `locality` has them, `old` as the landscape."""
    axes, idle = known.axes, loss.idle_nodes
    start = (table @ axes).index_fill_(0, idle, 0.0)
    whole = WholeDataLandscape(loss, columns=start.shape[1], old=old)

    def finish() -> tuple[Params, Survey]:
        params = {"table": whole.point.view(start.shape) @ axes.T}
        return params, Survey.of(axes, whole.embeddings, whole.scores, whole.curvature_inverses())

    return Locality(whole, start.reshape(-1), finish, widened=lambda _: None)
