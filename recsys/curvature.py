"""Second derivatives of a recommender's objective: with its scores taken to be linear, and in closed form."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from recsys.objectives.model_loss import ModelLoss, WholeDataLoss
from unlearn.params import Params, flatten, unflatten
from unlearn.solvers.jacobian import Jacobian


def linearized(loss: ModelLoss, params: Params) -> Callable[[Params], Tensor]:
    """displacement -> f(S + J displacement) + penalty(params + displacement), for an objective f of the scores S.

    With embeddings u and i and their first-order changes du and di the linearised score is

        u . i + u . di + du . i  =  [u, du] . [i + di, i],

    a dot product of rows twice as long. So every objective that sees embeddings through dot products alone works as
    it is, the term of all pairs included, and no score matrix is formed. One that normalises rows does not.
    """
    jacobian = Jacobian(lambda x: torch.cat(loss.embed(unflatten(x, params))), flatten(params))
    function, graph, n_users = loss.objective, loss.graph, loss.graph.n_users
    users, items = jacobian.value[:n_users], jacobian.value[n_users:]
    fixed = {name: value.detach() for name, value in params.items()}

    def objective(displacement: Params) -> Tensor:
        change = jacobian.push(torch.cat([value.reshape(-1) for value in displacement.values()]))
        left = torch.cat([users, change[:n_users]], 1)
        right = torch.cat([items + change[n_users:], items], 1)
        value = function.record_losses(left, right, graph).sum() + function.background(left, right, graph)
        return value + function.penalty({name: fixed[name] + displacement[name] for name in fixed})

    return objective


def whole_data_product(loss: WholeDataLoss, table: Tensor, direction: Tensor) -> Tensor:
    """Hessian of `whole_data` on a linear model at `table` [n_nodes, d] times `direction` [n_nodes, d], in closed form.

    With Z = M E, D = M V, s the slopes of the observed scores y and dy their change along V,

        H V = M [R(s) D_I + R(s') Z_I + 2a D_U G_I + 2a Z_U (D_I^T Z_I + Z_I^T D_I)] + 2 l2 V,   s' = w (2 - 2a) dy

    on user rows, and the same with sides exchanged on item rows. Costs about two gradients.
    """
    model, objective, graph = loss.model, loss.objective, loss.graph
    with torch.no_grad():
        n = graph.n_users
        z, d = model.propagate(graph, table), model.propagate(graph, direction)
        (users, items), (d_users, d_items) = ((x[:n].contiguous(), x[n:].contiguous()) for x in (z, d))
        slopes = objective.slopes(graph.edge_products(users, items), graph)
        bend = (2.0 - 2.0 * objective.a) * (graph.edge_products(d_users, items) + graph.edge_products(users, d_items))
        if graph.weights is not None:
            bend = bend * graph.weights
        cross_items, cross_users = d_items.T @ items, d_users.T @ users
        pairs_users = d_users @ (items.T @ items) + users @ (cross_items + cross_items.T)
        pairs_items = d_items @ (users.T @ users) + items @ (cross_users + cross_users.T)
        of_users = graph.interaction_matrix(slopes) @ d_items + graph.interaction_matrix(bend) @ items
        of_items = graph.transposed_matrix(slopes) @ d_users + graph.transposed_matrix(bend) @ users
        inner = torch.cat([of_users + 2.0 * objective.a * pairs_users, of_items + 2.0 * objective.a * pairs_items])
        return model.propagate(graph, inner) + 2.0 * objective.l2 * direction
