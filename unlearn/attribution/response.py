"""What the weight of every record does to the gradient of the objective, and to a query's value."""

from __future__ import annotations

import torch
from torch import Tensor

from unlearn.attribution.base import Query
from unlearn.params import Params, unflatten
from unlearn.problem import Problem


class Response:
    """A problem at `params` with a weight w [n] on every record, on its loss and on its messages; all at `weight`.

    One pass through the graph of the gradient of L(params, w) answers for all records at a time, so a query costs the
    same whether there are a hundred records or a million. Weighting a record down is what deleting it does: a deleted
    positive leaves its unobserved pair behind (the part that `background` has of it), and where there is a message
    graph its edge and its share of the degrees fade.

    Memory: the graph of the objective's gradient, kept.
    """

    def __init__(self, problem: Problem, params: Params, weight: float = 1.0) -> None:
        self._params = params
        self._weights = evenly(problem, weight).requires_grad_()
        self._weighted = problem.weighted(problem.record_unit, self._weights)
        self._leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
        self._gradients = torch.autograd.grad(
            self._weighted.objective(self._leaves), list(self._leaves.values()), create_graph=True
        )

    def of_gradient(self, direction: Tensor) -> Tensor:
        """d/dw (grad L . v) [n], for v [p]: how far each record pulls against a step along v."""
        parts = list(unflatten(direction, self._params).values())
        return torch.autograd.grad(self._gradients, self._weights, parts, retain_graph=True)[0]

    def of_queries(self, queries: Query) -> tuple[Tensor, Tensor]:
        """Gradients [q, p] of the queries' values in the parameters, and their derivatives [q, n] in w at these."""
        values = queries(self._weighted, self._leaves)
        if values.dim() != 1:
            raise ValueError(f"`queries` must return values of shape [q] (got {list(values.shape)})")
        sources = [*self._leaves.values(), self._weights]
        gradients: list[Tensor] = []
        direct: list[Tensor] = []
        for value in values:
            *of_params, of_weights = torch.autograd.grad(
                value, sources, retain_graph=True, allow_unused=True, materialize_grads=True
            )
            gradients.append(torch.cat([part.reshape(-1) for part in of_params]))
            direct.append(of_weights)
        if not gradients:
            return torch.zeros(0, sum(v.numel() for v in self._leaves.values())), torch.zeros(0, len(self._weights))
        return torch.stack(gradients), torch.stack(direct)


def evenly(problem: Problem, weight: float) -> Tensor:
    """One weight [n] for all records."""
    return next(iter(problem.params.values())).new_full((problem.n_records,), weight)
