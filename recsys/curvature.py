"""A recommender's objective with its scores taken to be linear in the parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from unlearn.params import Params, flatten, unflatten
from unlearn.solvers.jacobian import Jacobian

if TYPE_CHECKING:
    from recsys.problem import RecommenderProblem


def linearized(problem: RecommenderProblem, params: Params) -> Callable[[Params], Tensor]:
    """displacement -> f(S + J displacement) + penalty(params + displacement), for an objective f of the scores S.

    With embeddings u and i and their first-order changes du and di the linearised score is

        u . i + u . di + du . i  =  [u, du] . [i + di, i],

    a dot product of rows twice as long. So every objective that sees embeddings through dot products alone works as
    it is, the term of all pairs included, and no score matrix is formed. One that normalises rows does not.
    """
    jacobian = Jacobian(lambda x: torch.cat(problem.embed(unflatten(x, params))), flatten(params))
    n_users = problem.graph.n_users
    users, items = jacobian.value[:n_users], jacobian.value[n_users:]
    function, graph = problem.objective_function, problem.graph
    fixed = {name: value.detach() for name, value in params.items()}

    def objective(displacement: Params) -> Tensor:
        change = jacobian.push(torch.cat([value.reshape(-1) for value in displacement.values()]))
        left = torch.cat([users, change[:n_users]], 1)
        right = torch.cat([items + change[n_users:], items], 1)
        value = function.record_losses(left, right, graph).sum() + function.background(left, right, graph)
        return value + function.penalty({name: fixed[name] + displacement[name] for name in fixed})

    return objective
