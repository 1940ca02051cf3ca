"""What the weight of every record, and of every tie, does to the gradient of the objective and to a query's value."""

from __future__ import annotations

import torch
from torch import Tensor

from unlearn.attribution.base import Query
from unlearn.params import Params, unflatten
from unlearn.problem import Problem


class Response:
    """A problem at `params` with a weight on every record, on its loss and its messages, and on every tie's messages.

    Weights w [n records + n ties]: those of records are at `weight`, those of ties at 1. One pass through the graph of
    the gradient of L(params, w) answers for all of them at a time, so a query costs the same whether there are a
    hundred records or a million. Weighting a record down is what deleting it does: a deleted positive leaves its
    unobserved pair behind (the part that `background` has of it), and where there is a message graph its edge and its
    share of the degrees fade.

    Memory: the graph of the objective's gradient, kept.
    """

    def __init__(self, problem: Problem, params: Params, weight: float = 1.0) -> None:
        self._params = params
        self._weights = [evenly(problem, weight).requires_grad_()]
        self._weighted = problem.weighted(problem.record_unit, self._weights[0])
        if problem.n_ties:
            self._weights.append(self._weights[0].new_ones(problem.n_ties).requires_grad_())
            self._weighted = self._weighted.weighted("tie", self._weights[1])
        self._leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
        self._gradients = torch.autograd.grad(
            self._weighted.objective(self._leaves), list(self._leaves.values()), create_graph=True
        )

    @property
    def n_weights(self) -> int:
        return sum(map(len, self._weights))

    def of_gradient(self, direction: Tensor) -> Tensor:
        """d/dw (grad L . v) [n weights], for v [p]: how far each record and tie pulls against a step along v."""
        parts = list(unflatten(direction, self._params).values())
        found = torch.autograd.grad(
            self._gradients, self._weights, parts, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        return torch.cat(found)

    def of_queries(self, queries: Query) -> tuple[Tensor, Tensor]:
        """Gradients [q, p] of the queries' values in the parameters, and derivatives [q, n weights] in w at these.

        Raises:
            ValueError: the queries return no vector of values.
        """
        values = queries(self._weighted, self._leaves)
        if values.dim() != 1:
            raise ValueError(f"`queries` must return values of shape [q] (got {list(values.shape)})")
        sources = [*self._leaves.values(), *self._weights]
        gradients: list[Tensor] = []
        direct: list[Tensor] = []
        for value in values:
            found = torch.autograd.grad(value, sources, retain_graph=True, allow_unused=True, materialize_grads=True)
            gradients.append(torch.cat([part.reshape(-1) for part in found[: len(self._leaves)]]))
            direct.append(torch.cat(found[len(self._leaves) :]))
        if not gradients:
            return torch.zeros(0, sum(v.numel() for v in self._leaves.values())), torch.zeros(0, self.n_weights)
        return torch.stack(gradients), torch.stack(direct)


def evenly(problem: Problem, weight: float) -> Tensor:
    """One weight [n] for all records."""
    return next(iter(problem.params.values())).new_full((problem.n_records,), weight)
