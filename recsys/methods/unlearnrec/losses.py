"""What the encoder is trained for: the model's own loss, and three terms about what is deleted and what stays."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus

from recsys.graph import BipartiteGraph
from recsys.models.contrastive import info_nce
from recsys.objectives import SampledObjective
from recsys.problem import RecommenderProblem
from unlearn.params import Params


def own(
    problem: RecommenderProblem, params: Params, records: Tensor, *, epoch: int, batch: int
) -> tuple[Tensor, Tensor, Tensor]:
    """The loss that the model is trained with, per interaction, and its final embeddings of users and items.

    An objective that samples is asked for the interactions `records`, scaled up to all; another one as a whole.
    """
    graph = problem.graph
    final, of_model = problem.model.training_pass(params, graph, records, epoch=epoch, batch=batch)
    users, items = final[: graph.n_users], final[graph.n_users :]
    objective = problem.objective_function.bound(params)
    scale = graph.n_edges / max(len(records), 1)
    if isinstance(objective, SampledObjective):
        value = scale * objective.sampled_losses(users, items, graph, records, epoch=epoch, batch=batch).sum()
    else:
        value = objective.record_losses(users, items, graph).sum() + objective.background(users, items, graph)
    if of_model is not None:
        value = value + scale * of_model.sum()
    return (value + objective.penalty(params)) / max(graph.n_edges, 1), users, items


def unlearning(users: Tensor, items: Tensor, deleted: BipartiteGraph) -> Tensor:
    """The mean of -log s(-y_ui) over the deleted pairs, s the logistic function: a deleted pair is a disliked one."""
    scores = (users[deleted.rows] * items[deleted.cols]).sum(1)
    return softplus(scores).sum() / max(deleted.n_edges, 1)


def preservation(
    now: tuple[Tensor, Tensor], before: tuple[Tensor, Tensor], rows: Tensor, cols: Tensor, *, temperature: float
) -> Tensor:
    """The mean over pairs b = (u_b, i_b) of (s_b - s*_b)^2, s_b = log softmax over the items of all pairs, at i_b.

    Args:
        now, before: final embeddings of users [n_users, d] and items [n_items, d], giving s and s*.
        rows, cols: remaining interactions [b].
        temperature: the scores are divided by it.
    """
    after, aim = (_log_softmax(*tables, rows, cols, temperature) for tables in (now, before))
    return (after - aim).square().sum() / max(len(rows), 1)


def _log_softmax(users: Tensor, items: Tensor, rows: Tensor, cols: Tensor, temperature: float) -> Tensor:
    user, item = users[rows] / temperature, items[cols]
    return (user * item).sum(1) - torch.logsumexp(user @ item.T, 1)


def contrast(
    whole: Sequence[Tensor], dropped: Sequence[Tensor], sides: Sequence[Tensor], *, temperature: float
) -> Tensor:
    """InfoNCE of the states under all deleted interactions (held fixed) with those under some of them.

    Summed over layers and sides, a mean over each side's nodes; nodes whose state is zero have no direction and are
    left out.

    Args:
        whole, dropped: states [n_nodes, d] of each layer.
        sides: nodes [k] of the users and of the items that are to be told apart.
    """
    total = whole[0].new_zeros(())
    for fixed, moving in zip(whole, dropped, strict=True):
        directed = (fixed.detach().abs().amax(1) > 0) & (moving.detach().abs().amax(1) > 0)
        for side in sides:
            nodes = side[directed[side]]
            terms = info_nce(fixed.detach(), moving, nodes, nodes, temperature=temperature)
            total = total + terms.sum() / max(len(nodes), 1)
    return total
